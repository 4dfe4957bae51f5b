--- What is measured: the module against bare libcurl and against lua-cjson.
--
--     lua5.4 spec/bench/run.lua [--quick] [sequential] [inflight] [encode] [memory] [uploads] [loops] [lateness]
--       [suspended] [startup] [instructions]
--
-- Two sides take turns in short blocks within one process, because a machine's speed changes from one second to
-- the next; each figure is the median over the pairs of blocks. A missed target is printed and is not a failure.
local root = arg[0]:match("^(.*)/spec/bench/[^/]*$") or "."
package.path = root .. "/?.lua;" .. package.path

local bare = require "bench.bare"
local catalog = require "catalog"
local cjson = require "cjson"
local core = require "catalog.core"
local inflight = require "spec.bench.inflight"
local instructions = require "spec.bench.instructions"
local lateness = require "spec.bench.lateness"
local loops = require "spec.bench.loops"
local nginx = require "spec.bench.nginx"
local profiles = require "spec.bench.profiles"
local startup = require "spec.bench.startup"
local suspended = require "spec.bench.suspended"
local uploads = require "spec.bench.uploads"

local DATASET = "5c8c3c555033b814b69f947f"
local WIDTH = 16        -- creations in flight
local MOST_HOPS = 15    -- proxies before the server, at most
local SLOW = 200e-6     -- seconds a request from which on a rate is promised

-- Sizes of a full run, and of one with --quick.
local full = {
  pairs = 15, sequential = 2000, slow = 800, inflight = 4000, records = 10000, many = 100000, uploads = 9,
  written = 1000000, looped = 20000, watched = 7, rounds = 5, suspended = 10000, starts = 200,
}
local quick = {
  pairs = 5, sequential = 500, slow = 300, inflight = 1000, records = 10000, many = 20000, uploads = 3,
  written = 200000, looped = 4000, watched = 3, rounds = 2, suspended = 2000, starts = 40,
}

-- Numbers.

