--- Reads the files of a batch as the service does: counts records, finds those that are bad, decides.
-- Codes: Adobe's batch and partial ingestion guides.
-- @module catalog.emulator.ingestion
local answers = require "catalog.emulator.answers"
local core = require "catalog.core"
local csv = require "catalog.emulator.csv"

local ingestion = {}

local ROWS_A_FILE <const> = 1000

-- Bad rows, a file of JSON lines for each thousand.
local RowErrors = {}
RowErrors.__index = RowErrors

local function new_row_errors(directory, wanted)
  return setmetatable({ directory = directory, wanted = wanted, count = 0, names = {} }, RowErrors)
end

function RowErrors:add(text, code, message, name)
  self.count = self.count + 1
  if not self.wanted then return end
  if (self.count - 1) % ROWS_A_FILE == 0 then
    if self.file then self.file:close() end
    if self.count == 1 then assert(core.system.mkdir(self.directory)) end
    self.names[#self.names + 1] = ("part-%05d.json"):format(#self.names)
    self.file = assert(io.open(self.directory .. "/" .. self.names[#self.names], "wb"))
  end
  assert(self.file:write(assert(core.json.encode {
    _corrupt_record = answers.shown(text), _errors = { { code = code, message = message } }, _filename = name,
  }), "\n"))
end

function RowErrors:close()
  if self.file then self.file:close() end
end

local function json_lines(path, _, name, bad)
  local good = 0
  for line in io.lines(path) do
    if line:find "%S" then
      local row, err = core.json.decode(line)
      if type(row) == "table" then
        good = good + 1
      else
        bad:add(line, "INGEST-1401-400", err and err.message or "the row is no JSON object", name)
      end
    end
  end
  return good
end

local function json_array(path, _, name, bad)
  local file <close> = assert(io.open(path, "rb"))
  local text = file:read "a"
  local rows, err = core.json.decode(text)
  if type(rows) ~= "table" or #rows == 0 and next(rows) then
    bad:add(text:sub(1, 1000), "INGEST-1401-400", err and err.message or "the file is no JSON array", name)
    return 0
  end
  local good = 0
  for _, row in ipairs(rows) do
    if type(row) == "table" then
      good = good + 1
    else
      bad:add(core.json.encode(row) or tostring(row), "INGEST-1401-400", "the row is no JSON object", name)
    end
  end
  return good
end

local function csv_rows(path, format, name, bad)
  local header, good = nil, 0
  for fields, text in csv(path, format) do
    if not header then
      if not fields or not text:find "[^%s,;]" then return nil, "118", "The header row of " .. name .. " is empty" end
      header = fields
    elseif not fields or #fields ~= #header then
      local why = fields and ("the row has %d fields, and the header %d"):format(#fields, #header)
      bad:add(text, "INGEST-1401-400", why or "a quote is not closed", name)
    else
      good = good + 1
    end
  end
  return good
end

local function parquet(path, _, name, bad)
  local file <close> = assert(io.open(path, "rb"))
  local first = file:read(4)
  file:seek("end", -4)
  if first ~= "PAR1" or file:read(4) ~= "PAR1" then
    bad:add("", "INGEST-1401-400", "the file is no Parquet file", name)
  end
  return 0
end

local READERS <const> = { json = json_lines, csv = csv_rows, parquet = parquet }

local function reader_of(format)
  return format.format == "json" and format.isMultiLineJson and json_array or READERS[format.format]
end

-- Reads all files. Gives how many rows are good, and the errors that are no row's.
local function read_files(service, record, names, bad)
  local format, good, errors = record.batch.inputFormat, 0, {}
  local read = reader_of(format)
  for _, name in ipairs(names) do
    if record.files[name] == 0 then
      errors[#errors + 1] = { code = "106", description = "Dataset file is empty: " .. name }
    else
      local path = ("%s/files/%s/%s"):format(service.directory, record.batch.id, name)
      local count, code, description = read(path, format, name, bad)
      if code then errors[#errors + 1] = { code = code, description = description } end
      good = good + (count or 0)
    end
  end
  if #names == 0 then errors[1] = { code = "106", description = "The batch has no files" } end
  return good, errors
end

local function summary(bad)
  if bad.wanted then
    return { code = "INGEST-1212-400", recordCount = bad.count,
      description = "Encountered errors while parsing, converting or otherwise validating the data" }
  end
  return { code = "INGEST-1211-400", recordCount = bad.count,
    description = "Encountered errors; set enableErrorDiagnostics to see them" }
end

local function tolerated(tags, bad, total)
  local percent = tags.acp_partialIngestionPercent
  return bad == 0 or percent and bad * 100 <= percent * total
end

--- Reads the files of a batch and decides what becomes of it.
-- @tparam table service
-- @tparam table record
-- @tparam {string,...} names of its files
-- @tparam {string,...} unfinished names of large files that were not completed
-- @treturn table `status`, `metrics`, `errors`
function ingestion.run(service, record, names, unfinished)
  local tags = record.batch.tags
  local directory = ("%s/row_errors/%s"):format(service.directory, record.batch.id)
  local bad = new_row_errors(directory, tags.acp_enableErrorDiagnostics == true)
  local good, errors = read_files(service, record, names, bad)
  bad:close()
  for _, name in ipairs(unfinished) do
    errors[#errors + 1] = { code = "INGEST-1555-400", description = "The file was not completed: " .. name }
  end
  local fine = #errors == 0 and tolerated(tags, bad.count, good + bad.count)
  if bad.count > 0 then errors[#errors + 1] = summary(bad) end
  local bytes = 0
  for _, name in ipairs(names) do bytes = bytes + record.files[name] end
  record.row_errors = bad.names
  return {
    status = fine and "success" or "failed", errors = errors,
    metrics = {
      inputByteSize = bytes, inputFileCount = #names, inputRecordCount = good + bad.count,
      outputRecordCount = fine and good or 0, failedRecordCount = bad.count, partitionCount = 1,
    },
  }
end

return ingestion
