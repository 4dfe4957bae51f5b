--- `catalog drain`: from Kafka into batches.
-- @module catalog.cli.drain
local Group = require "catalog.scheduler.group"
local Watch = require "catalog.cli.watch"
local kafka = require "catalog.cli.kafka"
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"
local scheduler = require "catalog.scheduler.scheduler"
local sinks = require "catalog.cli.sinks"

local drain = {}

-- Those of its options that are a sink's as well.
local PLAIN <const> = {
  "from", "file_bytes", "record_bytes", "partial_ingestion", "after_failure", "parallel", "rejected_topic", "rejected",
}

-- How many rejected messages are told.
local TOLD <const> = 10

function drain.check(arguments) return kafka.fault(arguments) end

-- Tells the first rejected messages, and where the others are.
local function new_teller()
  local count = 0
  return function(message, err)
    count = count + 1
    if count > TOLD then return end
    output.note(("catalog: %s/%d, offset %d: %s%s"):format(output.plain(message.topic), message.partition,
      message.offset, output.plain(err.message), count == TOLD and "; more are not told" or ""))
  end
end

local function given_of(session)
  local arguments = session.arguments
  local of_kafka, err = kafka.given(arguments)
  if not of_kafka then return nil, err end
  local given, unloaded = sinks.common(session, arguments.dataset)
  if not given then return nil, unloaded end
  given.kafka, given.on_rejected = of_kafka, new_teller()
  for _, name in ipairs(PLAIN) do given[name] = arguments[name] end
  return given
end

-- Closes the drain when a signal asks for that.
local function close_on_signal(watch, made)
  while not watch.stopped do watch:wait(3600) end
  made:close()
end

local function run(session, watch)
  local given, err = given_of(session)
  if not given then return nil, err end
  local made, refused = session.client:drain(given)
  if not made then return nil, refused end
  local group = Group.new "detached"
  scheduler.begin(group:new_task(close_on_signal, watch, made))
  local ok, failed = made:run()
  group:cancel()
  group:abandon()
  if not ok then return nil, failed end
  local metrics = made:metrics()
  output.note(("catalog: ended by %s; what is in no batch that was completed is read by who goes on"):format(
    watch.stopped))
  local failures = (metrics.batches.failed or 0) + metrics.rejected
  return failures > (session.arguments.allow_failed or 0) and problem.BATCH_FAILED or problem.OK
end

function drain.run(session)
  local watch <close>, err = Watch.new(function() session:read_credentials() end)
  if not watch then return nil, err end
  return run(session, watch)
end

return drain
