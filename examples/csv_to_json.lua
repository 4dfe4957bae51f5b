-- Ingests the rows of a CSV file (RFC 4180, in UTF-8) as JSON records, as they are read: the file may be of any size.
-- Usage: lua5.4 csv_to_json.lua FILE.csv DATASET [--types NAME=TYPE,...]; configured as in the README
--
-- The first row names the columns. Values are strings, empty ones too, unless a type is asked for: integer, number or
-- boolean, as in --types age=integer,price=number. An empty value of such a column is left out of its record. What is
-- no CSV, or does not fit its type, is an error that names the line, and then nothing of the file is ingested.
--
-- Exit codes: 0 all rows are ingested; 1 none is; 2 usage; 3 the service has not told: look at the batch first.
-- A killed run ingests nothing, unless it was at its end already: what is not completed is given up by the service.
local catalog = require "catalog"
local core = require "catalog.core"

local NONE <const>, UNKNOWN <const> = 1, 3 -- exit codes
local CHUNK <const> = 65536 -- bytes that are read at once
local LONGEST <const> = 4 * 1024 * 1024 -- bytes of a row; more is a quote that is never closed

local function fail(text, ...)
  error(text:format(...), 0)
end

-- What of the file's text goes into a message: one short line.
local function shown(text)
  local short = #text > 40 and text:sub(1, 40) .. "..." or text
  return (short:gsub("%c", "?"))
end

-- How the text of a field becomes a value, by type; nil: it does not fit. tonumber alone would take 0x10 and blanks.
local CONVERT <const> = {
  string = function(text) return text end,
  integer = function(text)
    local value = text:find "^[+-]?%d+$" and tonumber(text)
    return math.type(value) == "integer" and value or nil
  end,
  number = function(text)
    local value = not text:find "[^%d.eE+-]" and tonumber(text)
    return value and value - value == 0 and value or nil -- infinity is no number of JSON's
  end,
  boolean = function(text) return ({ ["true"] = true, ["false"] = false })[text:lower()] end,
}

local QUOTE <const> = ('"'):byte()

-- A field, given where it begins. Gives its text and where it ends, or nil when the text ends before.
local function read_field(text, at, line)
  if text:byte(at) ~= QUOTE then
    local stop = text:find('[,\r\n"]', at)
    if not stop then return nil end
    if text:byte(stop) == QUOTE then fail("line %d: a quote within a field that does not begin with one", line) end
    return text:sub(at, stop - 1), stop
  end
  local stop = at
  repeat
    stop = text:find('"', stop + 1, true)
    local doubled = stop and text:byte(stop + 1) == QUOTE
    if doubled then stop = stop + 1 end
  until not doubled
  -- a quote at the end of the text may be the first of two
  if not stop or stop == #text then return nil end
  return text:sub(at + 1, stop - 1):gsub('""', '"'), stop + 1
end

