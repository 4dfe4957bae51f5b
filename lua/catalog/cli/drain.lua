--- `catalog drain`: from Kafka into batches.
-- @module catalog.cli.drain
local Group = require "catalog.scheduler.group"
local Watch = require "catalog.cli.watch"
local kafka = require "catalog.cli.kafka"
local listening = require "catalog.cli.listening"
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"
local scheduler = require "catalog.scheduler.scheduler"
local sinks = require "catalog.cli.sinks"

local drain = {}

-- Those of its options that are the drain's as they are.
local PLAIN <const> = {
  "from", "file_bytes", "record_bytes", "partial_ingestion", "after_failure", "parallel", "raw", "rejected_topic",
  "rejected",
}

-- How many rejected messages are told; and how often it is looked which partitions this member has, in seconds.
local TOLD <const>, LOOK <const> = 10, 1

--- What is wrong with the options together, or nil.
function drain.check(arguments)
  if arguments.raw and not arguments.transform then return "--raw is for --transform, which makes records of values" end
  if arguments.rejected and arguments.rejected_topic then
    return "--rejected and --rejected-topic are two places for the same; give one of them"
  end
  return kafka.fault(arguments) or listening.fault_of_metrics(arguments)
end

-- Where a message was, or a row.
local function place_of(message)
  if not message.topic then return ("a row of the batch %s"):format(output.plain(message.batch)) end
  return ("%s/%d, offset %d"):format(output.plain(message.topic), message.partition, message.offset)
end

-- Tells the first rejected messages.
local function new_teller()
  local count = 0
  return function(message, err)
    count = count + 1
    if count > TOLD then return end
    output.note(("catalog: %s: %s%s"):format(place_of(message), output.plain(problem.translate(err.message)),
      count == TOLD and "; more are not told" or ""))
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

-- --- beside it ---

-- Closes the drain when a signal asks for that.
local function close_on_signal(watch, made)
  while not watch.stopped do watch:wait(3600) end
  made:close()
end

-- Says how much this member reads, when that has changed.
local function tell_partitions(made)
  local told = 0
  while scheduler.sleep(LOOK) do
    local count = made:metrics().partitions
    if count ~= told then output.note(("catalog: has %s now"):format(output.count(count, "partition"))) end
    told = count
  end
end

-- --- from the start to the end ---

-- Where what was rejected is, as a clause.
local function shown_place(arguments)
  local place = arguments.rejected_topic and "the topic " .. arguments.rejected_topic or arguments.rejected
  if place then return "they are in " .. output.plain(place) end
  return "they are kept nowhere, since neither --rejected nor --rejected-topic is given"
end

local function judge(session, metrics)
  local arguments, parts, failed = session.arguments, {}, metrics.batches.failed
  if metrics.rejected > 0 then parts[1] = output.count(metrics.rejected, "message") .. " rejected" end
  if metrics.refused > 0 then parts[#parts + 1] = output.count(metrics.refused, "row") .. " refused by the service" end
  local place = #parts > 0 and "; " .. shown_place(arguments) or ""
  if failed > 0 then parts[#parts + 1] = failed == 1 and "1 batch failed" or failed .. " batches failed" end
  if metrics.rejected + metrics.refused + failed <= arguments.allow_failed then return problem.OK end
  output.note(("catalog: %s (--allow-failed %d)%s"):format(table.concat(parts, ", "), arguments.allow_failed, place))
  return problem.BATCH_FAILED
end

-- Runs until a signal asks for the end.
local function run(session, watch, server, stream)
  local quiet = session.arguments.quiet
  local given, err = given_of(session)
  if not given then return nil, err end
  local made, refused = session.client:drain(given)
  if not made then return nil, refused end
  stream.sink = made
  if server then
    server:open()
    if not quiet then output.note("catalog: shows its numbers at " .. server.url) end
  end
  local group = Group.new "detached"
  scheduler.begin(group:new_task(close_on_signal, watch, made))
  if not quiet then scheduler.begin(group:new_task(tell_partitions, made)) end
  local ok, failed = made:run()
  group:cancel()
  group:abandon()
  if not ok then return nil, failed end
  if not quiet then
    output.note(("catalog: ended by %s; what is in no batch that was completed is read by who goes on"):format(
      watch.stopped))
  end
  return judge(session, made:metrics())
end

function drain.run(session)
  local arguments = session.arguments
  local stream = { kind = "drain", dataset = arguments.dataset, group = arguments.group }
  local server <close>, unserved = listening.start_metrics(arguments, stream)
  if unserved then return nil, unserved end
  local watch <close>, err = Watch.new(function()
    session:read_credentials()
    if server then server:read_again() end
  end)
  if not watch then return nil, err end
  return run(session, watch, server, stream)
end

return drain
