--- What is measured: the module against bare libcurl and against lua-cjson.
--
--     lua5.4 spec/bench/run.lua [--quick] [--figures FILE] [instructions] [sequential] [loops] [encode] [memory]
--       [uploads] [lateness] [suspended] [startup] [spooling] [spooled] [waiting] [beside] [serve] [listing] [downloads]
--       [checking] [drain] [sizes] [batches]
--
-- FILE gets what plot.lua makes pictures of, as JSON lines.
--
-- Two sides take turns in short blocks within one process, because a machine's speed changes from one second to
-- the next; each figure of the clocks is the median over the pairs of blocks. Instructions are counted in processes of
-- their own. A missed target is printed and is not a failure.
local root = arg[0]:match("^(.*)/spec/bench/[^/]*$") or "."
package.path = root .. "/?.lua;" .. package.path

local bare = require "bench.bare"
local catalog = require "catalog"
local cjson = require "cjson"
local core = require "catalog.core"
local drains = require "spec.bench.drains"
local instructions = require "spec.bench.instructions"
local lateness = require "spec.bench.lateness"
local nginx = require "spec.bench.nginx"
local profiles = require "spec.bench.profiles"
local queries = require "spec.bench.queries"
local rates = require "spec.bench.rates"
local sink_batches = require "spec.bench.sink_batches"
local sink_ends = require "spec.bench.sink_ends"
local sink_lateness = require "spec.bench.sink_lateness"
local sink_rates = require "spec.bench.sink_rates"
local sink_served = require "spec.bench.sink_served"
local sink_sizes = require "spec.bench.sink_sizes"
local startup = require "spec.bench.startup"
local suspended = require "spec.bench.suspended"
local uploads = require "spec.bench.uploads"

-- Sizes of a full run, and of one with --quick.
local full = {
  pairs = 15, sequential = 2000, looped = 20000, counted = 1000, ingested = 200, records = 10000, many = 100000,
  uploads = 9, written = 1000000, watched = 7, rounds = 5, suspended = 10000, starts = 200,
  spool_pairs = 7, spooled = 500000, spool_bytes = 1000000000, waiting_bytes = 10000000000,
  segments = 10000, restarts = 5, ticked = 10, posted = 1000,
  listed = 100000, downloaded = 2 ^ 30 | 0, checked = 100000, drained = 1000000000, drain_pairs = 5, rolled = 60,
}
local quick = {
  pairs = 5, sequential = 500, looped = 4000, counted = 500, ingested = 100, records = 10000, many = 20000,
  uploads = 3, written = 200000, watched = 3, rounds = 2, suspended = 2000, starts = 40,
  spool_pairs = 3, spooled = 100000, spool_bytes = 200000000, waiting_bytes = 500000000,
  segments = 10000, restarts = 3, ticked = 2, posted = 200,
  listed = 10000, downloaded = 2 ^ 28 | 0, checked = 20000, drained = 300000000, drain_pairs = 3, rolled = 15,
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

local function lua_block(count, run)
  return function()
    local wall, cpu = bare.now()
    run(count)
    local wall_after, cpu_after = bare.now()
    return { wall = (wall_after - wall) / count, cpu = (cpu_after - cpu) / count }
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
  print((string.format("%-56s %-12s %-12s %s", ...):gsub("%s+$", "")))
end

local function row(what, target, measured, met)
  line(what, target, measured, met and "ok" or "MISSED")
end

local function note(...)
  print("    " .. string.format(...))
end

-- What pictures are made of, where they are wanted.
local figures

local function figure(chart, fields)
  if not figures then return end
  fields.chart = chart
  assert(figures:write(cjson.encode(fields), "\n"))
end

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read("a")
end

local function machine(server, is_quick)
  local cpu = read("/proc/cpuinfo")
  local _, cores = cpu:gsub("processor%s*:", "")
  print(string.format("%s, %d cores, Linux %s, load %s",
    cpu:match("model name%s*:%s*([^\n]*)") or "unknown CPU", cores,
    read("/proc/sys/kernel/osrelease"):match("%S+"), read("/proc/loadavg"):match("%S+ %S+ %S+")))
  print(string.format("%s, libcurl %s, %s, lua-cjson %s, nginx %s\n", catalog._VERSION,
    bare.curl_version, bare.lua_version, cjson._VERSION, server.version))
  figure("machine", {
    cpu = cpu:match("model name%s*:%s*([^\n]*)"), cores = cores, load = read("/proc/loadavg"):match("%S+"),
    version = catalog._VERSION, libcurl = bare.curl_version, lua = bare.lua_version, quick = is_quick,
  })
end

-- The measurements.

local measurements = {
  instructions = instructions.run, sequential = rates.sequential, loops = rates.loops, uploads = uploads.run,
  lateness = lateness.run, suspended = suspended.run, startup = startup.run,
  spooling = sink_rates.run, spooled = sink_ends.run, waiting = sink_sizes.run,
  beside = sink_lateness.run, serve = sink_served.run, sizes = uploads.sizes, batches = sink_batches.run,
  listing = queries.listing, downloads = queries.downloads, checking = queries.checking, drain = drains.run,
}

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
  figure("speed", {
    what = "encoding records", peer = "lua-cjson", ratio = median(ratios), low = quantile(ratios, 0.25),
    high = quantile(ratios, 0.75),
  })
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
    bench.server.url, some, many)))
  local before, after = pipe:read("n", "n")
  pipe:close()
  assert(after, "the process that creates did not finish")
  local more = (after - before) / 2 ^ 20
  row(string.format("resident memory, %d creations to %d", many, some), "<= 1 MiB", string.format("%+.2f MiB", more),
    more <= 1)
  note("%.2f MiB, then %.2f MiB", before / 2 ^ 20, after / 2 ^ 20)
end

-- The run.

local order = {
  "instructions", "sequential", "loops", "encode", "memory", "uploads", "lateness", "suspended", "startup",
  "spooling", "spooled", "waiting", "beside", "serve", "listing", "downloads", "checking", "drain", "sizes", "batches",
}

local function interpreter()
  local lowest = -1
  while arg[lowest - 1] do
    lowest = lowest - 1
  end
  return arg[lowest]
end

local function read_arguments()
  local size, chosen, any, i = full, {}, false, 1
  while i <= #arg do
    local word = arg[i]
    if word == "--quick" then
      size = quick
    elseif word == "--figures" and arg[i + 1] then
      i = i + 1
      figures = assert(io.open(arg[i], "w"))
    elseif measurements[word] then
      chosen[word], any = true, true
    else
      io.stderr:write("usage: run.lua [--quick] [--figures FILE] [", table.concat(order, "] ["), "]\n")
      os.exit(2, true)
    end
    i = i + 1
  end
  return size, any and chosen or measurements
end

local function main()
  local size, chosen = read_arguments()
  local server <close> = nginx.start()
  local bench = {
    size = size, server = server, lua = interpreter(), root = root, turns = {},
    row = row, note = note, map = map, median = median, median_of = median_of, quantile = quantile,
    take_turns = take_turns, lua_block = lua_block, figure = figure,
  }
  local failed = false
  machine(server, size == quick)
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
