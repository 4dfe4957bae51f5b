--- Reads the files of a batch as the service does: counts records, finds those that are bad, decides.
-- Codes: Adobe's batch and partial ingestion guides.
-- @module catalog.emulator.ingestion
local answers = require "catalog.emulator.answers"
local core = require "catalog.core"
local csv = require "catalog.emulator.csv"
local ingested = require "catalog.emulator.ingested"
local schemas = require "catalog.emulator.schemas"

local ingestion = {}

local ROWS_A_FILE <const> = 1000

local PARSING <const>, MISSING <const>, UNFIT <const> = "INGEST-1401-400", "INGEST-1555-400", "INGEST-1402-400"

-- How many problems of a row are told.
local TOLD <const> = 10

-- Rows that cannot be parsed, a file of JSON lines for each thousand.
local RowErrors = {}
RowErrors.__index = RowErrors

local function new_row_errors(directory, wanted)
  return setmetatable({ directory = directory, wanted = wanted, count = 0, names = {}, codes = {} }, RowErrors)
end

-- Adds a row that cannot be parsed.
function RowErrors:add(text, message, name)
  self:note({ _corrupt_record = answers.shown(text) }, { { code = PARSING, message = message } }, name)
end

-- Adds a row as it is, with what is wrong with it.
function RowErrors:note(row, errors, name)
  self.count = self.count + 1
  self.codes[errors[1].code] = (self.codes[errors[1].code] or 0) + 1
  if not self.wanted then return end
  if (self.count - 1) % ROWS_A_FILE == 0 then
    if self.file then self.file:close() end
    if self.count == 1 then assert(core.fs.mkdir(self.directory)) end
    self.names[#self.names + 1] = ("parsing_errors_%d.json"):format(#self.names)
    self.file = assert(io.open(self.directory .. "/" .. self.names[#self.names], "wb"))
  end
  row._errors, row._filename = core.json.array(errors), name
  local line = core.json.encode(row) -- JSON can be read that cannot be written, such as 1e999
    or assert(core.json.encode { _errors = row._errors, _filename = name })
  assert(self.file:write(line, "\n"))
end

function RowErrors:close()
  if self.file then self.file:close() end
end

local function first_of(text)
  return text:match "^%s*(.)"
end

-- Whether a row fits the schema, where there is one; what does not is noted.
local function fits(row, find, name, bad)
  local found = find and find(row, TOLD) or {}
  if #found == 0 then return true end
  local errors = {}
  for i, one in ipairs(found) do
    errors[i] = {
      code = one.problem == "required" and MISSING or UNFIT, message = ("%s: %s"):format(one.path, one.message),
    }
  end
  bad:note(row, errors, name)
end

local function json_lines(path, _, name, bad, find, kept)
  local good = 0
  for line in io.lines(path) do
    if line:find "%S" then
      local row, err = core.json.decode(line)
      if type(row) == "table" and first_of(line) == "{" then
        if fits(row, find, name, bad) then
          good = good + 1
          kept:add(line)
        end
      else
        bad:add(line, err and err.message or "the row is no JSON object", name)
      end
    end
  end
  return good
end

-- Which of the elements of a JSON array are objects: once decoded, an empty object is like an empty array.
local function objects_of(text)
  local plain = text:gsub("\\.", ""):gsub('"[^"]*"', "0"):gsub("%s", "") -- a text may have brackets in it
  local objects = {}
  for element in (plain:sub(2, -2):gsub("%b{}", "{}"):gsub("%b[]", "[]") .. ","):gmatch "([^,]*)," do
    objects[#objects + 1] = element == "{}"
  end
  return objects
end

local function json_array(path, _, name, bad, find, kept)
  local file <close> = assert(io.open(path, "rb"))
  local text = file:read "a"
  local rows, err = core.json.decode(text)
  if type(rows) ~= "table" or first_of(text) ~= "[" then
    bad:add(text:sub(1, 1000), err and err.message or "the file is no JSON array", name)
    return 0
  end
  local good, objects = 0, objects_of(text)
  for i, row in ipairs(rows) do
    if objects[i] then
      if fits(row, find, name, bad) then
        good = good + 1
        kept:add(core.json.encode(row) or "{}")
      end
    else
      bad:add(core.json.encode(row) or tostring(row), "the row is no JSON object", name)
    end
  end
  return good
end

local function csv_rows(path, format, name, bad, _, kept)
  local header, good = nil, 0
  for fields, text in csv(path, format) do
    if not header then
      if not fields or not text:find "[^%s,;]" then return nil, "118", "The header row of " .. name .. " is empty" end
      header = fields
      kept:add(text)
    elseif not fields or #fields ~= #header then
      local why = fields and ("the row has %d fields, and the header %d"):format(#fields, #header)
      bad:add(text, why or "a quote is not closed", name)
    else
      good = good + 1
      kept:add(text)
    end
  end
  return good
end

-- Its records are not counted.
local function parquet(path, _, name, bad)
  local file <close> = assert(io.open(path, "rb"))
  local first = file:read(4)
  file:seek("end", -4)
  if first ~= "PAR1" or file:read(4) ~= "PAR1" then
    bad:add("", "the file is no Parquet file", name)
  end
end

local READERS <const> = { json = json_lines, csv = csv_rows, parquet = parquet }

local function reader_of(format)
  return format.format == "json" and format.isMultiLineJson and json_array or READERS[format.format]
end

-- Reads all files. Gives how many rows are good in each of those whose rows are counted, and the errors that are no
-- row's.
local function read_files(service, record, names, bad, kept)
  local format, counts, errors = record.batch.inputFormat, {}, {}
  local read, find = reader_of(format), schemas.check_of(service, record)
  for number, name in ipairs(names) do
    if record.files[name] == 0 then
      errors[#errors + 1] = { code = "106", description = "Dataset file is empty: " .. name }
    else
      local path = ("%s/files/%s/%s"):format(service.directory, record.batch.id, name)
      kept:begin(number, name)
      local count, code, description = read(path, format, name, bad, find, kept)
      if code then errors[#errors + 1] = { code = code, description = description } end
      counts[name] = count
    end
  end
  if #names == 0 then errors[1] = { code = "106", description = "The batch has no files" } end
  return counts, errors
end

local DESCRIPTIONS <const> = {
  [PARSING] = "The row has corrupted data and cannot be read or parsed", [MISSING] = "A required field is missing",
  [UNFIT] = "A field does not fit the schema",
}

-- Bad rows as errors of the batch: a summary, and where diagnostics were asked for what there was of each code.
local function summarise(errors, bad)
  if bad.count == 0 then return end
  if not bad.wanted then
    errors[#errors + 1] = { code = "INGEST-1211-400",
      description = "Encountered errors while parsing, converting or otherwise validating the data;"
        .. " set enableErrorDiagnostics to see them" }
    return
  end
  errors[#errors + 1] = { code = "INGEST-1212-400", recordCount = bad.count,
    description = ("Encountered %d errors in the data; the files of row_errors have them"):format(bad.count) }
  for _, code in ipairs { PARSING, MISSING, UNFIT } do
    if bad.codes[code] then
      errors[#errors + 1] = { code = code, recordCount = bad.codes[code], description = DESCRIPTIONS[code] }
    end
  end
end

-- How many records came and went; of Parquet nobody knows.
local function count_records(metrics, format, good, bad, fine)
  if format == "parquet" then return end
  metrics.inputRecordCount = good + bad
  metrics.outputRecordCount = fine and good or 0
  metrics.failedRecordCount = bad
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
  local kept = ingested.new(service, record)
  local counts, errors = read_files(service, record, names, bad, kept)
  bad:close()
  local good, bytes = 0, 0
  for _, name in ipairs(names) do good, bytes = good + (counts[name] or 0), bytes + record.files[name] end
  for _, name in ipairs(unfinished) do
    errors[#errors + 1] = { code = "INGEST-1555-400", description = "The file was not completed: " .. name }
  end
  local fine = #errors == 0 and tolerated(tags, bad.count, good + bad.count)
  kept:finish(fine and bad.count > 0)
  summarise(errors, bad)
  local metrics = { inputByteSize = bytes, inputFileCount = #names, partitionCount = 1 }
  count_records(metrics, record.batch.inputFormat.format, good, bad.count, fine)
  record.row_errors, record.counts = bad.names, counts
  return { status = fine and "success" or "failed", errors = errors, metrics = metrics }
end

return ingestion
