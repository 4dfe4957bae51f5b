--- The options of a drain, checked together when it is made: their defaults fit one another.
-- @module catalog.drain.settings
local creation = require "catalog.batch.creation"
local failure = require "catalog.base.failure"
local limits = require "catalog.base.limits"
local options = require "catalog.base.options"
local stream = require "catalog.stream.settings"

local SCHEMA <const> = {
  dataset = "string|table", sandbox = "string", tags = "table", extra = "table", error_diagnostics = "boolean",
  partial_ingestion = "number", kafka = "table", from = "string", roll = "table", file_bytes = "number",
  record_bytes = "number", after_failure = "string", rejected_topic = "string", rejected = "string",
  parallel = "integer", transform = "callable", raw = "boolean", on_batch = "callable", on_rejected = "callable",
  on_error = "callable", on_warning = "callable",
}
local KAFKA <const> = { brokers = "string", topics = "table", group = "string", config = "table" }
local ROLL <const> = { seconds = "number", bytes = "number", files = "integer", records = "integer" }

local DEFAULTS <const> = {
  file_bytes = 4000000, record_bytes = 1000000, error_diagnostics = true, partial_ingestion = 5,
  format = "json", parallel = 4,
}
local ROLL_DEFAULTS <const> = { seconds = 960, bytes = 10000000000, files = 1500 }

local DAY <const> = 86400

-- What a message may have at the most, bytes.
local LONGEST_RECORD <const> = 64 * 1024 * 1024

-- What the guarantee needs to be as it is, and why.
local KEPT <const> = {
  ["enable.auto.commit"] = "offsets are committed when a batch has succeeded",
  ["enable.auto.offset.store"] = "offsets are committed when a batch has succeeded",
  ["auto.offset.reset"] = "an offset that is gone is told, never skipped; `from` says where a new group starts",
  ["enable.partition.eof"] = "the drain needs to know where a partition ends",
  ["group.id"] = "it is kafka.group", ["bootstrap.servers"] = "it is kafka.brokers",
  ["metadata.broker.list"] = "it is kafka.brokers",
}

local function ranges(settings)
  local roll = settings.roll
  return {
    { "roll.seconds", roll.seconds, 1, 30 * DAY }, { "roll.bytes", roll.bytes, 1, limits.MAX_BYTES },
    { "roll.files", roll.files, 1, limits.MAX_FILES }, { "roll.records", roll.records or 1, 1, math.maxinteger },
    { "file_bytes", settings.file_bytes, 1, limits.LARGEST_PUT },
    { "record_bytes", settings.record_bytes, 2, LONGEST_RECORD },
    { "partial_ingestion", settings.partial_ingestion, 0, 100 }, { "parallel", settings.parallel, 1, 1000 },
  }
end

local function fault_of_topics(topics)
  local seen = {}
  if #topics == 0 then return "kafka.topics is empty; it is a list of names" end
  for i, topic in ipairs(topics) do
    if type(topic) ~= "string" or topic == "" then return ("kafka.topics[%d] is no name of a topic"):format(i) end
    if topic:sub(1, 1) == "^" then return ("kafka.topics[%d] is a pattern; a drain takes names"):format(i) end
    if seen[topic] then return ("kafka.topics has %s twice"):format(topic) end
    seen[topic] = true
  end
end

-- What is wrong with `kafka`, or nil.
local function fault_of_kafka(kafka)
  local fault = fault_of_topics(kafka.topics)
  if fault then return fault end
  if kafka.brokers == "" then return "kafka.brokers is empty; it is as k1:9092,k2:9092" end
  if kafka.group == "" then return "kafka.group is empty; it is the name of a consumer group" end
  local config = kafka.config or {}
  for name in pairs(config) do
    if KEPT[name] then return ("kafka.config has %s, which a drain sets: %s"):format(name, KEPT[name]) end
  end
  local protocol = tostring(config["security.protocol"]):upper()
  if protocol:find "^SASL" and not config["sasl.mechanism"] and not config["sasl.mechanisms"] then
    return ("security.protocol is %s, and sasl.mechanism is not given: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, "
      .. "OAUTHBEARER or GSSAPI"):format(protocol)
  end
end

local function fault_of(settings)
  if settings.from and settings.from ~= "beginning" and settings.from ~= "end" then
    return ('from is "%s"; it is "beginning" or "end"'):format(settings.from)
  end
  if settings.raw and not settings.transform then
    return "raw is for a transform, which makes records of values; without one they are JSON"
  end
  if settings.rejected_topic and settings.rejected then
    return "rejected_topic and rejected are both given; records are rejected to one place"
  end
  for _, topic in ipairs(settings.kafka.topics) do
    if topic == settings.rejected_topic then return "rejected_topic is one of kafka.topics: records would go round" end
  end
  if settings.after_failure == "continue" and not settings.rejected_topic and not settings.rejected then
    return 'after_failure is "continue", and there is no place for what a failed batch had: give rejected_topic or '
      .. 'rejected (a directory)'
  end
end

--- Checks the options of a drain.
-- @tparam ?table given
-- @tparam integer level who is to blame, as in `error`, seen from the caller
-- @treturn[1] table all of them, with their defaults
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
-- @raise an option is unknown or has a wrong type; one that is required is missing
return function(given, level)
  options.check(given, SCHEMA, "drain", level + 1)
  given = given or {}
  for name, kind in pairs { dataset = "string", kafka = "table" } do
    if not given[name] then
      error(("bad option '%s' for drain (%s expected, got nil)"):format(name, kind), level + 1)
    end
  end
  options.check(given.kafka, KAFKA, "drain.kafka", level + 1)
  for _, name in ipairs { "brokers", "topics", "group" } do
    if not given.kafka[name] then error(("bad option 'kafka.%s' for drain (got nil)"):format(name), level + 1) end
  end
  options.check(given.roll, ROLL, "drain.roll", level + 1)
  local settings = stream.with_defaults(given, DEFAULTS)
  -- where there is no place for what fails, a person decides
  settings.after_failure = settings.after_failure or (given.rejected_topic or given.rejected) and "continue" or "stop"
  settings.roll = stream.with_defaults(given.roll, ROLL_DEFAULTS)
  stream.to_integers(settings, { "file_bytes", "record_bytes" })
  stream.to_integers(settings.roll, { "bytes" })
  local ok, err = stream.check_ranges(ranges(settings))
  if ok then ok, err = stream.check_after_failure(settings.after_failure) end
  if not ok then return nil, err end
  local wrong = fault_of_kafka(settings.kafka) or fault_of(settings)
  if wrong then return failure("config", "%s", wrong) end
  creation.check({ dataset = settings.dataset, tags = settings.tags, extra = settings.extra }, level + 1)
  stream.warn_of_many_batches(settings)
  return settings
end
