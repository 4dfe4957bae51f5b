--- What is measured of many creations at a time, as a program makes them: `catalog.map`, by itself and in loops.
local catalog = require "catalog"
local hosts = require "spec.bench.hosts"

local DATASET <const>, WIDTH <const> = "5c8c3c555033b814b69f947f", 64

local loops = {}

local function client_of(base_url, loop)
  return assert(catalog.client {
    base_url = base_url, org = "ORG@AdobeOrg", api_key = "key", token = "t", sandbox = "prod", loop = loop,
  })
end

-- The bare loop throws the replies away; so do we, unless `kept`: what is kept is Lua's collector's to walk through.
local function create(client, count, kept)
  local list = {}
  for i = 1, count do list[i] = i end
  local made = assert(catalog.map(list, function()
    local batch, err = client:create_batch { dataset = DATASET }
    if kept or not batch then return batch, err end
    return batch.id
  end, { parallel = WIDTH }))
  assert(#made == count)
end

-- What the last block has left is not this one's to collect.
local function clean(block)
  return function()
    collectgarbage()
    return block()
  end
end

local function report(bench, turns, name, target)
  local ratios = bench.map(turns, function(turn) return turn.bare.wall / turn[name].wall end)
  local ratio = bench.median(ratios)
  bench.row(("%d creations, %d in flight, %s: rate"):format(bench.size.looped, WIDTH,
    name == "map" and "catalog.map" or name), (">= %.1f"):format(target), ("%.3f"):format(ratio), ratio >= target)
  bench.note("quartiles %.3f and %.3f; %.1f us wall and %.1f us CPU each; bare %.1f and %.1f",
    bench.quantile(ratios, 0.25), bench.quantile(ratios, 0.75),
    bench.median_of(turns, function(turn) return turn[name].wall end) * 1e6,
    bench.median_of(turns, function(turn) return turn[name].cpu end) * 1e6,
    bench.median_of(turns, function(turn) return turn.bare.wall end) * 1e6,
    bench.median_of(turns, function(turn) return turn.bare.cpu end) * 1e6)
end

--- Measures all of it. The sides take turns in one process.
function loops.run(bench)
  local base_url, count = bench.server:url(0), bench.size.looped
  local client = client_of(base_url)
  local sides = {
    { "bare", bench.bare_block(bench.target_of(base_url, bench.request), "inflight", count, WIDTH) },
    { "map", clean(bench.lua_block(count, function(n) create(client, n) end)) },
    { "kept", clean(bench.lua_block(count, function(n) create(client, n, true) end)) },
  }
  for i, name in ipairs(hosts.names) do
    local adapted = client_of(base_url, require("catalog.loop." .. name))
    sides[i + 3] = { name, clean(bench.lua_block(count, function(n)
      hosts[name].run(function() create(adapted, n) end)
    end)) }
  end
  local turns = bench.take_turns(bench.size.pairs, sides)
  report(bench, turns, "map", 0.7)
  bench.note("where all batches are kept: %.3f", bench.median_of(turns, function(turn)
    return turn.bare.wall / turn.kept.wall
  end))
  for _, name in ipairs(hosts.names) do report(bench, turns, name, 0.6) end
end

return loops
