--- Previews: the first records of a batch before it is ingested, and of a data set. Source: the descriptions of Adobe's
-- APIs for batch ingestion and data access.
-- @module catalog.emulator.preview
local answers = require "catalog.emulator.answers"
local core = require "catalog.core"
local csv = require "catalog.emulator.csv"
local files = require "catalog.emulator.files"
local lifecycle = require "catalog.emulator.lifecycle"
local listing = require "catalog.emulator.listing"

local preview = {}

local MOST_OF_BATCH <const>, MOST_OF_DATASET <const> = 9, 100

-- Adds the objects of a file of JSON, a line each or an array.
local function add_json(rows, path, format, most)
  if format.isMultiLineJson then
    local file <close> = assert(io.open(path, "rb"))
    local list = core.json.decode(file:read "a")
    for _, row in ipairs(type(list) == "table" and list or {}) do
      if #rows < most and type(row) == "table" then rows[#rows + 1] = row end
    end
    return
  end
  for line in io.lines(path) do
    if #rows >= most then return end
    local row = core.json.decode(line)
    if type(row) == "table" and core.json.encode(row) then rows[#rows + 1] = row end
  end
end

local function add_csv(rows, path, format, most)
  local header
  for fields in csv(path, format) do
    if not fields or #rows >= most then return end
    local row = {}
    for i, name in ipairs(header or {}) do row[name] = fields[i] end
    if header then rows[#rows + 1] = row else header = fields end
  end
end

local READERS <const> = { json = add_json, csv = add_csv }

-- Adds the first records of a batch; there are none of what is in Parquet.
local function add(service, record, rows, most, format)
  local read = READERS[format.format]
  for _, name in ipairs(read and lifecycle.names(record) or {}) do
    read(rows, files.path_of(service, record, name), format, most)
  end
end

-- What a record has, by paths such as `person/name`.
local function flatten(value, path, flat)
  if path == "" and next(value) == nil then return flat end
  if type(value) == "table" and #value == 0 and next(value) ~= nil then
    for name, item in pairs(value) do flatten(item, path == "" and name or path .. "/" .. name, flat) end
    return flat
  end
  flat[path] = type(value) == "string" and value or core.json.encode(value)
  return flat
end

-- Records as a table of columns with numbers.
local function tabular(rows)
  local names, numbers, flat = {}, {}, {}
  for i, row in ipairs(rows) do
    flat[i] = flatten(row, "", {})
    for name in pairs(flat[i]) do
      if not numbers[name] then names[#names + 1], numbers[name] = name, true end
    end
  end
  table.sort(names)
  local columns, cells = core.json.array(), core.json.array()
  for i, name in ipairs(names) do
    numbers[name] = tostring(i - 1)
    columns[i] = { cid = numbers[name], name = name }
  end
  for i, row in ipairs(flat) do
    cells[i] = {}
    for name, value in pairs(row) do cells[i][numbers[name]] = value end
  end
  return { columns = columns, rows = cells }
end

local function format_of(record, query)
  local format = {}
  for name, value in pairs(record.batch.inputFormat) do format[name] = value end
  format.format = query.format and query.format:lower() or format.format
  if query.isMultiLineJson then format.isMultiLineJson = query.isMultiLineJson == "true" end
  for _, name in ipairs { "delimiter", "quote" } do format[name] = query[name] or format[name] end
  return format
end

--- `GET .../import/batches/{id}/datasets/{dataset}/preview?format=&nrow=`: the first records that were sent.
function preview.batch(service, request, segments)
  local record = service.store:find(request.org, request.sandbox, segments[5])
  if not record or record.batch.relatedObjects[1].id ~= segments[7] then
    return answers.problem(404, "The batch %s was not found for the dataset %s", segments[5], segments[7])
  end
  local most, refusal = listing.number(request.query, "nrow", MOST_OF_BATCH, 0, MOST_OF_BATCH)
  if refusal then return table.unpack(refusal) end
  if service.strict and not request.query.format then return answers.problem(400, "format is required") end
  local format, rows = format_of(record, request.query), {}
  add(service, record, rows, most == 0 and MOST_OF_BATCH or most, format)
  return answers.value(200, { formatParams = format, preview = tabular(rows) })
end

--- `GET /data/foundation/export/datasets/{id}/preview`: the first records that are in it.
function preview.dataset(service, request, segments)
  local id, rows = segments[5], core.json.array()
  if not service.dataset_store:find(request.org, request.sandbox, id) then
    return answers.problem(404, "The dataset %s was not found", id)
  end
  for _, record in ipairs(service.store.records) do
    if record.org == request.org and record.sandbox == request.sandbox and record.batch.relatedObjects[1].id == id then
      lifecycle.refresh(service, record)
      if record.batch.status == "success" then add(service, record, rows, MOST_OF_DATASET, record.batch.inputFormat) end
    end
  end
  return answers.value(200, { data = rows })
end

return preview
