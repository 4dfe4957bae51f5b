-- What goes wrong with a real Kafka, its groups and topics, and what others send: nothing is lost in silence, nothing comes
-- twice, and what a person has to do is said.
local Group = require "catalog.scheduler.group"
local draining = require "support.draining"
local group = require "catalog.drain.group"
local kafka = require "support.kafka"
local scheduler = require "catalog.scheduler.scheduler"
local service = require "support.service"
local shell = require "support.shell"
local way = require "support.way"

local lines_of <const> = draining.lines

-- What changes of a drain's options, and of librdkafka's properties.
local function options(run, changes, config)
  local given = { kafka = run:kafka() }
  given.kafka.brokers = run.brokers or given.kafka.brokers
  given.kafka.config["topic.metadata.refresh.interval.ms"] = 500
  given.kafka.config["reconnect.backoff.max.ms"] = 500
  for name, value in pairs(config or {}) do given.kafka.config[name] = value end
  for name, value in pairs(changes or {}) do given[name] = value end
  return given
end

local function open(run, changes, config) return run:open(options(run, changes, config)) end

local function drain_records(run, count, changes, config) return run:drain(count, options(run, changes, config)) end

-- Runs a drain beside. Gives what comes of it: `is_over`, `err`.
local function begin(drain)
  local result = {}
  scheduler.begin(Group.new("detached"):new_task(function()
    result.err = select(2, drain:run())
    result.is_over = true
  end))
  return result
end

-- The same run, with something else.
local function other(run, changes) return setmetatable(changes, { __index = run }) end

