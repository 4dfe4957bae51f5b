--- The format of files: what their endings say, where nobody says it, and whether they are what they are sent as.
-- @module catalog.ingest.format
local failure = require "catalog.base.failure"

local format = {}

local ENDINGS <const> = { json = "json", jsonl = "json", ndjson = "json", csv = "csv", parquet = "parquet" }

--- The format that the ending of a path says.
-- @tparam string path
-- @treturn ?string nil: it says none
function format.of_path(path) return ENDINGS[(path:match "%.(%w+)$" or ""):lower()] end

-- Whether something of the call says the format, by which the service's own default does not count either.
local function is_said(given)
  return given.format or given.csv or given.multiline or given.extra and given.extra.inputFormat
end

--- Whether files may be sent as lines of JSON.
-- @tparam table given the options of the ingest
-- @treturn boolean
function format.may_be_lines(given)
  return (given.format or "json") == "json" and not given.csv and not given.multiline
end

--- Whether a file is one JSON array, and no lines. Blanks may come first, but not for ever.
-- @tparam string beginning how it begins
-- @treturn boolean
function format.is_array(beginning)
  return beginning:gsub("^\u{FEFF}", ""):find "^%s*%[" ~= nil
end

--- Chooses the format where the call does not say it: by the endings of the files' paths, or of the names they get.
-- @tparam table given the options of the ingest
-- @tparam {table,...} files each `name` and `file`; `default`, where it has one: what it is where no ending says it
-- @treturn[1] ?string nil: the call says it, or leaves it to the service
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`: the endings do not say one
function format.choose(given, files)
  if is_said(given) then return nil end
  local chosen, by
  for _, item in ipairs(files) do
    local found = format.of_path(item.file) or format.of_path(item.name) or item.default
    if not found then
      return failure("data", "the ending of %s does not say its format (.json, .jsonl, .ndjson, .csv or .parquet"
        .. " would); give format, which is json, csv or parquet", item.file)
    end
    if chosen and found ~= chosen then
      return failure("data", "the files are of more than one format: %s is %s, and %s is %s; give format, or ingest"
        .. " them apart", by.file, chosen, item.file, found)
    end
    chosen, by = found, item
  end
  return chosen
end

--- Checks that files that go as lines of JSON are no arrays.
-- @tparam table given the options of the ingest, with the format
-- @tparam {table,...} files each `file`, and `is_array`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`
function format.check(given, files)
  if given.format ~= "json" or not format.may_be_lines(given) then return true end
  for _, item in ipairs(files) do
    if item.is_array then
      return failure("data", "%s begins with [, which makes it one JSON array and no lines of JSON;"
        .. " give multiline = true", item.file)
    end
  end
  return true
end

return format
