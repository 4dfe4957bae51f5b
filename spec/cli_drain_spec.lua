-- `catalog drain` and `catalog group` as people run them.
local command = require "support.command"
local draining = require "support.draining"
local exchange = require "support.exchange"
local kafka = require "support.kafka"
local program = require "support.program"
local shell = require "support.shell"

local lines_of <const> = draining.lines

-- A service and a Kafka that are not there.
local DOWN <const> = { url = "http://127.0.0.1:1" }
local NOWHERE <const> = "--brokers 127.0.0.1:1 --topic t --group g"

describe("catalog drain", function()
  it("says what is wrong with its options, and shows no secret", function()
    for words, text in pairs {
      ["--topic t"] = "--topic t is given twice",
      ["--kafka-set nothing"] = "--kafka-set 'nothing' is no NAME=VALUE",
      ["--kafka-set sasl.password=s3cret"] = "--kafka-set sasl.password: a secret does not stand in a command, where others "
        .. "see it; put it into --kafka-file, or KAFKA_SASL_PASSWORD",
      ["--kafka-set ssl.keystore.password=s3cret"] = "put it into --kafka-file; catalog drain",
      ["--kafka-set sasl.oauthbearer.client.secret=s3cret"] = "put it into --kafka-file; catalog drain",
      ["--raw"] = "--raw is for --transform",
      ["--rejected a --rejected-topic b"] = "give one of them",
      ["--listen-token-file x"] = "--listen-token-file is for --metrics-listen",
      ["--from start"] = "must be one of 'beginning', 'end'",
      ["--kafka-fiel x"] = "Did you mean '--kafka-file'",
    } do
      local output, code = command.run(DOWN, ("drain --dataset d %s %s"):format(NOWHERE, words))
      assert.equal(2, code, output)
      assert.matches(text, output, 1, true)
      assert.is_nil(output:find("s3cret", 1, true))
    end
    local output, code = command.run(DOWN, "drain --dataset d --brokers b --group g")
    assert.same({ "catalog: give --topic, once or several times; catalog drain --help shows how\n", 2 }, { output, code })
  end)

  it("refuses properties that the guarantee needs otherwise, and those that do not exist, by what was typed", function()
    shell.with_directory(function(directory)
      local file = directory .. "/properties"
      for text, said in pairs {
        ["enable.auto.commit=true"] = "a drain sets the property enable.auto.commit by itself: offsets are committed when",
        ["auto.offset.reset=latest"] = "auto.offset.reset by itself: .*%-%-from says where a new group starts",
        ["group.id=x"] = "it is %-%-group", ["bootstrap.servers=x"] = "it is %-%-brokers",
        ["sasl.jaas.config=s3cret"] = "none of this name; its CONFIGURATION.md has the names, .* Java clients",
        ["# nothing\n\nsession.timeout.ms = s3cret"] = "session.timeout.ms: its value cannot be used",
        ["security.protocol=SASL_SSL"] = "sasl.mechanism is not given: PLAIN, ",
        ["! so\nit is"] = "properties, line 2, is no NAME=VALUE",
      } do
        shell.write(file, text .. "\n")
        local output, code = command.run(DOWN, ("drain --dataset d %s --kafka-file %s"):format(NOWHERE, file))
        assert.equal(1, code, output)
        assert.matches(said, output)
        assert.is_nil(output:find("s3cret", 1, true))
      end
    end)
  end)

  it("says what to install where librdkafka is not there", function()
    shell.with_directory(function(directory)
      shell.run(("mkdir %s/catalog && cp $CATALOG_BUILD/catalog/core.so %s/catalog"):format(directory, directory))
      local output, code = shell.run(("LUA_CPATH='%s/?.so;;' %s %s drain --dataset d %s"):format(directory,
        command.environment(DOWN), command.PROGRAM, NOWHERE))
      assert.equal(1, code, output)
      assert.matches("needs catalog.kafka: install .*, or build with librdkafka %(Debian: librdkafka%-dev%)", output)
    end)
  end)

  it("says that no broker is there, each reason once, and goes on trying", function()
    local started <close> = program.start(DOWN.url, "lua/catalog/cli/main.lua drain --dataset d --from end " .. NOWHERE)
    local line
    repeat line = assert(started:line()) until line:find "Kafka: 127.0.0.1:1/bootstrap: Connect"
    assert.matches("Connection refused$", line)
    started:signal "TERM"
    local output, code = started:finish()
    assert.equal(0, code, output)
    assert.is_nil(output:find "Connect to", output)
  end)
end)

