-- The consumer in C: what it refuses, what it is asked for, and what it says.
local core = require "catalog.core"
local kafka = require "support.kafka"
local shell = require "support.shell"

local found, module = pcall(require, "catalog.kafka")

local function consumer(broker, group, more)
  local properties = {
    ["bootstrap.servers"] = broker, ["group.id"] = group, ["enable.auto.commit"] = "false", ["auto.offset.reset"] = "error",
    ["partition.assignment.strategy"] = "cooperative-sticky", ["session.timeout.ms"] = "6000",
    ["enable.partition.eof"] = "true", ["reconnect.backoff.max.ms"] = "200", ["heartbeat.interval.ms"] = "300",
  }
  for name, value in pairs(more or {}) do properties[name] = value end
  return module.new(properties, { ["bootstrap.servers"] = broker })
end

-- Polls until something of a name comes, or a ticket is answered.
local function wait_for(one, name, ticket)
  local last = core.system.monotonic() + 30
  while core.system.monotonic() < last do
    local event, first, value, err = one:poll()
    if event == name and (not ticket or first == ticket) then return first, value, err end
    if not event then core.system.sleep(0.01) end
  end
  error("nothing came: " .. name)
end

-- Seeks; that may be refused until librdkafka has begun to read.
local function seek(one, list)
  local last = core.system.monotonic() + 20
  local sought, err = one:seek(list)
  while not sought and core.system.monotonic() < last do
    core.system.sleep(0.01)
    sought, err = one:seek(list)
  end
  assert(sought, err)
end

local function threads() return tonumber((shell.run "ls /proc/$PPID/task | wc -l")) end

-- Fewer than before, where those of an earlier consumer were still ending.
local function assert_no_threads_left(before)
  local last = core.system.monotonic() + 30
  while threads() > before and core.system.monotonic() < last do core.system.sleep(0.1) end
  assert.is_true(threads() <= before)
end

if not found then
  describe("a consumer of Kafka", function() pending "was not built: librdkafka is missing" end)
  return
end

core.system.sleep = core.system.sleep or function(seconds) os.execute("sleep " .. seconds) end

