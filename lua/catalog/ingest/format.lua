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

-- Whether files may be JSON, as far as the options tell.
local function may_be_json(given) return (given.format or "json") == "json" and not given.csv end

--- Whether it matters how files begin.
-- @tparam table given the options of the ingest
-- @treturn boolean
format.needs_look = may_be_json

-- Byte-order marks, which are no JSON (RFC 8259, 8.1); the longer ones first.
local MARKS <const> = {
  { "\0\0\xFE\xFF", "UTF-32" }, { "\xFF\xFE\0\0", "UTF-32" }, { "\xFE\xFF", "UTF-16" }, { "\xFF\xFE", "UTF-16" },
  { "\u{FEFF}", "UTF-8" },
}

local function mark_of(beginning)
  for _, mark in ipairs(MARKS) do
    if beginning:sub(1, #mark[1]) == mark[1] then return mark[2] end
  end
end

--- Takes note of how a file begins: whether it is one JSON array, and no lines (blanks may come first, but not for
-- ever); and the encoding that a byte-order mark says.
-- @tparam table item gets `is_array`, `mark`
-- @tparam string beginning
function format.look(item, beginning)
  item.mark, item.is_array = mark_of(beginning), beginning:gsub("^\u{FEFF}", ""):find "^%s*%[" ~= nil
end

--- Says that a file is empty.
-- @tparam string shown what it is called
-- @treturn nil
-- @treturn table error of kind `data`
function format.empty(shown)
  return failure("data", "%s is empty, and the service fails a batch with an empty file in it; nothing was sent", shown)
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

-- The error of a file with a byte-order mark.
local function marked(item)
  return failure("data", "%s, line 1: it begins with a byte-order mark of %s, which is no JSON; %s", item.file,
    item.mark, item.mark == "UTF-8" and "take its first 3 bytes away (tail -c +4)"
      or ("convert it to UTF-8 without one (iconv -f %s -t UTF-8)"):format(item.mark))
end

--- Checks that files that go as JSON have no byte-order marks, and that those that go as lines of it are no arrays.
-- @tparam table given the options of the ingest, with the format
-- @tparam {table,...} files each `file`, and what `look` noted
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`
function format.check(given, files)
  if given.format ~= "json" or not may_be_json(given) then return true end
  for _, item in ipairs(files) do
    if item.mark then return marked(item) end
    if item.is_array and not given.multiline then
      return failure("data", "%s begins with [, which makes it one JSON array and no lines of JSON;"
        .. " give multiline = true", item.file)
    end
  end
  return true
end

return format
