-- From a real Kafka into batches: by `client:drain` in this process, and by `catalog drain` in others.
local core = require "catalog.core"
local drain_kills = require "support.drain_kills"
local draining = require "support.draining"
local kafka = require "support.kafka"
local scheduler = require "catalog.scheduler.scheduler"
local service = require "support.service"
local shell = require "support.shell"

local DATASET <const> = service.DATASET

local lines_of <const> = draining.lines

describe("a drain", function()
  local broker
  setup(function() broker = kafka.start(4) end)
  teardown(function() broker:stop() end)
  local function with_topic(body) draining.run(broker, body) end

  it("reads all of a topic into batches, once, and goes on where it was left", function()
    with_topic(function(run)
      run.broker:produce(run.topic, lines_of(1, 3000))
      local reports = run:drain(3000)
      assert.is_true(lines_of(1, 3000) == run:ingested())
      assert.equal("success", reports[1].status)
      run.broker:produce(run.topic, lines_of(3001, 3100))
      run:drain(100)
      assert.is_true(lines_of(1, 3100) == run:ingested())
    end)
  end)

  it("takes keys, headers, blanks and tombstones, rejects what is no record, and changes what it is told to", function()
    with_topic(function(run)
      local kept = run.directory .. "/kept"
      core.fs.mkdir(kept)
      run.broker:produce(run.topic, '{"n":1}\n{\r"n": 2}\nnone\n[1]\n', "-k key -H a=b -z gzip")
      run.broker:produce(run.topic, "key|\n", "-K '|' -Z") -- a tombstone
      local told = {}
      local drain = run:open({
        rejected = kept,
        on_rejected = function(message, err) told[#told + 1] = message.value .. ": " .. err.message end,
      })
      assert(run:run_until(drain, function() return (drain:metrics().batches.success or 0) > 0 end))
      table.sort(told)
      assert.equal(2, #told)
      assert.matches("^%[1%]: it is no JSON object$", told[1])
      assert.equal('{ "n": 2}\n{"n":1}\n', run:ingested())
      assert.equal(1, drain:metrics().dropped)
      assert.matches('"value":"none"', shell.run(("cat %s/*.jsonl"):format(kept)), 1, true)
      run.broker:produce(run.topic, '{"n":3}\n{"n":4}\n{"n":5}\n')
      run:drain(3, {
        transform = function(record, message)
          if record.n == 4 then return nil end
          if record.n == 3 then return { record, { topic = message.topic } } end
          return { n = record.n * 2 }
        end,
      })
      assert.equal(('{ "n": 2}\n{"n":10}\n{"n":1}\n{"n":3}\n{"topic":"%s"}\n'):format(run.topic), run:ingested())
    end)
  end)

  it("loses nothing where the transform waits for something, and a batch fails meanwhile", function()
    draining.run(broker, function(run)
      run.broker:produce(run.topic, ('{"n":"none"}\n'):rep(4), "-p 1")
      local told, is_more = 0, false
      local drain = run:open {
        rejected = run.directory .. "/rejected", on_rejected = function() told = told + 1 end,
        transform = function(record)
          scheduler.sleep(0.01)
          return record
        end,
      }
      assert(run:run_until(drain, function()
        local metrics = drain:metrics()
        if not is_more and metrics.batches.completing > 0 then
          is_more = true
          run.broker:produce(run.topic, lines_of(1, 400), "-p 1")
        end
        return metrics.batches.success > 0 and metrics.lag == 0 and metrics.oldest_seconds == nil
      end))
      assert.equal(4, told)
      assert.is_true(lines_of(1, 400) == run:ingested())
    end, {
      stage_ms = 300, schemas = { { ["$id"] = "https://n", type = "object", properties = { n = { type = "integer" } } } },
      datasets = { [DATASET] = { name = "Numbers", schemaRef = { id = "https://n", contentType = "application/json" } } },
    })
  end)

  it("has a batch that failed kept elsewhere, with the reason, or stops for a person", function()
    with_topic(function(run)
      run.broker:produce(run.topic, draining.REFUSED:rep(3) .. '{"n":1}\n', "-p 1")
      local reports = {}
      local drain = run:open({
        after_failure = "stop", on_batch = function(report) reports[#reports + 1] = report end,
      })
      local blocked -- until it gives its partitions back
      assert(run:run_until(drain, function()
        blocked = drain:metrics().blocked
        return blocked ~= nil
      end))
      assert.matches("the batch %w+ failed: ", blocked[run.topic .. "/1"])
      assert.equal("failed", reports[1].state)
      local told = {}
      local again = run:open({
        rejected = run.directory, on_rejected = function(message, err) told[#told + 1] = message.value .. err.message end,
      })
      assert(run:run_until(again, function() return #told >= 4 end))
      assert.equal(4, #told)
      assert.matches('^{"n":1}the batch %w+ failed: ', told[4])
      assert.equal("", run:ingested())
      run.broker:produce(run.topic, lines_of(21, 30))
      run:drain(10)
      assert.equal(lines_of(21, 30), run:ingested())
    end)
  end)

  it("of a new group has to be told where it starts; starts at the end where it is told so", function()
    with_topic(function(run)
      run.broker:produce(run.topic, lines_of(1, 5))
      local given = { from = "end" }
      local nowhere = assert(run.client:drain {
        dataset = DATASET, kafka = { brokers = run.broker.brokers, topics = { run.topic }, group = run.group .. "n" },
      })
      local ok, err = run:run_until(nowhere, function() return false end)
      assert.is_nil(ok)
      assert.equal("config", err.kind)
      assert.matches('from = "beginning" or "end"', err.message, 1, true)
      local drain = run:open(given)
      assert(run:run_until(drain, function()
        if drain:metrics().partitions > 0 and drain:metrics().lag == 0 and next(drain.member.assignment.partitions) then
          for _, partition in pairs(drain.member.assignment.partitions) do
            if not partition.next then return false end
          end
          return true
        end
      end))
      run.broker:produce(run.topic, lines_of(6, 9))
      run:drain(4, given)
      assert.equal(lines_of(6, 9), run:ingested())
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
    assert.matches("raw is for a transform", fault { raw = true })
    assert.matches("kafka.topics has t twice", fault { kafka = { brokers = "b:1", topics = { "t", "t" }, group = "g" } })
    assert.matches("kafka.brokers is empty", fault { kafka = { brokers = "", topics = { "t" }, group = "g" } })
    assert.matches("kafka.group is empty", fault { kafka = { brokers = "b:1", topics = { "t" }, group = "" } })
    assert.matches("is a pattern", fault { kafka = { brokers = "b:1", topics = { "^t" }, group = "g" } })
    assert.matches("there is no place", fault { after_failure = "continue" })
    assert.matches("roll.seconds is 0", fault { roll = { seconds = 0 } })
    assert.matches("it has none of this name", fault({}, { ["no.such"] = "1" }))
    assert.error_matches(function() client:drain { dataset = DATASET } end, "bad option 'kafka' for drain")
    assert.error_matches(function() client:drain { dataset = DATASET, kafak = {} } end, "did you mean 'kafka'")
  end)

  it("takes a data set by its name", function()
    service.run({ datasets = { d1 = "Events" } }, function(_, client)
      local given = { kafka = { brokers = "127.0.0.1:1", topics = { "t" }, group = "g" }, from = "end" }
      given.dataset = { name = "nobody" }
      local made, err = client:drain(given)
      assert.same({ nil, 404 }, { made, err.status })
      given.dataset = { name = "Events" }
      local drain <close> = assert(client:drain(given))
      assert.equal("d1", drain.settings.dataset)
    end)
  end)

  it("may fork: the child uses nothing of its parent's, neither of Kafka nor of files, and the parent goes on", function()
    draining.run(broker, function(run)
      broker:produce(run.topic, draining.lines(1, 5) .. "none\n", "-p 0")
      broker:produce(run.topic, draining.lines(6, 10), "-p 1")
      local said, status = shell.run(("timeout 60 %s/host once spec/scripts/drain_forks.lua %s %s %s %s"):format(
        os.getenv "CATALOG_BUILD" or "build", run.server.url, broker.brokers, run.topic, run.directory))
      assert.equal(0, status, said)
      assert.equal("ok once\n", said)
      assert.equal(draining.lines(1, 10), run:ingested())
      assert.equal("1", (shell.run(("cat %s/*.jsonl | wc -l"):format(run.directory)):gsub("%s+", "")))
    end)
  end)

  it("gives each message to one batch, whatever is killed, frozen and started", function()
    if not kafka.has_apache() then return pending "needs Apache Kafka: make kafka" end
    with_topic(function(run)
      local result = drain_kills.run(run.broker, { members = 2, records = 600, happenings = 4, topic = "kills" })
      assert.equal(600, result.sent)
    end)
  end)
end)
