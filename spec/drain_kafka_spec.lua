-- From a real Kafka into batches: by `client:drain` in this process, and by `catalog drain` in others.
local Group = require "catalog.scheduler.group"
local command = require "support.command"
local core = require "catalog.core"
local drain_kills = require "support.drain_kills"
local kafka = require "support.kafka"
local scheduler = require "catalog.scheduler.scheduler"
local service = require "support.service"
local shell = require "support.shell"

local DATASET <const> = service.DATASET

-- The lines of numbers, sorted, as one text: what is compared is long.
local function lines_of(first, last)
  local list = {}
  for i = first, last do list[#list + 1] = ('{"n":%d}\n'):format(i) end
  table.sort(list)
  return table.concat(list)
end

-- All lines of batches that ended in success, likewise.
local function ingested(run)
  local list = {}
  local batches = assert(run.client:send {
    method = "GET", path = "/data/foundation/catalog/batches?limit=100", read = core.json.decode, repeatable = true,
  })
  for id, fields in pairs(batches) do
    if fields.status == "success" then
      for line in shell.run(("cat %s/files/%s/* 2>/dev/null"):format(run.directory, id)):gmatch "[^\n]+\n" do
        list[#list + 1] = line
      end
    end
  end
  table.sort(list)
  return table.concat(list)
end

describe("a drain", function()
  local broker
  setup(function() broker = kafka.start(4) end)
  teardown(function() broker:stop() end)

  local topics = 0

  -- An emulator, and a topic of its own.
  local function with_topic(body)
    topics = topics + 1
    local topic = "topic" .. topics
    shell.with_directory(function(directory)
      service.run({ data_dir = directory }, function(server, client)
        body {
          server = server, client = client, directory = directory, topic = topic, group = "group" .. topics,
        }
      end)
    end)
  end

  local function open(run, changes)
    local given = {
      dataset = DATASET, from = "beginning", roll = { seconds = 1 },
      kafka = {
        brokers = broker.brokers, topics = { run.topic }, group = run.group,
        config = { ["session.timeout.ms"] = 6000, ["heartbeat.interval.ms"] = 500 },
      },
    }
    for name, value in pairs(changes or {}) do given[name] = value end
    return assert(run.client:drain(given))
  end

  -- Runs a drain until something is so, some time at the most.
  local function run_until(drain, is_so, seconds)
    local group = Group.new "detached"
    scheduler.begin(group:new_task(function()
      local last = core.system.monotonic() + (seconds or 15)
      while not is_so() and core.system.monotonic() < last do scheduler.sleep(0.05) end
      drain:close()
    end))
    local ok, err = drain:run()
    group:abandon()
    return ok, err
  end

  -- Drains until so many records are in batches that have succeeded.
  local function drain_records(run, count, changes)
    local records, reports = 0, {}
    local given = {
      on_batch = function(report)
        reports[#reports + 1] = report
        if report.state == "success" then records = records + (report.records or 0) end
      end,
    }
    for name, value in pairs(changes or {}) do given[name] = value end
    assert(run_until(open(run, given), function() return records >= count end))
    assert.equal(count, records)
    return reports
  end

  it("reads all of a topic into batches, once, and goes on where it was left", function()
    with_topic(function(run)
      broker:produce(run.topic, lines_of(1, 3000))
      local reports = drain_records(run, 3000)
      assert.is_true(lines_of(1, 3000) == ingested(run))
      assert.equal("success", reports[1].status)
      broker:produce(run.topic, lines_of(3001, 3100))
      drain_records(run, 100)
      assert.is_true(lines_of(1, 3100) == ingested(run))
    end)
  end)

  it("takes keys, headers, blanks and tombstones, rejects what is no record, and changes what it is told to", function()
    with_topic(function(run)
      local kept = run.directory .. "/kept"
      core.fs.mkdir(kept)
      broker:produce(run.topic, '{"n":1}\n{\r"n": 2}\nnone\n[1]\n', "-k key -H a=b -z gzip")
      broker:produce(run.topic, "key|\n", "-K '|' -Z") -- a tombstone
      local told = {}
      local drain = open(run, {
        rejected = kept,
        on_rejected = function(message, err) told[#told + 1] = message.value .. ": " .. err.message end,
      })
      assert(run_until(drain, function() return (drain:metrics().batches.success or 0) > 0 end))
      table.sort(told)
      assert.equal(2, #told)
      assert.matches("^%[1%]: it is no JSON object$", told[1])
      assert.equal('{ "n": 2}\n{"n":1}\n', ingested(run))
      assert.equal(1, drain:metrics().dropped)
      assert.matches('"value":"none"', shell.run(("cat %s/*.jsonl"):format(kept)), 1, true)
      broker:produce(run.topic, '{"n":3}\n{"n":4}\n{"n":5}\n')
      drain_records(run, 3, {
        transform = function(record, message)
          if record.n == 4 then return nil end
          if record.n == 3 then return { record, { topic = message.topic } } end
          return { n = record.n * 2 }
        end,
      })
      assert.equal(('{ "n": 2}\n{"n":10}\n{"n":1}\n{"n":3}\n{"topic":"%s"}\n'):format(run.topic), ingested(run))
    end)
  end)

  it("has a batch that failed kept elsewhere, with the reason, or stops for a person", function()
    with_topic(function(run)
      local deep <const> = ('{"a":'):rep(300) .. "1" .. ("}"):rep(300) .. "\n" -- JSON, and more than the emulator reads
      broker:produce(run.topic, deep:rep(3) .. '{"n":1}\n', "-p 1")
      local reports = {}
      local drain = open(run, {
        after_failure = "stop", on_batch = function(report) reports[#reports + 1] = report end,
      })
      local blocked -- until it gives its partitions back
      assert(run_until(drain, function()
        blocked = drain:metrics().blocked
        return blocked ~= nil
      end))
      assert.matches("the batch failed: ", blocked[run.topic .. "/1"])
      assert.equal("failed", reports[1].state)
      local told = {}
      local again = open(run, {
        rejected = run.directory, on_rejected = function(message, err) told[#told + 1] = message.value .. err.message end,
      })
      assert(run_until(again, function() return #told >= 4 end))
      assert.equal(4, #told)
      assert.matches('^{"n":1}the batch failed: ', told[4])
      assert.equal("", ingested(run))
      broker:produce(run.topic, lines_of(21, 30))
      drain_records(run, 10)
      assert.equal(lines_of(21, 30), ingested(run))
    end)
  end)

  it("of a new group has to be told where it starts; starts at the end where it is told so", function()
    with_topic(function(run)
      broker:produce(run.topic, lines_of(1, 5))
      local given = { from = "end" }
      local nowhere = assert(run.client:drain {
        dataset = DATASET, kafka = { brokers = broker.brokers, topics = { run.topic }, group = run.group .. "n" },
      })
      local ok, err = run_until(nowhere, function() return false end)
      assert.is_nil(ok)
      assert.equal("config", err.kind)
      assert.matches('from = "beginning" or "end"', err.message, 1, true)
      local drain = open(run, given)
      assert(run_until(drain, function()
        if drain:metrics().partitions > 0 and drain:metrics().lag == 0 and next(drain.member.assignment.partitions) then
          for _, partition in pairs(drain.member.assignment.partitions) do
            if not partition.next then return false end
          end
          return true
        end
      end))
      broker:produce(run.topic, lines_of(6, 9))
      drain_records(run, 4, given)
      assert.equal(lines_of(6, 9), ingested(run))
    end)
  end)

  it("is shown from outside, and a person decides by hand where it goes on", function()
    if not broker.is_apache then return pending "needs Apache Kafka: make kafka" end
    with_topic(function(run)
      broker:produce(run.topic, lines_of(1, 8), "-p 2")
      drain_records(run, 8)
      local where = ("--brokers %s --topic %s --group %s"):format(broker.brokers, run.topic, run.group)
      local shown, status = command.run(run.server, "group status " .. where)
      assert.equal(0, status, shown)
      assert.matches(run.topic .. "/2 +offset 8, 0 messages behind it", shown)
      shown, status = command.run(run.server, ("group resolve %s %s/2=done"):format(where, run.topic))
      assert.equal(1, status)
      assert.matches("has no batch that decides; say an offset", shown)
      local group = require "catalog.drain.group"
      local given = { brokers = broker.brokers, topics = { run.topic }, group = run.group }
      assert(group.resolve(run.client, given, { [run.topic .. "/2"] = "3" }))
      assert.equal(3, assert(group.status(run.client, given))[3].offset)
      assert.equal(5, assert(group.status(run.client, given))[3].lag)
      local none, err = group.resolve(run.client, given, { [run.topic .. "/9"] = "3" })
      assert.is_nil(none)
      assert.matches("is no partition of these topics", err.message)
    end)
  end)

  it("is refused where its options contradict one another, or the guarantee", function()
    local client = service.client "http://127.0.0.1:1"
    local function fault(changes, more)
      local given = { dataset = DATASET, kafka = { brokers = "b:1", topics = { "t" }, group = "g", config = more } }
      for name, value in pairs(changes) do given[name] = value end
      local made, err = client:drain(given)
      assert.is_nil(made)
      assert.equal("config", err.kind)
      return err.message
    end
    assert.matches("enable.auto.commit, which a drain sets: offsets are committed when a batch has succeeded",
      fault({}, { ["enable.auto.commit"] = "true" }), 1, true)
    assert.matches("never skipped", fault({}, { ["auto.offset.reset"] = "latest" }))
    assert.matches('from is "middle"', fault { from = "middle" })
    assert.matches("records would go round", fault { rejected_topic = "t" })
    assert.matches("both given", fault { rejected_topic = "r", rejected = "/tmp" })
    assert.matches("there is no place", fault { after_failure = "continue" })
    assert.matches("roll.seconds is 0", fault { roll = { seconds = 0 } })
    assert.matches("it has none of this name", fault({}, { ["no.such"] = "1" }))
    assert.error_matches(function() client:drain { dataset = DATASET } end, "bad option 'kafka' for drain")
    assert.error_matches(function() client:drain { dataset = DATASET, kafak = {} } end, "did you mean 'kafka'")
  end)

  it("gives each message to one batch, whatever is killed, frozen and started", function()
    if not broker.is_apache then return pending "needs Apache Kafka: make kafka" end
    local result = drain_kills.run(broker, { members = 2, records = 600, happenings = 4, topic = "kills" })
    assert.is_true(result.kills + result.freezes + result.leaves >= 0)
  end)
end)
