--- What the service found in the rows of a batch.
-- @module catalog.batch.rows
local batch = require "catalog.batch.batch"
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local paths = require "catalog.batch.paths"

local PAGE <const> = 100

local function read_listing(body)
  local listing, err = core.json.decode(body)
  if err then return nil, err end
  local data = type(listing) == "table" and listing.data
  if type(data) ~= "table" or (#data == 0 and next(data) ~= nil) then
    return failure("protocol", "the reply is no listing")
  end
  for i, file in ipairs(data) do
    if type(file) ~= "table" or type(file.name) ~= "string" or file.name == "" then
      return failure("protocol", "the entry %d of the listing is no file with a name", i)
    end
  end
  return data
end

-- One page of what there is at a path; none when there is no such thing.
local function list_page(self, path, start)
  local target, unfit = paths.export(self.id, path, ("&start=%d&limit=%d"):format(start, PAGE))
  if not target then return nil, unfit end
  local state, kind = batch.state(self)
  local page, err = kind.client:send {
    method = "GET", repeatable = true, path = target, sandbox = kind.sandbox, read = read_listing,
    process = state.process,
  }
  if page then return page end
  if err.status == 404 and start == 0 then return {} end
  return nil, err
end

-- All entries at a path, page by page, until one has nothing new: a service that does not count would go on for ever.
local function list(self, path)
  local entries, known = {}, {}
  repeat
    local page, err = list_page(self, path, #entries)
    if not page then return nil, err end
    local before = #entries
    for _, entry in ipairs(page) do
      if not known[entry.name] then entries[#entries + 1] = entry end
      known[entry.name] = true
    end
  until #page < PAGE or #entries == before
  return entries
end

-- How many bytes an entry of a listing says the file has; nil where it says none.
local function bytes_of(entry)
  local bytes = math.tointeger(tonumber(entry.length))
  return bytes and bytes >= 0 and bytes or nil
end

--- The files the service read.
-- @function catalog.batch:input_files
-- @treturn[1] {table,...} `name`, `bytes` (nil where the service does not say)
-- @treturn[2] nil
-- @treturn[2] table error
function batch.methods:input_files()
  local entries, err = list(self, "input_files")
  if not entries then return nil, err end
  local files = {}
  for i, entry in ipairs(entries) do
    files[i] = { name = entry.name, bytes = bytes_of(entry) }
  end
  return files
end

-- Downloads one file of rows to a temporary file, however large it is.
local function download(self, name)
  local path, unfit = paths.export(self.id, "row_errors/" .. name)
  if not path then return nil, unfit end
  local file, why = io.tmpfile()
  if not file then return failure("data", "no temporary file can be made: %s", why) end
  local state, kind = batch.state(self)
  local ok, err = kind.client:send {
    method = "GET", repeatable = true, path = path, sandbox = kind.sandbox, into = file, process = state.process,
    read = function() return true end,
  }
  if not ok then
    file:close()
    return nil, err
  end
  file:seek "set"
  return file
end

-- A row as a table. That it is no UTF-8 may be the very reason why it was refused.
local function read_row(line)
  local row = core.json.decode(line, true)
  return type(row) == "table" and row or {}
end

--- The rows that were not ingested, over all pages and files.
-- @function catalog.batch:failed_rows
-- @treturn fun():table,string an iterator of the row as a table (`_errors` says why; empty when the line is no object),
--   and the raw line. Whole numbers beyond +-(2^53 - 1) are rounded floats in the row, and have all their digits in the
--   line
-- @raise in the loop: the error table, when a page or a file cannot be had
-- @usage for row, line in batch:failed_rows() do print(row._errors[1].code, line) end
function batch.methods:failed_rows()
  return coroutine.wrap(function()
    local entries, err = list(self, "row_errors")
    if not entries then error(err, 0) end
    for _, entry in ipairs(entries) do
      local file, failed = download(self, entry.name)
      if not file then error(failed, 0) end
      for line in file:lines() do
        if line ~= "" then coroutine.yield(read_row(line), line) end
      end
      file:close()
    end
  end)
end
