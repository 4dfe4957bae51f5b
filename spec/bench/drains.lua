--- What is measured of drains: against kcat, which reads the same topic into nothing; after the death of a member; and
-- beside a host's timer.
local bare = require "bench.bare"
local core = require "catalog.core"
local hosts = require "spec.bench.hosts"
local kafka = require "support.kafka"
local sinks = require "spec.bench.sinks"

local MB <const>, MIB <const> = 1e6, 2 ^ 20
local PARTITIONS <const> = 4

-- What librdkafka may hold where speed is more than memory; the defaults are the drain's.
local LARGE <const> = {
  ["queued.max.messages.kbytes"] = "65536", ["fetch.max.bytes"] = "8388608", ["fetch.message.max.bytes"] = "8388608",
}
local SESSION <const>, MORE <const> = 6, 0.002 -- seconds; of the 999th of a thousand

local drains = {}

local clock <const> = core.system.monotonic

-- --- topics of records ---

-- Events with few fields, most of each a text.
local function events()
  math.randomseed(20190318)
  local lines, total = {}, 0
  while total < 64 * MB do
    local words = {}
    for i = 1, 110 do words[i] = ("x"):rep(math.random(3, 11)) end
    local n = #lines
    lines[n + 1] = assert(core.json.encode {
      _id = ("%016x%016x"):format(math.random(0), math.random(0)), timestamp = ("2019-03-18T12:%02d:%02d.%03dZ"):format(
        n // 60 % 60, n % 60, n % 1000), host = ("web-%d.example.com"):format(n % 50), service = "checkout", level = "info",
      status = 200 + n % 5, duration = n * 0.25, path = ("/shop/%d/items?page=%d"):format(n, n % 7),
      message = table.concat(words, " "),
    })
    total = total + #lines[n + 1] + 1
  end
  return lines, total
end

-- Makes a topic of lines, as often as it takes. Gives how many records it has, and their bytes.
local function make_topic(bench, broker, topic, lines, once)
  local directory <close> = sinks.directory()
  local times = math.max(1, bench.size.drained // once)
  sinks.make_file(directory.path .. "/lines", lines, times)
  assert(os.execute(("kcat -q -b %s -P -t %s -p -1 <%s/lines"):format(broker.brokers, topic, directory.path)))
  return { name = topic, records = #lines * times, bytes = once * times }
end

local groups = 0

local function command(bench, broker, way, topic, ...)
  groups = groups + 1
  local words = { bench.lua, bench.root .. "/spec/bench/drainer.lua", way, bench.server.url, broker.brokers, topic,
    "group" .. groups, ... }
  for i, word in ipairs(words) do words[i] = ("'%s'"):format(word) end
  return table.concat(words, " ")
end

local function read_numbers(words, ...)
  local pipe = assert(io.popen(words))
  local found = table.pack(pipe:read(...))
  assert(pipe:close() and found[found.n], "the process that reads the topic did not finish")
  return table.unpack(found, 1, found.n)
end

-- --- rates ---

local function by_kcat(broker, topic)
  return function()
    local began = clock()
    assert(os.execute(("kcat -q -C -e -o beginning -b %s -t %s >/dev/null"):format(broker.brokers, topic.name)))
    return { wall = clock() - began }
  end
end

local function by_drain(bench, broker, topic, transform, config)
  return function()
    local wall, memory = read_numbers(command(bench, broker, "rate", topic.name, topic.records, transform,
      assert(core.json.encode(config))), "n", "n")
    return { wall = wall, memory = memory }
  end
end

local function ratio_row(bench, what, target, turns, side, bytes)
  local ratios = bench.map(turns, function(turn) return turn.kcat.wall / turn[side].wall end)
  local function rate(one) return bytes / bench.median_of(turns, function(turn) return turn[one].wall end) / MB end
  bench.row(what, (">= %.1f"):format(target), ("%.2f"):format(bench.median(ratios)), bench.median(ratios) >= target)
  bench.note("quartiles %.2f and %.2f of %d pairs; %.0f MB a second, kcat %.0f", bench.quantile(ratios, 0.25),
    bench.quantile(ratios, 0.75), #turns, rate(side), rate "kcat")
end

local function memory_row(bench, turns, side, target)
  local most = bench.quantile(bench.map(turns, function(turn) return turn[side].memory end), 1) / MIB
  bench.row("the same: resident memory, the most", ("<= %d MiB"):format(target), ("%.1f MiB"):format(most), most <= target)
end

local function as_they_are(bench, broker, topic)
  local turns = bench.take_turns(bench.size.drain_pairs, {
    { "kcat", by_kcat(broker, topic) }, { "plain", by_drain(bench, broker, topic, "none", {}) },
    { "large", by_drain(bench, broker, topic, "none", LARGE) },
  })
  local rate = topic.bytes / bench.median_of(turns, function(turn) return turn.plain.wall end) / MB
  bench.row(("a drain of %.1f GB of profiles of %d bytes"):format(topic.bytes / 1e9, topic.bytes // topic.records),
    ">= 50 MB/s", ("%.0f MB/s"):format(rate), rate >= 50)
  memory_row(bench, turns, "plain", 64)
  ratio_row(bench, "the same with large queues: rate, to kcat -C", 0.5, turns, "large", topic.bytes)
  memory_row(bench, turns, "large", 192)
end

local function changed(bench, broker, topic)
  local turns = bench.take_turns(bench.size.drain_pairs, {
    { "kcat", by_kcat(broker, topic) }, { "changed", by_drain(bench, broker, topic, "field", LARGE) },
  })
  ratio_row(bench, ("a transform adds a field to %s of %d bytes: to kcat"):format(topic.name,
    topic.bytes // topic.records), 0.2, turns, "changed", topic.bytes)
end

-- --- the death of a member ---

-- Has a record sent to each partition of a topic, again and again.
local function produce_steadily(broker, topic)
  local line = "while :; do for p in 0 1 2 3; do echo '{\"n\":1}' | kcat -q -b %s -P -t %s -p $p || exit; done; done"
  return bare.spawn("/bin/sh", "-c", line:format(broker.brokers, topic))
end

-- A member of a group: a process that writes of which partitions it has records, and since when, into a file.
local function join(bench, broker, topic, path)
  assert(io.open(path, "w")):close()
  local config = assert(core.json.encode {
    ["session.timeout.ms"] = tostring(SESSION * 1000), ["heartbeat.interval.ms"] = "500",
  })
  local words = ("exec '%s' '%s/spec/bench/drainer.lua' member %s %s %s %s '%s' >%s"):format(bench.lua, bench.root,
    bench.server.url, broker.brokers, topic, topic, config, path)
  return bare.spawn("/bin/sh", "-c", words)
end

-- Waits until a member has records of so many partitions. Gives when it got those of the last.
local function wait_for(path, count)
  local last = clock() + 60
  repeat
    os.execute "sleep 0.05"
    local seen, at = 0, nil
    for line in io.lines(path) do
      local told = line:match "^%S+%s+([%d.]+)$"
      if told then seen, at = seen + 1, tonumber(told) end
      if seen == count then return at end
    end
  until clock() > last
  error "a member does not get its partitions"
end

-- The seconds from the death of one of two members to the first record that the other has of what was that one's.
local function take_over(bench, broker, topic)
  local directory <close> = sinks.directory()
  local one, other = directory.path .. "/one", directory.path .. "/other"
  local producer = produce_steadily(broker, topic)
  os.execute "sleep 2" -- the topic is made
  local first = join(bench, broker, topic, one)
  wait_for(one, PARTITIONS)
  local second = join(bench, broker, topic, other)
  wait_for(other, PARTITIONS // 2)
  local killed = clock()
  os.execute("kill -9 " .. first)
  local taken = wait_for(other, PARTITIONS // 2 + 1)
  for _, pid in ipairs { first, second, producer } do bare.stop(pid) end
  return taken - killed
end

local function after_death(bench, broker)
  local seconds = {}
  for i = 1, bench.size.restarts do seconds[i] = take_over(bench, broker, "steady" .. i) end
  local most = bench.quantile(seconds, 1)
  bench.row(("from the death of a drain to another's record of it: session of %d s"):format(SESSION),
    ("<= %d s"):format(SESSION + 2), ("%.2f s"):format(most), most <= SESSION + 2)
  bench.note("the most of %d; the median is %.2f s", #seconds, bench.median(seconds))
end

-- --- beside a timer ---

local function beside_timer(bench, broker)
  for _, name in ipairs(hosts.names) do
    local function tick(side)
      local share, most, count = read_numbers(command(bench, broker, "tick", "profiles", name, side, tostring(bench.size.ticked)),
        "n", "n", "n")
      return { share = share, most = most, count = count }
    end
    local turns = bench.take_turns(bench.size.drain_pairs, {
      { "idle", function() return tick "idle" end }, { "ours", function() return tick "ours" end },
    })
    local function of(side, field) return bench.map(turns, function(turn) return turn[side][field] * 1e3 end) end
    local more = bench.median_of(turns, function(turn) return turn.ours.share - turn.idle.share end)
    bench.row(("a 1 ms timer in %s beside a drain: p99.9"):format(name), "<= 2 ms more", ("%+.2f ms"):format(more * 1e3),
      more <= MORE)
    bench.note("%.2f ms late, idle %.2f; the latest %.2f, idle %.2f; medians of %d pairs", bench.median(of("ours", "share")),
      bench.median(of("idle", "share")), bench.median(of("ours", "most")), bench.median(of("idle", "most")), #turns)
  end
end

--- Measures all of it.
function drains.run(bench)
  local broker = kafka.start(PARTITIONS)
  local fine, raised = xpcall(function()
    local profiles = make_topic(bench, broker, "profiles", sinks.lines(64 * MB))
    as_they_are(bench, broker, profiles)
    changed(bench, broker, make_topic(bench, broker, "events", events()))
    changed(bench, broker, profiles)
    after_death(bench, broker)
    beside_timer(bench, broker)
  end, debug.traceback)
  broker:stop()
  if not fine then error(raised, 0) end
end

return drains
