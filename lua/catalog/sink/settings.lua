--- The options of a sink, checked together when it is opened: their defaults fit one another.
-- @module catalog.sink.settings
local creation = require "catalog.batch.creation"
local failure = require "catalog.base.failure"
local limits = require "catalog.base.limits"
local options = require "catalog.base.options"
local stream = require "catalog.stream.settings"

local with_defaults <const> = stream.with_defaults

local SCHEMA <const> = {
  check = "boolean",
  dataset = "string|table", spool = "string", sandbox = "string", tags = "table", extra = "table", format = "string",
  error_diagnostics = "boolean", partial_ingestion = "number", roll = "table", file_bytes = "number",
  limit = "table", sync_seconds = "number", record_bytes = "number", after_failure = "string", parallel = "integer",
  transform = "callable",
  on_batch = "callable", on_rejected = "callable", on_error = "callable", on_warning = "callable",
}
local ROLL <const> = { seconds = "number", bytes = "number", files = "integer", records = "integer" }
local LIMIT <const> = { bytes = "number", free = "number", timeout = "number" }

-- The time of a batch keeps within what the profile store takes. Source: Adobe's guardrails, "about 90 batches a day".
local DEFAULTS <const> = {
  file_bytes = 64000000, sync_seconds = 1, record_bytes = 1000000, error_diagnostics = true, partial_ingestion = 5,
  after_failure = "continue", format = "json",
  rejected_bytes = 1000000000, -- no option: so much in `rejected` is more than anybody looks at
}
local ROLL_DEFAULTS <const> = { seconds = 960, bytes = 10000000000, files = 1500 }
local LIMIT_DEFAULTS <const> = { bytes = 50000000000, free = 2000000000 }

local DAY <const> = 86400

-- What a ring takes as a whole, bytes; a longer record could never be written.
local LONGEST_RECORD <const> = 4 * 1024 * 1024

-- The names of what is to be a whole number of bytes or of things, and the least and the most of each.
local function ranges(settings)
  local roll, limit = settings.roll, settings.limit
  return {
    { "roll.seconds", roll.seconds, 1, 30 * DAY }, { "roll.bytes", roll.bytes, 1, limits.MAX_BYTES },
    { "roll.files", roll.files, 1, limits.MAX_FILES }, { "roll.records", roll.records or 1, 1, math.maxinteger },
    { "file_bytes", settings.file_bytes, 1, limits.LARGEST_PUT },
    { "record_bytes", settings.record_bytes, 2, LONGEST_RECORD },
    { "limit.bytes", limit.bytes, 1, math.maxinteger }, { "limit.free", limit.free, 0, math.maxinteger },
    { "limit.timeout", limit.timeout or 1, 0, math.huge }, { "sync_seconds", settings.sync_seconds, 0, 3600 },
    { "partial_ingestion", settings.partial_ingestion, 0, 100 }, { "parallel", settings.parallel or 1, 1, 1000 },
  }
end

-- Options that are fine each, and contradict one another.
local function contradiction(settings)
  local roll, limit = settings.roll, settings.limit
  if settings.record_bytes > settings.file_bytes then
    return ("record_bytes (%d) is more than file_bytes (%d): a record must fit into a file"):format(
      settings.record_bytes, settings.file_bytes)
  end
  if settings.file_bytes > roll.bytes then
    settings.file_bytes = roll.bytes -- one file a batch then
  end
  if settings.record_bytes > roll.bytes then
    return ("record_bytes (%d) is more than roll.bytes (%d): a record must fit into a batch"):format(
      settings.record_bytes, roll.bytes)
  end
  if limit.bytes < 2 * settings.file_bytes then
    return ("limit.bytes (%d) is less than two files of file_bytes (%d): the spool would be full before a file is "
      .. "sent"):format(limit.bytes, settings.file_bytes)
  end
end

--- Checks the options of a sink.
-- @tparam ?table given
-- @tparam integer level who is to blame, as in `error`, seen from the caller
-- @treturn[1] table all of them, with their defaults
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
-- @raise an option is unknown or has a wrong type; `dataset` or `spool` is missing
return function(given, level)
  options.check(given, SCHEMA, "sink", level + 1)
  given = given or {}
  for _, name in ipairs { "dataset", "spool" } do
    if not given[name] then error(("bad option '%s' for sink (string expected, got nil)"):format(name), level + 1) end
  end
  options.check(given.roll, ROLL, "sink.roll", level + 1)
  options.check(given.limit, LIMIT, "sink.limit", level + 1)
  local settings = with_defaults(given, DEFAULTS)
  settings.roll, settings.limit = with_defaults(given.roll, ROLL_DEFAULTS), with_defaults(given.limit, LIMIT_DEFAULTS)
  stream.to_integers(settings, { "file_bytes", "record_bytes" })
  stream.to_integers(settings.roll, { "bytes" })
  stream.to_integers(settings.limit, { "bytes", "free" })
  local ok, err = stream.check_ranges(ranges(settings))
  if not ok then return nil, err end
  if settings.format ~= "json" then
    return failure("config", 'format is "%s"; a sink writes JSON lines, "json"', settings.format)
  end
  ok, err = stream.check_after_failure(settings.after_failure)
  if not ok then return nil, err end
  local wrong = contradiction(settings)
  if wrong then return failure("config", "%s", wrong) end
  creation.check({ dataset = settings.dataset, tags = settings.tags, extra = settings.extra }, level + 1)
  stream.warn_of_many_batches(settings)
  return settings
end