-- Lists of lines as one, sorted.
local function sorted(text)
  local list = {}
  for line in text:gmatch "[^\n]+\n" do list[#list + 1] = line end
  table.sort(list)
  return table.concat(list)
end

describe("a drain of Apache Kafka", function()
  local broker
  setup(function() broker = kafka.has_apache() and kafka.start(2) end)
  teardown(function() if broker then broker:stop() end end)

  -- What needs the real one, by name.
  local function row(name, body)
    it(name, function()
      if not broker then return pending "needs Apache Kafka: make kafka" end
      draining.run(broker, body)
    end)
  end

  -- Runs a drain until a partition is blocked. Says why, and what else it has told.
  local function run_until_blocked(run, changes, config)
    local told, blocked = {}, nil
    local given = { on_error = function(err) told[#told + 1] = err.message end }
    for name, value in pairs(changes or {}) do given[name] = value end
    local drain = open(run, given, config)
    assert(run:run_until(drain, function()
      blocked = drain:metrics().blocked
      return blocked ~= nil
    end))
    local _, why = next(blocked or {})
    return why, table.concat(told, "\n")
  end

  -- What ends a drain.
  local function ended_by(run, changes, config)
    local drain = open(run, changes, config)
    local ok, err = run:run_until(drain, function() return false end, 12)
    assert.is_nil(ok)
    return err
  end

  row("takes what strangers send: any compression, keys, headers, tombstones", function(run)
    for i, codec in ipairs { "none", "gzip", "snappy", "lz4", "zstd" } do
      broker:produce(run.topic, lines_of(i * 100 + 1, i * 100 + 100),
        ("-z %s -k key%d -H name=value -X linger.ms=50"):format(codec, i))
    end
    broker:produce(run.topic, "key|\n", "-K '|' -Z")
    drain_records(run, 500)
    assert.is_true(lines_of(101, 600) == run:ingested())
  end)

  row("takes what was committed in transactions, nothing of those that were aborted, and has no lag after them", function(run)
    broker:tell(("transaction %s 0 commit"):format(run.topic), lines_of(1, 10))
    broker:tell(("transaction %s 0 abort"):format(run.topic), lines_of(11, 20))
    broker:produce(run.topic, lines_of(21, 30), "-p 0")
    broker:tell(("transaction %s 0 abort"):format(run.topic), lines_of(31, 40))
    local lag
    local drain = open(run)
    assert(run:run_until(drain, function()
      lag = drain:metrics().lag
      return (drain:metrics().batches.success or 0) > 0 and lag == 0
    end))
    assert.equal(0, lag)
    assert.equal(sorted(lines_of(1, 10) .. lines_of(21, 30)), run:ingested())
    -- where all of it is deleted, nothing is missing
    broker:tell(("delete %s 0 -1"):format(run.topic))
    broker:produce(run.topic, lines_of(41, 45), "-p 0")
    drain_records(run, 5)
  end)

  row("of a member with a name of its own goes on; a second one of the name ends it", function(run)
    local static = { ["group.instance.id"] = "one" }
    broker:produce(run.topic, lines_of(1, 10))
    drain_records(run, 10, {}, static)
    broker:produce(run.topic, lines_of(11, 20))
    drain_records(run, 10, {}, static)
    assert.is_true(lines_of(1, 20) == run:ingested())
    local first, second = open(run, {}, static), open(run, {}, static)
    local result
    local err = select(2, run:run_until(first, function()
      if not result and first:metrics().partitions == 2 then result = begin(second) end
      return false
    end))
    assert.equal("FENCED_INSTANCE_ID", err.code)
    second:close()
    assert(run:run_until(open(run), function() return result.is_over end))
  end)

  row("seals what it has when the group shares out anew, also where all partitions are given back", function(run)
    broker:produce(run.topic, lines_of(1, 50))
    local eager = { ["partition.assignment.strategy"] = "range" }
    local told = {} -- what became of batches, and what went wrong
    local drain = open(run, {
      roll = { seconds = 600 }, on_error = function(err) told[#told + 1] = err.message end,
      on_batch = function(report) told[#told + 1] = ("%d records: %s"):format(report.records or 0, report.state) end,
    }, eager)
    local second, seen, result = open(run, {}, eager), nil, nil
    assert(run:run_until(drain, function()
      if not result and drain:metrics().records == 50 then result = begin(second) end
      if not seen and (drain:metrics().batches.success or 0) > 0 then -- its time to roll is far away
        seen = run:ingested()
        second:close()
      end
      return result and result.is_over
    end))
    assert.is_true(lines_of(1, 50) == seen, table.concat(told, "\n"))
  end)

  row("reads partitions that a topic gains from their beginning", function(run)
    broker:produce(run.topic, lines_of(1, 10))
    local records, grown = 0, false
    local drain = open(run, { on_batch = function(report) records = records + (report.records or 0) end })
    assert(run:run_until(drain, function()
      if records == 10 and not grown then
        grown = true
        broker:tell(("partitions %s 4"):format(run.topic))
        broker:produce(run.topic, lines_of(11, 20), "-p 3")
      end
      return records >= 20
    end))
    assert.is_true(lines_of(1, 20) == run:ingested())
  end)

  row("commits nothing for a group that is empty and that it is not in", function(run)
    broker:tell(("topic %s 1"):format(run.topic))
    broker:tell(("note %s %s 0 5 ''"):format(run.group, run.topic))
    local drain = open(run)
    local ok, err = drain.kafka:commit { { partition = { topic = run.topic, number = 0 }, offset = 1 } }
    assert.is_nil(ok)
    assert.equal("UNKNOWN_MEMBER_ID", err.code)
    drain:close()
    local given = { brokers = broker.brokers, topics = { run.topic }, group = run.group }
    assert.equal(5, assert(group.status(run.client, given))[1].offset)
  end)

  row("goes on when the broker was killed and is back", function(run)
    broker:produce(run.topic, lines_of(1, 100))
    local records, killed = 0, false
    local drain = open(run, { on_batch = function(report) records = records + (report.records or 0) end })
    assert(run:run_until(drain, function()
      if records == 100 and not killed then
        killed = true
        broker:kill()
        broker:start()
        broker:produce(run.topic, lines_of(101, 200))
      end
      return records >= 200
    end, 40))
    assert.is_true(lines_of(1, 200) == run:ingested())
  end)

  row("goes on when the way to the broker and to the platform was cut", function(run)
    local platform <close> = way.start(tonumber(run.server.url:match "%d+$"))
    local to_broker <close> = broker:way()
    local behind = other(run, {
      brokers = to_broker.brokers,
      client = service.client("http://127.0.0.1:" .. platform.port, { retry = { tries = 2, base = 0.01 } }),
    })
    broker:produce(run.topic, lines_of(1, 100))
    local records, at, steps = 0, 0, { "cut platform", "open platform", "cut broker", "open broker" }
    local drain = open(behind, { on_batch = function(report) records = records + (report.records or 0) end })
    assert(run:run_until(drain, function()
      at = at + 1
      local step = at % 20 == 0 and steps[at // 20]
      if step then
        local state, which = step:match "(%S+) (%S+)"
        ;(which == "broker" and to_broker or platform):set(state)
        broker:produce(run.topic, lines_of(at // 20 * 100 + 1, at // 20 * 100 + 100))
      end
      return records >= 500
    end, 40))
    assert.is_true(lines_of(1, 500) == run:ingested())
  end)

  row("says how many messages were deleted before they were read, and where a person lets it go on", function(run)
    broker:tell(("topic %s 1 retention.ms=1000"):format(run.topic))
    broker:produce(run.topic, lines_of(1, 10))
    drain_records(run, 10)
    broker:produce(run.topic, lines_of(11, 40))
    for _ = 1, 40 do
      if broker:consume(run.topic) == "" then break end
      os.execute "sleep 0.25"
    end
    broker:produce(run.topic, lines_of(41, 50))
    local why, told = run_until_blocked(run)
    assert.matches("30 offsets from 10 on were deleted before they were read", why)
    assert.matches(("catalog group resolve %s/0=40"):format(run.topic), why, 1, true)
    assert.matches("30 offsets", told)
    assert.is_true(lines_of(1, 10) == run:ingested())
  end)

  row("says that a partition ends before where its group is: the topic was made anew", function(run)
    broker:produce(run.topic, lines_of(1, 10), "-p 0")
    broker:tell(("note %s %s 0 100 ''"):format(run.group, run.topic))
    broker:tell(("note %s %s 1 0 ''"):format(run.group, run.topic))
    assert.matches("ends at 10, and its group is at 100", (run_until_blocked(run)), 1, true)
  end)

  row("does not go on where its offset has expired, and others are there", function(run)
    broker:produce(run.topic, lines_of(1, 10), "-p 0")
    drain_records(run, 10)
    broker:tell(("forget %s %s 0"):format(run.group, run.topic))
    assert.matches("it has expired, or was deleted", (run_until_blocked(run)), 1, true)
    broker:tell(("forget %s %s 1"):format(run.group, run.topic))
    local drain = run.client:drain { dataset = service.DATASET, kafka = run:kafka() }
    local ok, err = run:run_until(drain, function() return false end)
    assert.is_nil(ok)
    assert.matches("say where it starts", err.message, 1, true)
    assert.is_true(lines_of(1, 10) == run:ingested())
  end)

  row("does not touch what somebody else has noted, nor a newer version of it", function(run)
    broker:produce(run.topic, lines_of(1, 10), "-p 0")
    for metadata, pattern in pairs {
      ["of_theirs"] = "its metadata is not of a drain: of_theirs",
      ['{"v":2,"batch":"b","next":5}'] = "its metadata is of version 2 of a drain, and this one knows version 1",
    } do
      broker:tell(("note %s %s 0 3 %s"):format(run.group, run.topic, shell.quote(metadata)))
      broker:tell(("note %s %s 1 0 ''"):format(run.group, run.topic))
      assert.matches(pattern, (run_until_blocked(run)), 1, true)
        local rows = assert(group.status(run.client, { brokers = broker.brokers, topics = { run.topic }, group = run.group }))
      assert.equal(3, rows[1].offset)
      assert.matches(pattern, rows[1].what_to_do, 1, true)
    end
    assert.equal("", run:ingested())
  end)

  row("ends where it may not use the group, or read the topic", function(run)
    local secured = other(run, { brokers = broker.secured })
    local function config(word)
      return {
        ["security.protocol"] = "SASL_PLAINTEXT", ["sasl.mechanism"] = "PLAIN", ["sasl.username"] = "drain",
        ["sasl.password"] = word,
      }
    end
    broker:produce(run.topic, lines_of(1, 10))
    local told = {}
    local wrong = open(secured, { on_error = function(err) told[#told + 1] = err end }, config "s3cret")
    assert(run:run_until(wrong, function() return #told > 0 end))
    assert.equal("auth", told[1].kind)
    assert.is_nil(tostring(told[1]):find("s3cret", 1, true))
    broker:tell("allow User:drain group " .. run.group)
    local err = ended_by(secured, {}, config "word")
    assert.equal("auth", err.kind)
    assert.matches(run.topic, err.message, 1, true)
    broker:tell("allow User:drain topic " .. run.topic)
    local others = other(secured, { group = "others" })
    err = ended_by(others, {}, config "word")
    assert.equal("auth", err.kind)
    assert.equal("GROUP_AUTHORIZATION_FAILED", err.code)
    drain_records(secured, 10, {}, config "word")
  end)

  row("does not go round for ever with a record that no batch can have", function(run)
    broker:produce(run.topic, draining.REFUSED:rep(3) .. lines_of(1, 3), "-p 0")
    local sent, told = false, {}
    local drain = open(run, {
      rejected = run.directory, on_rejected = function(message) told[#told + 1] = message.value end,
    })
    assert(run:run_until(drain, function()
      if not sent and #told == 6 then
        sent = true
        broker:produce(run.topic, lines_of(4, 9), "-p 0")
      end
      return drain:metrics().batches.success == 1
    end))
    assert.equal(1, drain:metrics().batches.failed)
    assert.equal(6, #told)
    assert.is_true(lines_of(4, 9) == run:ingested())
  end)

  row("waits for a topic that does not exist, and says so", function(run)
    local told, made, records = {}, false, 0
    local drain = open(run, {
      on_error = function(err) told[#told + 1] = err.message end,
      on_batch = function(report) records = records + (report.records or 0) end,
    })
    assert(run:run_until(drain, function()
      if #told > 0 and not made then
        made = true
        broker:produce(run.topic, lines_of(1, 10))
      end
      return records >= 10
    end))
    assert.matches(run.topic, told[1], 1, true)
    assert.matches("Unknown topic", told[1])
    assert.is_true(lines_of(1, 10) == run:ingested())
  end)

  row("says that a broker does not take what it notes with offsets, and ends", function(run)
    broker:restart "offset.metadata.max.bytes=20"
    broker:produce(run.topic, lines_of(1, 5))
    local err = ended_by(run)
    assert.equal("OFFSET_METADATA_TOO_LARGE", err.code)
    assert.matches("offset.metadata.max.bytes", err.message, 1, true)
    assert.equal("", run:ingested())
  end)
end)