describe("catalog drain at a Kafka", function()
  local broker
  setup(function() broker = kafka.start(2) end)
  teardown(function() broker:stop() end)

  local function with_topic(body) draining.run(broker, body) end

  local function start(run, words, before)
    return program.start(run.server.url, ("lua/catalog/cli/main.lua drain --dataset d %s --from beginning --roll-seconds 1 "
      .. "--kafka-set session.timeout.ms=6000 %s"):format(run:words(), words), before)
  end

  -- Waits until it has said all of some patterns, in any order. Gives the last line.
  local function wait_for(started, ...)
    local missing, line = { ... }, nil
    while #missing > 0 do
      line = assert(started:line(), "it has ended")
      for i = #missing, 1, -1 do
        if line:find(missing[i]) then table.remove(missing, i) end
      end
    end
    return line
  end

  it("changes records, tells what it rejects, and ends with 3 then, unless so much is allowed", function()
    with_topic(function(run)
      local path = run.directory .. "/change.lua"
      shell.write(path, [[
        return function(record, message)
          if record.n == 3 then return nil end
          return { { n = record.n * 10, at = message.offset }, message.key and { key = message.key } }
        end]])
      run.broker:produce(run.topic, '{"n":1}\nnone\n{"n":3}\n{"x":3}\n', "-p 0 -k key")
      local started <close> = start(run, ("--transform %s --rejected %s/kept"):format(path, run.directory))
      wait_for(started, "catalog: has 2 partitions now", run.topic .. "/0, offset 1: it is not JSON: ",
        "offset 3: the transform raised: .*arithmetic", "catalog: batch %w+: success, 2 records")
      started:signal "TERM"
      local output, code = started:finish()
      assert.equal(3, code, output)
      assert.matches("catalog: ended by SIGTERM; what is in no batch that was completed is read by who goes on\n", output)
      assert.matches("catalog: 2 messages rejected (--allow-failed 0); they are in " .. run.directory .. "/kept\n", output,
        1, true)
      assert.matches('{"key":"key"}', run:ingested(), 1, true)
      assert.matches('"n":10', run:ingested(), 1, true)
      run.broker:produce(run.topic, 'none\n{"n":1}\n', "-p 1")
      local again <close> = start(run, "--allow-failed 1")
      wait_for(again, "catalog: batch %w+: success, 1 record$")
      again:signal "INT"
      output, code = again:finish()
      assert.equal(0, code, output)
    end)
  end)

  it("does not go on while what is rejected cannot be kept", function()
    with_topic(function(run)
      run.broker:produce(run.topic, ("none\n"):rep(50) .. '{"n":1}\n', "-p 0")
      local where = ("--rejected %s/kept"):format(run.directory)
      do
        local started <close> = start(run, where, "trap '' XFSZ; ulimit -f 2;") -- a disk with room for one or two kB
        wait_for(started, "cannot keep what is rejected in .*/kept/[^/]*.jsonl: .*File too large")
        started:signal "TERM"
        assert.equal(3, select(2, started:finish()))
      end
      assert.equal("", run:ingested())
      shell.run(("rm -r %s/kept"):format(run.directory))
      local again <close> = start(run, where)
      wait_for(again, "success, 1 record$")
      again:signal "TERM"
      assert.equal(3, select(2, again:finish()))
      assert.equal("50\n", shell.run(("grep -c '\"value\":\"none\"' %s/kept/*"):format(run.directory)))
    end)
  end)

  it("gives values as they are to a transform that wants them", function()
    with_topic(function(run)
      local path = run.directory .. "/change.lua"
      local page = shell.read "docs/scale.md"
      shell.write(path, page:match "```lua\n(local catalog = require .-)```")
      run.broker:produce(run.topic, "\1\2\3\4\5{\"n\":[]}\n", "-p 0")
      run.broker:produce(run.topic, "none\n", "-p 0")
      local started <close> = start(run, "--raw --transform " .. path)
      wait_for(started, "offset 1: the transform raised: it is not JSON: it ends too early", "success, 1 record$")
      started:signal "TERM"
      assert.equal(3, select(2, started:finish()))
      assert.equal('{"n":[]}\n', run:ingested())
    end)
  end)

  it("shows its numbers by HTTP", function()
    with_topic(function(run)
      run.broker:produce(run.topic, lines_of(1, 20) .. "none\n", "-p 1")
      local started <close> = start(run, "--metrics-listen 127.0.0.1:0")
      local said = wait_for(started, "shows its numbers")
      local port = math.tointeger(tonumber(said:match "^catalog: shows its numbers at http://127%.0%.0%.1:(%d+)$"))
      wait_for(started, "success, 20 records")
      local status, text = exchange.request(port, "GET", "/metrics")
      assert.equal(200, status)
      local labels = ('{dataset="d",group="%s"}'):format(run.group)
      for name, value in pairs {
        sink_records_total = 20, sink_rejected_total = 1, sink_refused_total = 0, drain_lag = 0, drain_partitions = 2,
        drain_blocked_partitions = 0, sink_blocked = 0, drain_rebalances_total = 1, drain_batch_seconds = 0,
      } do assert.matches(("\ncatalog_%s%s %d\n"):format(name, labels, value), text, 1, true) end
      assert.matches(('catalog_sink_batches{dataset="d",group="%s",state="success"} 1\n'):format(run.group), text, 1, true)
      assert.is_nil(text:find("spool_bytes", 1, true))
      status, text = exchange.request(port, "GET", "/ready")
      assert.same({ 200, "ready\n" }, { status, text })
      assert.equal(404, (exchange.request(port, "POST", "/", {}, "{}")))
      started:signal "TERM"
      assert.equal(3, select(2, started:finish()))
    end)
  end)

  it("reads credentials again, when it is SIGHUP", function()
    with_topic(function(run)
      local token = run.directory .. "/token"
      shell.write(token, "token")
      local started <close> = start(run, "", ("export AEP_ACCESS_TOKEN_FILE=%s; unset AEP_ACCESS_TOKEN;"):format(token))
      run.broker:produce(run.topic, lines_of(1, 2), "-p 1")
      wait_for(started, "success, 2 records")
      os.remove(token)
      started:signal "HUP"
      run.broker:produce(run.topic, lines_of(3, 4), "-p 1")
      wait_for(started, "AEP_ACCESS_TOKEN_FILE cannot be read")
      shell.write(token, "token")
      wait_for(started, "success, 2 records")
      started:signal "TERM"
      assert.equal(0, select(2, started:finish()))
      assert.equal(lines_of(1, 4), run:ingested())
    end)
  end)

  it("says that a topic does not exist, and a group command too", function()
    with_topic(function(run)
      local words = ("--brokers %s --topic nowhere --group g"):format(run.broker.brokers)
      if run.broker.is_apache then
        local output, code = command.run(run.server, "group status " .. words)
        assert.equal(1, code, output)
        assert.matches("nowhere: .*Unknown topic or partition", output)
      end
      local output, code = command.run(run.server, "group status " .. NOWHERE)
      assert.equal(75, code, output)
      assert.matches("t: Kafka cannot be asked for the topic: .*Connection refused", output)
    end)
  end)

  it("says that the brokers cannot describe groups, which no other try changes", function()
    local played = kafka.start(1, true)
    finally(function() played:stop() end)
    draining.run(played, function(run)
      played:produce(run.topic, lines_of(1, 1))
      local output, code = command.run(run.server, "group status " .. run:words())
      assert.equal(1, code, output)
      assert.matches("not supported by broker; trying again does not help: .* %[protocol, code _UNSUPPORTED_FEATURE%]",
        output)
    end)
  end)
end)

describe("catalog group", function()
  it("says what is wrong with its choices", function()
    for words, text in pairs {
      ["status t/1=done"] = "group status takes no choices",
      ["resolve"] = "group resolve needs TOPIC/N=done, TOPIC/N=again or TOPIC/N=OFFSET",
      ["resolve t/1"] = "'t/1' is no TOPIC/N=done, =again or =OFFSET",
      ["resolve t/1=maybe"] = "'t/1=maybe' is no TOPIC/N=done",
      ["resolve t/1=done t/1=again"] = "t/1 is given twice",
    } do
      local output, code = command.run(DOWN, ("group %s %s"):format(words, NOWHERE))
      assert.equal(2, code, output)
      assert.matches(text, output, 1, true)
    end
  end)
end)
