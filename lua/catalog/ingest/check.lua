--- Files against the schema of a data set, before they are sent.
-- @module catalog.ingest.check
local Client = require "catalog.client.client"
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local format = require "catalog.ingest.format"
local options = require "catalog.base.options"

-- How many problems are told unless more are asked for.
local USUAL <const> = 100

-- How much of a file is looked at to tell what it is, bytes.
local BEGINNING <const> = 512

local SCHEMA <const> = {
  file = "string|userdata", format = "string", dataset = "string|table", schema = "table", sandbox = "string",
  most = "integer",
}

local FORMATS <const> = { json = true, csv = true, parquet = true }

local Report = {}
Report.__index = Report

-- Adds what is wrong with a record. Where it is, is its line, or its number in an array.
function Report:add(line, where, number)
  self.records = self.records + 1
  local found, count = self.checker:check_line(line, self.most - #self.problems)
  if count == 0 then return end
  self.bad, self.count = self.bad + 1, self.count + count
  for _, problem in ipairs(found) do
    problem[where] = number
    self.problems[#self.problems + 1] = problem
  end
end

local function add_lines(report, lines, where)
  local number = 0
  for line in lines do
    number = number + 1
    if line:find "%S" then report:add(line, where, number) end
  end
  return true
end

-- The records of an array, all of which is read.
local function add_array(report, file, shown)
  local lines, fault = core.lines.split_array(file:read "a")
  if not lines then return failure("data", "%s: the array cannot be read: %s", shown, fault) end
  return add_lines(report, lines:gmatch "([^\n]*)\n", "record")
end

-- What is in a file, behind what was read of it to tell what it is.
local function joined(beginning, file)
  return {
    read = function() return beginning .. file:read "a" end,
    lines = function()
      return function()
        if not beginning then return file:read "l" end
        local line, rest = beginning:match "^([^\n]*)\n(.*)$"
        if line then
          beginning = rest
          return line
        end
        line, beginning = beginning, nil
        local more = file:read "l"
        return (more or line ~= "") and line .. (more or "") or nil
      end
    end,
  }
end

-- What cannot be checked, as nil and an error.
local function check_format(given, shown)
  local said = given.format or type(given.file) == "string" and format.of_path(given.file) or "json"
  if not FORMATS[said] then return failure("config", 'format is "%s"; it is json, csv or parquet', said) end
  if said == "json" then return true end
  return failure("data", "%s is of the format %s, which is not checked: schemas are for records of JSON", shown, said)
end

local function read_all(report, file, shown)
  local beginning = file:read(BEGINNING)
  if not beginning then
    return failure("data", "%s is empty, and the service fails a batch with an empty file in it", shown)
  end
  local item = { file = shown }
  format.look(item, beginning)
  local fine, marked = format.check({ format = "json", multiline = true }, { item })
  if not fine then return nil, marked end
  file = joined(beginning, file)
  if item.is_array then return add_array(report, file, shown) end
  return add_lines(report, file.lines(), "line")
end

local function open(path)
  local file, why = io.open(path, "rb")
  if file and file:read(0) == nil and core.fs.kind(path) == "directory" then
    file:close()
    file, why = nil, "it is a directory"
  end
  if file then return file end
  return failure("data", "cannot read %s: %s", path, why:match ": ([^:]*)$" or why)
end

--- Checks a file before it is sent: one of JSON lines, or one JSON array. An array is read as a whole.
-- @function catalog.client:check
-- @tparam table given either `dataset` or `schema`, and `file`
-- @tparam string|file given.file its path, or an open file of Lua's, such as `io.stdin`
-- @tparam[opt=by the ending of the path; else json] string given.format `json`, `csv` or `parquet`, as of `ingest`;
--   JSON alone can be checked
-- @tparam[opt] string|table given.dataset an id, a data set, or `{ name = ... }`: its schema counts
-- @tparam[opt] table given.schema a JSON schema, decoded
-- @tparam[opt=the client's] string given.sandbox where the data set is
-- @tparam[opt=100,unit=problems] integer given.most that are told
-- @treturn[1] table `records`, how many were read; `bad`, how many of them do not fit; `count`, how many problems there
--   are; `problems`, the first of them, as of `checker:check`, each with its `line`, or in an array the number of its
--   `record`, and the problem `json` where that is none
-- @treturn[2] nil
-- @treturn[2] table error: of kind `data` when the file cannot be read, is empty, or is of another format
-- @raise an option is unknown or has a wrong type; `file` is missing, or `dataset` and `schema` are, or are both there
-- @usage local report = assert(client:check { dataset = id, file = "/data/a.json" })
function Client:check(given)
  local checked = options.check(given, SCHEMA, "check", 2)
  if (checked.dataset == nil) == (checked.schema == nil) then
    error("bad options for check (either dataset or schema is needed)", 2)
  end
  local is_open = io.type(checked.file) == "file"
  if not is_open and type(checked.file) ~= "string" then
    error(("bad option 'file' for check (a path or an open file expected, got %s)"):format(type(checked.file)), 2)
  end
  local shown = is_open and "the file" or checked.file
  local ok, unfit = check_format(checked, shown)
  if not ok then return nil, unfit end
  local checker, err = self:checker { dataset = checked.dataset, schema = checked.schema, sandbox = checked.sandbox }
  if not checker then return nil, err end
  local file, unread = checked.file, nil
  if not is_open then file, unread = open(checked.file) end
  if not file then return nil, unread end
  local _ <close> = not is_open and file or nil
  local report = setmetatable({
    records = 0, bad = 0, count = 0, problems = {}, most = checked.most or USUAL, checker = checker,
  }, Report)
  local read, failed = read_all(report, file, shown)
  if not read then return nil, failed end
  return { records = report.records, bad = report.bad, count = report.count, problems = report.problems }
end