-- A row, given where it begins and in which line. Gives its fields, and where the next row begins and in which line;
-- or nil when the text ends before the row.
local function read_row(text, at, line)
  local fields = {}
  while true do
    local field, stop = read_field(text, at, line)
    if not field then return nil end
    fields[#fields + 1] = field
    if field:find("\n", 1, true) then line = line + select(2, field:gsub("\n", "")) end
    local mark = text:sub(stop, stop)
    if mark == "\r" then
      if stop == #text then return nil end
      stop, mark = stop + 1, text:sub(stop + 1, stop + 1)
      if mark ~= "\n" then fail("line %d: a carriage return without a newline", line) end
    end
    if mark == "\n" then return fields, stop + 1, line + 1 end
    if mark ~= "," then fail("line %d: text behind a closing quote", line) end
    at = stop + 1
  end
end

-- Iterates over the rows of a file: the fields, and the line in which the row begins. Of the file no more is in memory
-- than a chunk and a row.
local function rows_of(file)
  local text, at, line, ended = file:read(CHUNK) or "", 1, 1, false
  if text:sub(1, 3) == "\xEF\xBB\xBF" then at = 4 end -- a byte order mark
  return function()
    while true do
      if ended and at > #text then return nil end
      local fields, next_at, next_line = read_row(text, at, line)
      if fields then
        local began = line
        at, line = next_at, next_line
        return fields, began
      end
      if ended then fail("line %d: a quote is opened in this row, and never closed", line) end
      if #text - at >= LONGEST then fail("line %d: a row of more than %d bytes; is a quote missing?", line, LONGEST) end
      local more, why = file:read(CHUNK)
      if why then fail("%s", why) end
      ended = not more
      text, at = text:sub(at) .. (more or ""), 1
      if ended and text ~= "" and text:sub(-1) ~= "\n" then text = text .. "\n" end -- the last line may lack its end
    end
  end
end

-- The columns of the header: { name, convert, typed }.
local function columns_of(header, types)
  local columns, seen = {}, {}
  for i, name in ipairs(header) do
    if name == "" then fail("line 1: column %d has no name", i) end
    if seen[name] then fail("line 1: two columns are named '%s'", shown(name)) end
    seen[name] = true
    columns[i] = { name = name, type = types[name] or "string", convert = CONVERT[types[name] or "string"] }
  end
  for name in pairs(types) do
    if not seen[name] then fail("there is no column '%s', of which --types speaks", name) end
  end
  return columns
end

local function record_of(columns, fields, line)
  if #fields ~= #columns then fail("line %d: %d fields, and the header has %d", line, #fields, #columns) end
  local record = {}
  for i, column in ipairs(columns) do
    local text = fields[i]
    if text ~= "" or column.type == "string" then
      local value = column.convert(text)
      if value == nil then
        fail("line %d, column '%s': '%s' is no %s", line, shown(column.name),
          shown(text), column.type)
      end
      record[column.name] = value
    end
  end
  return record
end

-- The types as a table, given as name=type,...; nil and why not.
local function types_of(text)
  local types = {}
  for item in text:gmatch "[^,]+" do
    local name, kind = item:match "^(.+)=(%a+)$"
    if not CONVERT[kind] then return nil, item end
    types[name] = kind
  end
  return types
end

-- Writes all rows into a file of the batch. Gives how many there were.
local function write_rows(batch, columns, next_row, fields, line)
  local out <close> = assert(batch:writer "rows.json")
  while fields do
    local ok, err = out:write(record_of(columns, fields, line))
    if not ok and err.kind == "data" then fail("line %d: %s", line, tostring(err)) end
    assert(ok, err)
    fields, line = next_row()
  end
  return assert(out:close()).records
end

local code = NONE

-- Any error on the way raises, and closing the batch aborts it.
local function run(path, dataset, types)
  local watched <close> = assert(core.file.open(path)) -- it has to be a file, not a pipe, and to stay as it is
  local file <close> = assert(io.open(path, "rb"))
  local next_row = rows_of(file)
  local header = next_row() or fail("%s is empty: there is no header", path)
  local columns = columns_of(header, types)
  local fields, line = next_row()
  if not fields then fail("%s has a header and no rows", path) end

  -- once: when the answer to the creation is lost there is still one batch only
  local batch <close> = assert(catalog.create_batch { dataset = dataset, format = "json", once = true })
  local count = write_rows(batch, columns, next_row, fields, line)
  if watched:changed() then fail("%s was changed while it was read", path) end
  code = UNKNOWN
  local ok, err = batch:complete()
  if not ok then
    if batch:abort() then code = NONE end
    fail("batch %s: %s", batch.id, tostring(err))
  end
  ok, err = batch:wait()
  if not ok then
    if err.kind == "batch" then code = NONE end
    fail("batch %s: %s", batch.id, tostring(err))
  end
  print(("%d rows in batch %s"):format(count, batch.id))
end

local types, unknown
if #arg == 2 then types = {} end
if #arg == 4 and arg[3] == "--types" then types, unknown = types_of(arg[4]) end
if not types then
  io.stderr:write(unknown and ("'%s' is not NAME=TYPE with one of the types below\n"):format(unknown) or "",
    "usage: lua5.4 csv_to_json.lua FILE.csv DATASET [--types NAME=integer|number|boolean|string,...]\n")
  os.exit(2)
end
local fine, err = pcall(run, arg[1], arg[2], types)
if not fine then
  io.stderr:write(tostring(err), "\n", code == NONE and "nothing was ingested\n"
    or "whether it was ingested is not known: look at the batch before the file is sent again\n")
  os.exit(code, true)
end
