--- Previews: the first records of a batch before it is ingested, and of a data set after.
-- @module catalog.query.preview
local batch = require "catalog.batch.batch"
local core = require "catalog.core"
local dataset = require "catalog.query.dataset"
local entry = require "catalog.batch.entry"
local failure = require "catalog.base.failure"

local IMPORT <const> = "/data/foundation/import/batches/"
local EXPORT <const> = "/data/foundation/export/datasets/"

-- How many records the service shows at the most. Source: Adobe's descriptions of its APIs.
local MOST_OF_BATCH <const>, MOST_OF_DATASET <const> = 9, 100
local USUAL <const> = 5

-- The parameters of a format, as the query has them.
local PARAMETERS <const> = { "isMultiLineJson", "delimiter", "quote", "escape", "charset", "header" }

-- Gives the rows one by one. They are asked for at the first step.
local function iterate(count, most, fetch)
  local rows, index
  return function()
    if not rows then
      local err
      if count < 1 or count > most then
        rows, err = failure("config", "a preview has from 1 to %d rows, and not %d", most, count)
      else
        rows, err = fetch()
      end
      if not rows then error(err, 0) end
      index = 0
    end
    index = index + 1
    return index <= count and rows[index] or nil
  end
end

local function check_count(count)
  if count ~= nil and math.type(count) ~= "integer" then
    error(("bad argument to preview (an integer expected, got %s)"):format(type(count)), 3)
  end
  return count or USUAL
end

-- A list of objects of a reply.
local function objects(list)
  if type(list) ~= "table" or (#list == 0 and next(list) ~= nil) then
    return failure("protocol", "the reply has no rows")
  end
  for i, row in ipairs(list) do
    if type(row) ~= "table" then return failure("protocol", "the row %d of the reply is no object", i) end
  end
  return list
end

-- Rows whose values are under the numbers of columns, as rows with the names of the columns.
local function named(preview)
  local names = {}
  local columns, no_columns = objects(preview.columns)
  if not columns then return nil, no_columns end
  for _, column in ipairs(columns) do names[tostring(column.cid)] = column.name end
  local rows, err = objects(preview.rows)
  if not rows then return nil, err end
  local list = {}
  for i, row in ipairs(rows) do
    list[i] = {}
    for number, value in pairs(row) do
      local name = names[tostring(number)]
      list[i][type(name) == "string" and name or tostring(number)] = value
    end
  end
  return list
end

local function read(body)
  local answer, err = core.json.decode(body)
  if err then return nil, err end
  if type(answer) ~= "table" then return failure("protocol", "the reply is no object") end
  if type(answer.preview) == "table" then return named(answer.preview) end
  return objects(answer.data)
end

-- The fields of a batch that tell its format and its data set: looked up, unless they are known.
local function known(self)
  local fields, err = self, nil
  if type(self.inputFormat) ~= "table" then fields, err = batch.fetch(self) end
  if not fields then return nil, err end
  local id, unknown = batch.dataset(self)
  if unknown then return nil, unknown end
  id = id or entry.dataset(fields)
  if not id then return failure("batch", "the batch %s names no data set", self.id) end
  return type(fields.inputFormat) == "table" and fields.inputFormat or {}, id
end

local function path_of(self, count)
  local format, id = known(self)
  if not format then return nil, id end
  local own, unfit = core.url.segment(self.id, "batch id")
  if not own then return nil, unfit end
  local segment, bad = core.url.segment(id, "dataset id")
  if not segment then return nil, bad end
  local query = { "format=" .. core.url.encode(type(format.format) == "string" and format.format or "parquet") }
  for _, name in ipairs(PARAMETERS) do
    local value = format[name]
    if type(value) == "string" or type(value) == "boolean" then
      query[#query + 1] = name .. "=" .. core.url.encode(tostring(value))
    end
  end
  return ("%s%s/datasets/%s/preview?%s&nrow=%d"):format(IMPORT, own, segment, table.concat(query, "&"), count)
end

--- Goes through the first records that were uploaded into the batch, as the service reads them: a look before it is
-- completed.
-- @function catalog.batch:preview
-- @tparam[opt=5] integer count 1 to 9
-- @treturn fun():table an iterator of rows: tables of the names of columns and their values; what is deep in a record
--   is named by its path (`person/name`)
-- @raise in the loop: the error table
-- @usage for row in batch:preview(5) do print(row["person/name"]) end
function batch.methods:preview(count)
  count = check_count(count)
  return iterate(count, MOST_OF_BATCH, function()
    local path, err = path_of(self, count)
    if not path then return nil, err end
    local state, kind = batch.state(self)
    return kind.client:send {
      method = "GET", repeatable = true, path = path, sandbox = kind.sandbox, process = state.process, read = read,
    }
  end)
end

--- Goes through the first records of the data set.
-- @function catalog.dataset:preview
-- @tparam[opt=5] integer count 1 to 100
-- @treturn fun():table an iterator of rows, tables as the service sends them
-- @raise in the loop: the error table
function dataset.methods:preview(count)
  local kind = getmetatable(self)
  return iterate(check_count(count), MOST_OF_DATASET, function()
    local segment, unfit = core.url.segment(self.id, "dataset id")
    if not segment then return nil, unfit end
    return kind.client:send {
      method = "GET", repeatable = true, path = EXPORT .. segment .. "/preview", sandbox = kind.sandbox, read = read,
    }
  end)
end
