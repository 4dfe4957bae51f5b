-- A group of drains from outside: what is shown of it, and where a person may let it go on.
local command = require "support.command"
local core = require "catalog.core"
local draining = require "support.draining"
local group = require "catalog.drain.group"
local intention = require "catalog.drain.intention"
local kafka = require "support.kafka"
local service = require "support.service"

local lines_of <const> = draining.lines

-- A batch, up to a state.
local function make_batch(run, state)
  local batch = assert(run.client:create_batch { dataset = service.DATASET, format = "json" })
  if state == "loading" then return batch.id end
  if state == "aborted" then
    assert(batch:abort())
    return batch.id
  end
  assert(batch:upload("a.jsonl", { data = state == "failed" and "none\n" or '{"n":1}\n' }))
  assert(batch:complete())
  if state ~= "processing" then batch:wait() end
  return batch.id
end

-- Notes offsets for the group, as one of its members would have done. Nil and an error: not yet.
local function try_to_note(run, entries)
  local module = require "catalog.kafka"
  local one <close> = assert(module.new(
    { ["bootstrap.servers"] = run.broker.brokers, ["group.id"] = run.group }, {}))
  local list = {}
  for number, entry in pairs(entries) do
    list[#list + 1] = { topic = run.topic, number = number, offset = entry.offset, metadata = entry.metadata or "" }
  end
  local ticket, last = assert(one:alter(list)), core.system.monotonic() + 30
  repeat
    local name, first, value, err = one:poll()
    if not name then os.execute "sleep 0.02" end
    if name == "answer" and first == ticket then return value, err end
  until core.system.monotonic() > last
  error "Kafka does not answer"
end

local function note(run, entries)
  local last = core.system.monotonic() + 30
  repeat
    local noted, err = try_to_note(run, entries)
    assert(noted or core.system.monotonic() < last, err)
  until noted
end

-- A partition that is in a batch of some state: from the offset 2 up to 5.
local function intend(run, number, state)
  local id = make_batch(run, state)
  note(run, { [number] = { offset = 2, metadata = intention.encode(id, 5) } })
  return id
end

describe("a group of drains", function()
  local broker
  setup(function() broker = kafka.start(4) end)
  teardown(function() broker:stop() end)

  -- A topic of ten messages in each partition; needs the real Kafka, which lets offsets be set.
  local function with_group(body, options)
    if not broker.is_apache then return pending "needs Apache Kafka: make kafka" end
    draining.run(broker, function(run)
      for number = 0, 3 do broker:produce(run.topic, lines_of(1, 10), "-p " .. number) end
      body(run)
    end, options)
  end

  local function resolve(run, choices)
    local named = {}
    for number, choice in pairs(choices) do named[("%s/%d"):format(run.topic, number)] = choice end
    return group.resolve(run.client, run:kafka(), named)
  end

  local function refusal(run, choices)
    local offsets, err = resolve(run, choices)
    assert.is_nil(offsets)
    return err.message, err.kind
  end

  it("is shown: offsets, what is behind them, the batch that decides, and what to do", function()
    with_group(function(run)
      local aborted, failed = intend(run, 0, "aborted"), intend(run, 1, "failed")
      note(run, { [2] = { offset = 7, metadata = "of somebody else" } })
      local shown, status = command.run(run.server, "group status " .. run:words())
      assert.equal(0, status, shown)
      for _, text in ipairs {
        run.group .. " +Empty, 0 members\n", "/0 +offset 2, 8 messages behind it\n",
        "up to 5 in the batch " .. aborted .. ": aborted\n +%-> it was given up: who has the partition reads it again\n",
        "batch " .. failed .. ": failed\n +%-> it failed for its data: see catalog errors " .. failed,
        "/2 +offset 7, 3 messages behind it\n +%-> its metadata is not of a drain: of somebody else; this group",
        "/3 +offset none, 10 messages behind it\n$",
      } do assert.matches(text, shown) end
      local json = assert(core.json.decode((command.run(run.server, "--json group status " .. run:words()))))
      assert.same({ "Empty", 0, 4, aborted, 7 },
        { json.state, json.members, #json.partitions, json.partitions[1].batch, json.partitions[3].offset })
      shown = command.run(run.server, ("group status %s"):format(run:words():gsub("group group", "group other")))
      assert.matches("catalog: this group has committed nothing of these topics yet\n", shown)
    end)
  end)

  it("goes on where a person says, of a batch that failed: behind it, or once more", function()
    with_group(function(run)
      intend(run, 0, "failed")
      intend(run, 1, "failed")
      local words = ("group resolve %s %s/0=done %s/1=again"):format(run:words(), run.topic, run.topic)
      local shown, status = command.run(run.server, words)
      assert.equal(("%s/0 goes on at 5\n%s/1 goes on at 2\n"):format(run.topic, run.topic), shown)
      assert.equal(0, status)
      local rows = assert(group.status(run.client, run:kafka()))
      assert.same({ 5, 2 }, { rows[1].offset, rows[2].offset })
      assert.is_nil(rows[1].batch or rows[2].batch)
      assert.same({ [run.topic .. "/0"] = 10, [run.topic .. "/2"] = 9, [run.topic .. "/3"] = 0 },
        resolve(run, { [0] = "10", [2] = "9", [3] = "0" }))
      run:drain(8 + 1 + 10)
    end)
  end)

  it("does not go against what has become of a batch", function()
    with_group(function(run)
      local success, aborted = intend(run, 0, "success"), intend(run, 1, "aborted")
      local said, kind = refusal(run, { [0] = "again" })
      assert.equal("conflict", kind)
      assert.matches(success .. ", which is success: =again would bring its records twice", said, 1, true)
      assert.matches(aborted .. " of .* is aborted, .*: =done would leave them out", (refusal(run, { "done" })))
      assert.matches("=2: the batch " .. success .. " decides, which is success: first =done or =again",
        (refusal(run, { [0] = "2" })))
      assert.matches("has no batch that decides; say an offset", (refusal(run, { [2] = "done" })))
      assert.matches("its messages are those from 0 on, up to 10", (refusal(run, { [2] = "11" })))
      assert.matches("/9 is no partition of these topics", (refusal(run, { [9] = "3" })))
      refusal(run, { [0] = "done", [1] = "done" })
      assert.equal(2, assert(group.status(run.client, run:kafka()))[1].offset) -- all or nothing
      assert(resolve(run, { [0] = "done", [1] = "again" }))
    end)
  end)

  it("waits for what the service is at, and decides by hand what nobody does", function()
    with_group(function(run)
      local processing = intend(run, 0, "processing")
      for _, choice in ipairs { "done", "again" } do
        assert.matches(processing .. " of .* is %l+: the service is at it; wait", (refusal(run, { [0] = choice })))
      end
      intend(run, 1, "loading")
      intend(run, 2, "loading")
      assert.same({ [run.topic .. "/1"] = 5, [run.topic .. "/2"] = 2 }, resolve(run, { "done", "again" }))
    end, { stage_ms = 600000 })
  end)

  it("is not shown to who may not, and that is said at once", function()
    with_group(function(run)
      local given = run:kafka()
      given.brokers = broker.secured
      given.config = {
        ["security.protocol"] = "SASL_PLAINTEXT", ["sasl.mechanism"] = "PLAIN", ["sasl.username"] = "drain",
        ["sasl.password"] = "word",
      }
      broker:tell("allow User:drain topic " .. run.topic)
      local shown, err = group.status(run.client, given)
      assert.is_nil(shown)
      assert.same({ "auth", "GROUP_AUTHORIZATION_FAILED" }, { err.kind, err.code })
      broker:tell("allow User:drain group " .. run.group)
      assert.equal(0, assert(group.status(run.client, given)).members)
      given.config["sasl.password"] = "s3cret"
      assert.equal("auth", select(2, group.status(run.client, given)).kind)
    end)
  end)

  it("has to be empty for that", function()
    with_group(function(run)
      intend(run, 0, "failed")
      local drain, said = run:open { after_failure = "stop" }, nil
      assert(run:run_until(drain, function()
        if drain:metrics().partitions < 4 then return false end
        said = said or refusal(run, { [0] = "done" })
        return true
      end))
      assert.equal(("the group %s has 1 member: stop it first"):format(run.group), said)
      assert(resolve(run, { [0] = "done" }))
    end)
  end)
end)