local function quantile(values, share)
  local sorted = table.move(values, 1, #values, 1, {})
  table.sort(sorted)
  local place = 1 + share * (#sorted - 1)
  local below = math.floor(place)
  local above = math.min(below + 1, #sorted)
  return sorted[below] + (place - below) * (sorted[above] - sorted[below])
end

local function median(values)
  return quantile(values, 0.5)
end

local function map(list, of)
  local result = {}
  for i, value in ipairs(list) do
    result[i] = of(value)
  end
  return result
end

local function median_of(list, of)
  return median(map(list, of))
end

-- Blocks: a function that does something `count` times becomes one that tells the seconds each took.

local function each(count, wall, cpu)
  return { wall = wall / count, cpu = cpu / count }
end

local function lua_block(count, run)
  return function()
    local wall, cpu = bare.now()
    run(count)
    local wall_after, cpu_after = bare.now()
    return each(count, wall_after - wall, cpu_after - cpu)
  end
end

local function bare_block(target, method, count, ...)
  local more = table.pack(...)
  return function()
    return each(count, target[method](target, count, table.unpack(more)))
  end
end

--- Lets the sides take turns, each first as often as last; `sides` is a list of { name, block }.
local function take_turns(count, sides)
  local turns = {}
  for _, side in ipairs(sides) do
    side[2]() -- connections are made, memory is warm
  end
  for i = 1, count do
    local turn = {}
    for k = 1, #sides do
      local side = sides[i % 2 == 0 and k or #sides + 1 - k]
      turn[side[1]] = side[2]()
    end
    turns[i] = turn
  end
  return turns
end

-- The report.

local function line(...)
  print((string.format("%-52s %-12s %-12s %s", ...):gsub("%s+$", "")))
end

local function row(what, target, measured, met)
  line(what, target, measured, met and "ok" or "MISSED")
end

local function note(...)
  print("    " .. string.format(...))
end

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read("a")
end

local function machine(server)
  local cpu = read("/proc/cpuinfo")
  local _, cores = cpu:gsub("processor%s*:", "")
  print(string.format("%s, %d cores, Linux %s, load %s",
    cpu:match("model name%s*:%s*([^\n]*)") or "unknown CPU", cores,
    read("/proc/sys/kernel/osrelease"):match("%S+"), read("/proc/loadavg"):match("%S+ %S+ %S+")))
  print(string.format("%s, libcurl %s, %s, lua-cjson %s, nginx %s\n", catalog._VERSION,
    bare.curl_version, bare.lua_version, cjson._VERSION, server.version))
end

-- The two sides.

local function client_of(base_url)
  return catalog.client { base_url = base_url, org = "ORG@AdobeOrg", api_key = "key", token = "t", sandbox = "prod" }
end

local function create(client, count)
  for _ = 1, count do
    assert(client:create_batch { dataset = DATASET })
  end
end

--- What one side puts on the wire, with the port of the recorder taken out of it.
local function recorded(send)
  local recorder = bare.recorder("HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: "
    .. #nginx.answer .. "\r\nConnection: close\r\n\r\n" .. nginx.answer)
  local base_url = "http://127.0.0.1:" .. recorder:port()
  send(base_url)
  local request = assert(recorder:stop(), "nothing was sent")
  return (request:gsub("\r\nHost: [^\r\n]*", "\r\nHost: HOST", 1))
end

--- The request of a creation, taken apart: path, header lines that libcurl does not make by itself, body.
local function take_apart(request)
  local head, body = request:match("^(.-)\r\n\r\n(.*)$")
  local lines = {}
  for text in head:gmatch("\r\n([^\r\n]+)") do
    local name = text:match("^[^:]+"):lower()
    if name ~= "host" and name ~= "content-length" then
      lines[#lines + 1] = text
    end
  end
  return { path = head:match("^POST (%S+) HTTP/1%.1\r\n"), lines = lines, body = body }
end

local function target_of(base_url, request)
  return bare.target(base_url .. request.path, request.lines, request.body)
end

--- Learns the request from the module itself, and makes sure that bare libcurl sends the same bytes.
local function learn_request()
  local ours = recorded(function(base_url)
    create(client_of(base_url), 1)
  end)
  local request = take_apart(ours)
  local theirs = recorded(function(base_url)
    target_of(base_url, request):sequential(1)
  end)
  if ours ~= theirs then
    error("the sides do not send the same bytes:\n" .. ours .. "\nand\n" .. theirs, 0)
  end
  return request
end

-- The measurements.

local function wall_ratio(turn)
  return turn.bare.wall / turn.ours.wall
end

local function more_cpu(turn)
  return (turn.ours.cpu - turn.bare.cpu) * 1e6
end

local function note_sides(turns)
  for _, side in ipairs { "bare", "ours" } do
    local wall = median_of(turns, function(turn) return turn[side].wall end)
    local cpu = median_of(turns, function(turn) return turn[side].cpu end)
    note("%s: %.1f us wall, %.1f us CPU, %.0f a second", side, wall * 1e6, cpu * 1e6, 1 / wall)
  end
end

local function one_after_another(bench, hops, count)
  local base_url = bench.server:url(hops)
  local client = client_of(base_url)
  local target = target_of(base_url, bench.request)
  return take_turns(bench.size.pairs, {
    { "bare", bare_block(target, "sequential", count) },
    { "ours", lua_block(count, function(n) create(client, n) end) },
  })
end

local function slow_turns(turns)
  local slow = {}
  for _, turn in ipairs(turns) do
    if turn.bare.wall >= SLOW then
      slow[#slow + 1] = turn
    end
  end
  return slow
end

--- The fewest proxies with which the bare loop takes long enough, by a little to spare.
local function enough_hops(bench)
  for hops = 0, MOST_HOPS do
    local block = bare_block(target_of(bench.server:url(hops), bench.request), "sequential", 300)
    local walls = { block().wall, block().wall, block().wall }
    if median(walls) >= 1.1 * SLOW then
      return hops
    end
  end
  return MOST_HOPS
end

local function sequential_cpu(bench)
  local turns = one_after_another(bench, 0, bench.size.sequential)
  local more = map(turns, more_cpu)
  row("create_batch, one after another: CPU more", "<= 15 us", string.format("%.1f us", median(more)),
    median(more) <= 15)
  note("quartiles %.1f and %.1f us; its rate is %.2f of bare libcurl's", quantile(more, 0.25),
    quantile(more, 0.75), median_of(turns, wall_ratio))
  note_sides(turns)
end

local function sequential_rate(bench)
  local hops = enough_hops(bench)
  local slow, turns
  repeat -- the machine may have become faster since
    turns = one_after_another(bench, hops, bench.size.slow)
    slow = slow_turns(turns)
    hops = hops + 1
  until #slow * 2 > #turns or hops > MOST_HOPS
  local what = "create_batch, one after another: rate, >= 200 us"
  if #slow == 0 then
    line(what, ">= 0.95", "-", "not measured: this machine is too fast")
    return
  end
  local ratios = map(slow, wall_ratio)
  row(what, ">= 0.95", string.format("%.3f", median(ratios)), median(ratios) >= 0.95)
  note("quartiles %.3f and %.3f; %d of %d pairs count; through %d nginx proxies in a row", quantile(ratios, 0.25),
    quantile(ratios, 0.75), #slow, #turns, hops - 1)
  note_sides(slow)
end

local measurements = {}

function measurements.sequential(bench)
  sequential_cpu(bench)
  sequential_rate(bench)
end

function measurements.inflight(bench)
  local base_url, count = bench.server:url(0), bench.size.inflight
  local client = client_of(base_url)
  local target = target_of(base_url, bench.request)
  local turns = take_turns(bench.size.pairs, {
    { "bare", bare_block(target, "inflight", count, WIDTH) },
    { "ours", lua_block(count, function(n) inflight(client, n, WIDTH) end) },
    { "sequential", lua_block(count // 2, function(n) create(client, n) end) },
  })
  local ratios = map(turns, wall_ratio)
  row(WIDTH .. " creations in flight: rate", ">= 0.7", string.format("%.3f", median(ratios)), median(ratios) >= 0.7)
  note("quartiles %.3f and %.3f; %.1f us CPU more", quantile(ratios, 0.25), quantile(ratios, 0.75),
    median_of(turns, more_cpu))
  note_sides(turns)
  local gains = map(turns, function(turn) return turn.sequential.wall / turn.ours.wall end)
  local least = quantile(gains, 0)
  row(WIDTH .. " creations in flight: rate, to our sequential one", "> 1, always", string.format("%.2f", least),
    least > 1)
  note("that is the least of %d; the median is %.2f", #gains, median(gains))
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return a == b
  end
  for key, value in pairs(a) do
    if not same(value, b[key]) then
      return false
    end
  end
  for key in pairs(b) do
    if a[key] == nil then
      return false
    end
  end
  return true
end

--- Encodes every record by itself, as lines of a file are. No collection falls into a block, for either side.
local function encode_block(encode, records)
  local block = lua_block(#records, function(count)
    for i = 1, count do
      encode(records[i])
    end
  end)
  return function()
    collectgarbage()
    collectgarbage("stop")
    local result = block()
    collectgarbage("restart")
    return result
  end
end

function measurements.encode(bench)
  local records = profiles(bench.size.records, 20190318)
  local bytes = 0
  for _, record in ipairs(records) do
    local text = assert(core.json.encode(record))
    bytes = bytes + #text
    assert(same(cjson.decode(text), record), "a record does not survive")
  end
  local turns = take_turns(bench.size.pairs, {
    { "cjson", encode_block(cjson.encode, records) },
    { "ours", encode_block(core.json.encode, records) },
  })
  local ratios = map(turns, function(turn) return turn.cjson.wall / turn.ours.wall end)
  row("encoding " .. #records .. " profiles: rate, to cjson.encode", ">= 1.2", string.format("%.2f", median(ratios)),
    median(ratios) >= 1.2)
  note("quartiles %.2f and %.2f; %.0f bytes a record", quantile(ratios, 0.25), quantile(ratios, 0.75),
    bytes / #records)
  for _, side in ipairs { "cjson", "ours" } do
    local wall = median_of(turns, function(turn) return turn[side].wall end)
    note("%s: %.2f us a record, %.0f MB a second", side, wall * 1e6, bytes / #records / wall / 1e6)
  end
end

--- In a process of its own, so that nothing else is in its memory.
function measurements.memory(bench)
  local some, many = 1000, bench.size.many
  local pipe = assert(io.popen(string.format("'%s' '%s/spec/bench/memory.lua' %s %d %d", bench.lua, root,
    bench.server:url(0), some, many)))
  local before, after = pipe:read("n", "n")
  pipe:close()
  assert(after, "the process that creates did not finish")
  local more = (after - before) / 2 ^ 20
  row(string.format("resident memory, %d creations to %d", many, some), "<= 1 MiB", string.format("%+.2f MiB", more),
    more <= 1)
  note("%.2f MiB, then %.2f MiB", before / 2 ^ 20, after / 2 ^ 20)
end

function measurements.uploads(bench)
  uploads.run(bench)
end

function measurements.loops(bench)
  loops.run(bench)
end

function measurements.lateness(bench)
  lateness.run(bench)
end

function measurements.suspended(bench)
  suspended.run(bench)
end

function measurements.startup(bench)
  startup.run(bench)
end

function measurements.instructions(bench)
  instructions.run(bench)
end

-- The run.

local order = {
  "sequential", "inflight", "encode", "memory", "uploads", "loops", "lateness", "suspended", "startup",
  "instructions",
}

local function interpreter()
  local lowest = -1
  while arg[lowest - 1] do
    lowest = lowest - 1
  end
  return arg[lowest]
end

local function read_arguments()
  local size, chosen, any = full, {}, false
  for _, word in ipairs(arg) do
    if word == "--quick" then
      size = quick
    elseif measurements[word] then
      chosen[word], any = true, true
    else
      io.stderr:write("usage: run.lua [--quick] [", table.concat(order, "] ["), "]\n")
      os.exit(2, true)
    end
  end
  return size, any and chosen or measurements
end

local function main()
  local size, chosen = read_arguments()
  local server <close> = nginx.start(MOST_HOPS)
  local bench = {
    size = size, server = server, request = learn_request(), lua = interpreter(), root = root,
    row = row, note = note, map = map, median = median, median_of = median_of, quantile = quantile,
    take_turns = take_turns, lua_block = lua_block, bare_block = bare_block, target_of = target_of,
  }
  local failed = false
  machine(server)
  line("what", "target", "measured", "")
  for _, name in ipairs(order) do
    if chosen[name] then
      local fine, why = xpcall(measurements[name], debug.traceback, bench)
      if not fine then
        failed = true
        print(name .. " broke: " .. why)
      end
    end
  end
  return not failed
end

os.exit(main(), true)
