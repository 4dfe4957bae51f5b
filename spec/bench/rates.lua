--- What is measured of creations by the clock, at a server on the loopback that answers at once: ours against libcurl's
-- alone.
local ways = require "spec.bench.ways"

local rates = {}

-- Ours, libcurl's, and which share of its rate is wanted.
local ROWS <const> = {
  sequential = {
    { "sequential", "bare", 0.78, "create_batch, one after another" },
  },
  loops = {
    { "map64", "bare64", 0.75, "catalog.map, 64 in flight" },
    { "map16", "bare16", 0.78, "catalog.map, 16 in flight" },
    { "cqueues", "bare64", 0.65, "cqueues, 64 in flight" },
    { "luv", "bare64", 0.65, "luv, 64 in flight" },
  },
}

-- The sides of each measurement, in the order of their turns.
local SIDES <const> = {
  sequential = { "bare", "sequential" },
  loops = { "bare64", "map64", "kept64", "cqueues", "luv", "bare16", "map16", "sequential" },
}

-- What the last block has left is not this one's to collect.
local function clean(block)
  return function()
    collectgarbage()
    return block()
  end
end

-- The turns of a measurement; they are taken once, whoever asks.
local function turns_of(bench, name)
  local taken = bench.turns[name]
  if taken then return taken end
  local sides = {}
  for i, way in ipairs(SIDES[name]) do
    local count = (way == "bare" or way == "sequential") and bench.size.sequential or bench.size.looped
    sides[i] = { way, clean(bench.lua_block(count, ways[way](bench.server.url))) }
  end
  taken = bench.take_turns(bench.size.pairs, sides)
  bench.turns[name] = taken
  return taken
end

local function ratios_of(bench, turns, one, other, clock)
  return bench.map(turns, function(turn) return turn[one][clock] / turn[other][clock] end)
end

--- How many times libcurl's a way's time is: wall, and CPU.
-- @tparam table bench
-- @tparam string way
-- @treturn ?number nothing for a way that has no rate
function rates.times(bench, way)
  for name, rows in pairs(ROWS) do
    for _, row in ipairs(rows) do
      if row[1] == way then
        local turns = turns_of(bench, name)
        return bench.median(ratios_of(bench, turns, way, row[2], "wall")),
          bench.median(ratios_of(bench, turns, way, row[2], "cpu"))
      end
    end
  end
end

local function report(bench, turns, way, bare, target, what)
  local found = ratios_of(bench, turns, bare, way, "wall")
  local ratio = bench.median(found)
  bench.row(what .. ": rate, to libcurl alone", (">= %.2f"):format(target), ("%.3f"):format(ratio), ratio >= target)
  bench.figure("speed", {
    what = what, peer = "libcurl alone", ratio = ratio, low = bench.quantile(found, 0.25), high = bench.quantile(found, 0.75),
  })
  bench.note("quartiles %.3f and %.3f of %d pairs; by CPU %.3f", bench.quantile(found, 0.25),
    bench.quantile(found, 0.75), #found, bench.median(ratios_of(bench, turns, bare, way, "cpu")))
  local function each(side, clock)
    return bench.median_of(turns, function(turn) return turn[side][clock] * 1e6 end)
  end
  bench.note("%.1f us wall and %.1f us CPU each; libcurl alone %.1f and %.1f", each(way, "wall"), each(way, "cpu"),
    each(bare, "wall"), each(bare, "cpu"))
end

local function report_all(bench, name)
  local turns = turns_of(bench, name)
  for _, row in ipairs(ROWS[name]) do report(bench, turns, table.unpack(row)) end
  return turns
end

--- Measures creations one after another.
function rates.sequential(bench)
  local more = bench.map(report_all(bench, "sequential"), function(turn)
    return (turn.sequential.cpu - turn.bare.cpu) * 1e6
  end)
  bench.row("the same: CPU more", "<= 15 us", ("%.1f us"):format(bench.median(more)), bench.median(more) <= 15)
  bench.note("quartiles %.1f and %.1f us", bench.quantile(more, 0.25), bench.quantile(more, 0.75))
end

--- Measures many creations at a time, as a program makes them: `catalog.map`, by itself and in loops.
function rates.loops(bench)
  local turns = report_all(bench, "loops")
  bench.note("catalog.map where all batches are kept: %.3f",
    bench.median(ratios_of(bench, turns, "bare64", "kept64", "wall")))
  local gains = ratios_of(bench, turns, "sequential", "map16", "wall")
  local least = bench.quantile(gains, 0)
  bench.row("catalog.map, 16 in flight: rate, to one after another", "> 1, always", ("%.2f"):format(least), least > 1)
  bench.note("that is the least of %d; the median is %.2f", #gains, bench.median(gains))
end

return rates
