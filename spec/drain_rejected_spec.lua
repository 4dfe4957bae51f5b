-- What a drain does not get into the platform: messages that it rejects, and rows that the service refuses.
local core = require "catalog.core"
local draining = require "support.draining"
local kafka = require "support.kafka"
local shell = require "support.shell"

local lines_of <const> = draining.lines

-- Reads back what was rejected to files.
local function files(directory) return shell.run(("cat %s/*.jsonl 2>/dev/null"):format(directory)) end

describe("what a drain rejects", function()
  local broker
  setup(function() broker = kafka.start(2) end)
  teardown(function() broker:stop() end)
  local function with_topic(body) draining.run(broker, body) end

  it("goes to a topic as it was, with the reason, and so do rows that the service has refused of a batch", function()
    with_topic(function(run)
      local rejected = run.topic .. "-rejected"
      run.broker:produce(run.topic, lines_of(1, 100) .. draining.REFUSED .. "none\n", "-p 1 -k key -H a=b")
      local told = {}
      local drain = run:open {
        rejected_topic = rejected, on_rejected = function(message) told[#told + 1] = message end,
      }
      assert(run:run_until(drain, function() return drain:metrics().batches.success > 0 end))
      local metrics = drain:metrics()
      assert.same({ 1, 1, 0, 101 }, { metrics.rejected, metrics.refused, metrics.batches.failed, metrics.records })
      local text = run.broker:consume(rejected, "-f '%k %h %s\\n'")
      assert.matches("key [^\n]*a=b[^\n]* none\n", text)
      assert.matches("catalog_reason=it is no JSON object", text, 1, true)
      assert.matches(("catalog_source=%s/1:101"):format(run.topic), text, 1, true)
      assert.matches("catalog_reason=INGEST%-1401%-400: it is not JSON[^\n]* {[^\n]*_corrupt_record", text)
      assert.equal(2, select(2, text:gsub("\n", "")))
      assert.equal(told[2].batch, text:match "catalog_batch=(%w+)")
      assert.is_nil(told[2].topic)
    end)
  end)

  it("goes to a directory, which is made, in files of its own, none of them empty", function()
    with_topic(function(run)
      local kept = run.directory .. "/kept"
      run.broker:produce(run.topic, lines_of(1, 100) .. draining.REFUSED, "-p 0")
      run:drain(101, { rejected = kept })
      local row = assert(core.json.decode(files(kept)))
      assert.matches("^INGEST%-1401%-400: ", row.reason)
      assert.matches("_corrupt_record", row.value)
      assert.is_string(row.batch)
      run.broker:produce(run.topic, lines_of(101, 110), "-p 0")
      run:drain(10, { rejected = kept })
      assert.equal("1\n", shell.run(("ls %s | wc -l"):format(kept)))
    end)
  end)

  it("is all there, also where there is more of it than can be under way", function()
    if not broker.is_apache then return pending "needs Apache Kafka (the played one keeps 5 MB): make kafka" end
    with_topic(function(run)
      local rejected = run.topic .. "-rejected"
      local long <const> = ("x"):rep(900) .. "\n"
      run.broker:produce(run.topic, long:rep(40000), "-p 0")
      run.broker:produce(run.topic, ("y"):rep(1000000) .. "\n" .. lines_of(1, 1), "-p 0 -X message.max.bytes=2000000")
      run:drain(1, { rejected_topic = rejected, record_bytes = 900000 })
      local text = run.broker:consume(rejected, "-f '%S %h\\n' | sed 's/catalog_source=[^,]*//' | sort | uniq -c")
      assert.matches(" 40000 900 [^\n]*catalog_reason=it is no JSON object", text)
      assert.matches(" 1 900000 [^\n]*catalog_cut=the first 900000 of 1000000 bytes", text)
      assert.equal(2, select(2, text:gsub("\n", "")))
    end)
  end)
end)