describe("a consumer of Kafka", function()
  local broker
  setup(function() broker = kafka.start(2) end)
  teardown(function() broker:stop() end)

  it("is refused for a property that librdkafka does not have, or whose value is none, and shows no value", function()
    local none, err = consumer("127.0.0.1:1", "g", { ["no.such"] = "s3cret" })
    assert.is_nil(none)
    assert.equal("config", err.kind)
    assert.equal("librdkafka does not take the property no.such: it has none of this name", err.message)
    none, err = consumer("127.0.0.1:1", "g", { ["session.timeout.ms"] = "s3cret" })
    assert.is_nil(none)
    assert.equal("librdkafka does not take the property session.timeout.ms: its value cannot be used", err.message)
    none, err = module.new({ ["bootstrap.servers"] = "127.0.0.1:1" }, {})
    assert.is_nil(none)
    assert.matches("group", err.message)
  end)

  it("says that no broker is there, does not wait for it, and ends at once", function()
    local one <close> = assert(consumer("127.0.0.1:1", "g"))
    assert(one:subscribe { "events" })
    local err = wait_for(one, "error")
    assert.equal("network", err.kind)
    assert.is_string(err.code)
    assert.equal(-1, one:generation())
    local ticket, refused = one:commit { { topic = "events", number = 0, offset = 1 } }
    assert.is_nil(ticket)
    assert.is_false(refused.is_unclear)
    one:close()
    local closed, why = one:poll()
    assert.is_nil(closed)
    assert.equal("cancelled", why.kind)
  end)

  it("is assigned partitions, reads them from where it is told to, and commits offsets with metadata", function()
    local one <close> = assert(consumer(broker.brokers, "group1"))
    broker:produce("events", '{"n":1}\n{"n":2}\n', "-p 0 -k key -H name=value")
    assert(one:subscribe { "events" })
    local list = wait_for(one, "assigned")
    assert.equal(2, #list)
    assert(one:assign(list))
    assert.is_true(one:generation() >= 0)
    seek(one, { { topic = "events", number = 0, offset = 1 } })
    assert(one:resume { { topic = "events", number = 0 } })
    local message = wait_for(one, "message")
    assert.same({ "events", 0, 1, '{"n":2}', "key", "value" },
      { message.topic, message.partition, message.offset, message.value, message.key, message.headers.name })
    assert.is_true(math.abs(message.timestamp - core.system.now()) < 600000)
    assert.equal(2, wait_for(one, "eof").offset)
    local ticket = assert(one:commit { { topic = "events", number = 0, offset = 2, metadata = "what it is" } })
    assert.equal(true, (select(2, wait_for(one, "answer", ticket))))
    ticket = assert(one:committed { { topic = "events", number = 0 }, { topic = "events", number = 1 } })
    local _, noted = wait_for(one, "answer", ticket)
    table.sort(noted, function(a, b) return a.number < b.number end)
    assert.same({ 2, "what it is" }, { noted[1].offset, noted[1].metadata })
    assert.is_nil(noted[2].offset)
    ticket = assert(one:ask("events", -1))
    assert.equal(2, (select(2, wait_for(one, "answer", ticket))))
    ticket = assert(one:ask("events", 0))
    assert.same({ low = 0, high = 2 }, (select(2, wait_for(one, "answer", ticket))))
    assert(one:begin_close())
    assert(one:unassign(wait_for(one, "revoked")))
    local last = core.system.monotonic() + 30
    repeat one:poll() until one:closed() or core.system.monotonic() > last
    assert.is_true(one:closed())
  end)

  it("reads each message from where it was placed, however late a broker says where the partition ends", function()
    if not broker.is_apache then return pending "needs Apache Kafka: make kafka" end
    local COUNT <const> = 20000
    broker:produce("backlog", (("x"):rep(99) .. "\n"):rep(COUNT), "-p 0")
    local way <close> = broker:way()
    local one <close> = assert(consumer(way.brokers, "backlog", {
      ["queued.min.messages"] = "1", ["queued.max.messages.kbytes"] = "16", ["fetch.message.max.bytes"] = "10000",
    }))
    assert(one:subscribe { "backlog" })
    local list = wait_for(one, "assigned")
    way:set "hold"
    assert(one:assign(list))
    core.system.sleep(1) -- it has asked by now
    local place = { { topic = "backlog", number = 0, offset = 1 } }
    seek(one, place)
    assert(one:resume(place))
    way:set "open"
    core.system.sleep(1.5)
    local expected, limit = 1, core.system.monotonic() + 30
    while expected < COUNT and core.system.monotonic() < limit do
      local name, message = one:poll()
      if name == "message" then
        assert.equal(expected, message.offset)
        expected = expected + 1
      end
    end
    assert.equal(COUNT, expected)
  end)

  it("says that a partition cannot be placed yet, as while a commit is under way", function()
    if not broker.is_apache then return pending "needs Apache Kafka: make kafka" end
    broker:produce("placed", "1\n2\n3\n", "-p 0")
    local way <close> = broker:way()
    local one <close> = assert(consumer(way.brokers, "placed"))
    assert(one:subscribe { "placed" })
    local list = wait_for(one, "assigned")
    way:set "hold"
    local ticket = assert(one:commit { { topic = "placed", number = 0, offset = 0 } })
    core.system.sleep(0.2)
    assert(one:assign(list))
    local place = { { topic = "placed", number = 0, offset = 1 } }
    local placed, err = one:seek(place)
    assert.is_nil(placed)
    assert.equal("_STATE", err.code)
    way:set "open"
    assert.is_true((select(2, wait_for(one, "answer", ticket))))
    local last = core.system.monotonic() + 10
    repeat placed = one:seek(place) until placed or core.system.monotonic() > last
    assert(one:resume(place))
    assert.equal("2", wait_for(one, "message").value)
  end)

  it("may be ended at once, whatever it was told and has not answered, and leaves no thread", function()
    if not broker.is_apache then return pending "needs Apache Kafka: make kafka" end
    broker:produce("events", "1\n")
    local before = threads()
    for _, strategy in ipairs { "cooperative-sticky", "range" } do
      local members = {}
      local function join(group)
        local one = assert(consumer(broker.brokers, group .. strategy, { ["partition.assignment.strategy"] = strategy }))
        assert(one:subscribe { "events" })
        members[#members + 1] = one
        return one
      end
      join "unpolled"
      wait_for(join "assigned", "assigned")
      local holding = {}
      for i = 1, 6 do holding[i] = join("revoked" .. i) end
      for _, one in ipairs(holding) do assert(one:assign(wait_for(one, "assigned"))) end
      for i = 1, 6 do join("revoked" .. i) end
      for i, one in ipairs(holding) do
        local list = wait_for(one, "revoked")
        if i % 2 == 0 then
          assert(one:unassign(list))
          one:close() -- before it is told what follows
        end
      end
      for _, one in ipairs(members) do one:close() end
    end
    assert_no_threads_left(before)
  end)

  it("that was lost commits nothing later, and is ended at once while it waits for a broker that is away", function()
    if not broker.is_apache then return pending "needs Apache Kafka: make kafka" end
    broker:produce("late", "1\n2\n3\n4\n", "-p 0")
    local way <close> = broker:way()
    local function commits(metadata)
      local one = assert(consumer(way.brokers, "late", { ["session.timeout.ms"] = "2000", ["heartbeat.interval.ms"] = "300" }))
      assert(one:subscribe { "late" })
      assert(one:assign(wait_for(one, "assigned")))
      way:set "cut"
      core.system.sleep(1)
      return one, assert(one:commit { { topic = "late", number = 0, offset = 1, metadata = metadata } })
    end
    local one, ticket = commits "of a member that was lost"
    one:unassign(wait_for(one, "lost"))
    broker:tell "note late late 0 4 later" -- the group is empty
    way:set "open"
    local value, err = select(2, wait_for(one, "answer", ticket))
    assert.is_nil(value)
    assert.equal("ERR_UNKNOWN_MEMBER_ID", "ERR_" .. err.code)
    one:close()
    local two <close> = assert(consumer(broker.brokers, "late"))
    local _, noted = wait_for(two, "answer", assert(two:committed { { topic = "late", number = 0 } }))
    assert.same({ 4, "later" }, { noted[1].offset, noted[1].metadata })
    local three = commits "of a member that ends"
    assert(three:ask("late", -1))
    local before = core.system.monotonic()
    three:close()
    assert.is_true(core.system.monotonic() - before < 3) -- a question takes five seconds, a commit longer
  end)

  -- Where librdkafka asks the coordinator as an administrator would, it then hangs, or aborts the process.
  it("asks for its group again where brokers cannot describe groups", function()
    local played <close> = kafka.start(1, true)
    local one <close> = assert(consumer(played.brokers, "undescribed"))
    for _ = 1, 3 do
      local described, err = select(2, wait_for(one, "answer", assert(one:describe())))
      assert.is_nil(described)
      assert.equal("_UNSUPPORTED_FEATURE", err.code)
    end
  end)

  it("outlives a coordinator that comes back when nobody waits for its answer any more", function()
    local played <close> = kafka.start(1, true)
    local one <close> = assert(consumer(played.brokers, "away"))
    local function committed()
      return select(2, wait_for(one, "answer", assert(one:committed { { topic = "events", number = 0 } })))
    end
    assert.equal(1, (select(2, wait_for(one, "answer", assert(one:ask("events", -1))))))
    played:stand_still()
    local noted, err = committed()
    assert.is_nil(noted)
    assert.equal("timeout", err.kind)
    played:go_on()
    repeat noted, err = committed() until noted or err.kind ~= "timeout"
    assert.same({ { topic = "events", number = 0 } }, noted)
  end)

  -- Two partitions with the same messages, of which one has no value.
  local function produce_all(topic)
    for number = 0, 1 do
      broker:produce(topic, '{"n":1}\n{\r"n": 2}\nnone\n', "-k key -p " .. number)
      broker:produce(topic, "key|\n", "-K '|' -Z -p " .. number)
      broker:produce(topic, '{"n":33}\n', "-p " .. number)
    end
  end

  -- A consumer that reads partitions of a topic from their first message on, in no group.
  local function reading(topic, numbers)
    local one, list = assert(consumer(broker.brokers, "reading")), {}
    for i, number in ipairs(numbers) do list[i] = { topic = topic, number = number, offset = 0 } end
    assert(one:assign(list))
    seek(one, list)
    assert(one:resume(list))
    return one, list
  end

  -- Fills a buffer until something of a name comes. Gives what was told of records, and the rest.
  local function fill_until(one, wanted, ...)
    local records, last = 0, core.system.monotonic() + 30
    while core.system.monotonic() < last do
      local count, _, _, name, value, why = one:fill(...)
      records = records + count
      if name == wanted then return records, value, why end
      if not name then core.system.sleep(0.01) end
    end
    error("nothing came: " .. wanted)
  end

  -- How many bytes lines are in a buffer.
  local function bytes_of(...)
    local count = 0
    for _, line in ipairs { ... } do count = count + #line + 1 end
    return count
  end

  it("puts records into a buffer as they are, and tells how far it came and what is no record", function()
    produce_all "filled"
    local one <close> = reading("filled", { 0 })
    local partition, reached, buffer = { next = 0 }, {}, core.buffer.new(1000)
    local given = table.pack(buffer, 1000, { ["filled/0"] = partition }, reached, 1000, 100)
    local records, message, why = fill_until(one, "rejected", table.unpack(given, 1, given.n))
    assert.same({ 2, 3, "none", "key", 2, "it is no JSON object" },
      { records, reached[partition], message.value, message.key, message.offset, why })
    assert.equal(1, (fill_until(one, "eof", table.unpack(given, 1, given.n))))
    assert.equal(5, reached[partition])
    assert.equal(bytes_of('{"n":1}', '{ "n": 2}', '{"n":33}'), buffer:length())
  end)

  it("takes no record that is longer than it may be, or has no room, or is one too many", function()
    produce_all "limited"
    local one <close> = reading("limited", { 1 })
    local partition, reached = { next = 0 }, {}
    local partitions, buffer = { ["limited/1"] = partition }, core.buffer.new(1000)
    local _, message, why = fill_until(one, "rejected", buffer, 1000, partitions, reached, 7, 100)
    assert.same({ 1, "it has 9 bytes; record_bytes is 7" }, { message.offset, why })
    fill_until(one, "rejected", buffer, 1000, partitions, reached, 1000, 100)
    fill_until(one, "full", buffer, bytes_of('{"n":1}', '{"n":33}') - 1, partitions, reached, 1000, 100)
    assert.equal(4, reached[partition])
    local count, _, _, name = one:fill(buffer, 1000, partitions, reached, 1000, 0)
    assert.same({ 0, "more" }, { count, name })
    assert.equal(1, (one:fill(buffer, 1000, partitions, reached, 1000, 1)))
    assert.equal(5, reached[partition])
  end)

  it("drops messages of partitions that are not read and those before the next, and tells those to be refused", function()
    produce_all "dropped"
    local one <close> = reading("dropped", { 0, 1 })
    local some, refused, reached, buffer = { next = 4 }, { next = 0, refusing = {} }, {}, core.buffer.new(1000)
    local partitions = { ["dropped/0"] = some }
    fill_until(one, "eof", buffer, 1000, partitions, reached, 1000, 100)
    fill_until(one, "eof", buffer, 1000, partitions, reached, 1000, 100)
    assert.equal(5, reached[some])
    assert.equal(bytes_of '{"n":33}', buffer:length())
    partitions["dropped/0"] = { next = false }
    partitions["dropped/1"] = refused
    local list = { { topic = "dropped", number = 0, offset = 0 }, { topic = "dropped", number = 1, offset = 0 } }
    seek(one, list)
    local _, message = fill_until(one, "message", buffer, 1000, partitions, reached, 1000, 100)
    assert.same({ 1, 0, '{"n":1}' }, { message.partition, message.offset, message.value })
    assert.equal(bytes_of '{"n":33}', buffer:length())
  end)

  it("reads again what it was sought to, also where it had no room for the next", function()
    produce_all "sought"
    local one <close>, list = reading("sought", { 0 })
    local partition, reached, buffer = { next = 0 }, {}, core.buffer.new(1000)
    local partitions = { ["sought/0"] = partition }
    fill_until(one, "full", buffer, bytes_of '{"n":1}', partitions, reached, 1000, 100)
    seek(one, list)
    buffer:reset()
    local records = fill_until(one, "rejected", buffer, 1000, partitions, {}, 1000, 100)
    assert.equal(2, records)
    assert.equal(bytes_of('{"n":1}', '{"n": 2} '), buffer:length())
  end)

  it("loses nothing where an allocation fails, whichever it is", function()
    produce_all "allocated"
    local output, status = shell.run(("ASAN_OPTIONS=detect_leaks=1 LSAN_OPTIONS=suppressions=spec/support/leaks.txt:"
      .. "print_suppressions=0 timeout 200 %s/host allocations spec/scripts/fills.lua %s allocated"):format(
      shell.quote(os.getenv "CATALOG_BUILD" or "build"), broker.brokers))
    assert.equal(0, status, output)
    assert.is_true(tonumber(output:match "ok (%d+) allocations failed once") > 40, output)
  end)

  it("that has begun to leave may be ended at once, whatever it has not answered, and leaves no thread", function()
    broker:produce("leaving", "1\n")
    local before = threads()
    for _, strategy in ipairs { "cooperative-sticky", "range" } do
      local function assigned(group)
        local one = assert(consumer(broker.brokers, group .. strategy, { ["partition.assignment.strategy"] = strategy }))
        assert(one:subscribe { "leaving" })
        return one, wait_for(one, "assigned")
      end
      local waiting = assigned "waiting"
      local told, list = assigned "told"
      assert(told:assign(list))
      assert(told:begin_close())
      wait_for(told, "revoked")
      local untold, all = assigned "untold"
      assert(untold:assign(all))
      for _, one in ipairs { told, untold, waiting } do
        assert(one:begin_close())
        one:close()
        assert.is_true(one:closed())
      end
    end
    assert_no_threads_left(before)
  end)

  it("leaves its group though it was told of no partitions, and has not answered", function()
    if not broker.is_apache then return pending "needs Apache Kafka: make kafka" end
    broker:produce("few", "1\n")
    local members, empty = {}, nil
    for i = 1, 3 do -- of two partitions
      members[i] = assert(consumer(broker.brokers, "empty"))
      assert(members[i]:subscribe { "few" })
    end
    local last = core.system.monotonic() + 30
    while not empty and core.system.monotonic() < last do
      for _, one in ipairs(members) do
        local event, list = one:poll()
        if event == "assigned" and #list == 0 then
          empty = one
        elseif event == "assigned" then
          one:assign(list)
        elseif event == "revoked" then
          one:unassign(list)
        end
      end
      core.system.sleep(0.01)
    end
    assert(empty):begin_close()
    repeat empty:poll() until empty:closed() or core.system.monotonic() > last
    assert.is_true(empty:closed())
    for _, one in ipairs(members) do one:close() end
  end)

  it("sends what is rejected", function()
    local one <close> = assert(consumer(broker.brokers, "group2"))
    assert(one:produce("rejected", "key", "value", { why = "because" }))
    local last = core.system.monotonic() + 30
    repeat one:poll() until one:undelivered() == 0 or core.system.monotonic() > last
    assert.equal(0, one:undelivered())
    assert.equal("key value why=because\n", broker:consume("rejected", "-f '%k %s %h\\n'"))
  end)

  it("raises where it is misused", function()
    local one <close> = assert(consumer("127.0.0.1:1", "g"))
    assert.error_matches(function() one:seek { 5 } end, "table expected")
    assert.error_matches(function() one:commit { { topic = "events", number = "x", offset = 1 } } end, "number")
    assert.error_matches(function() one:subscribe "events" end, "table expected")
    assert.error_matches(function() one:ask(("x"):rep(300), -1) end, "too long")
    assert.error_matches(function() one:fill({}, 1, {}, {}, 1, 1) end, "catalog.buffer expected")
    assert.error_matches(function() one:fill(core.buffer.new(1), 1, nil, {}, 1, 1) end, "table expected")
  end)
end)
