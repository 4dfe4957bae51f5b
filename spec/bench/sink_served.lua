--- What is measured of `catalog serve`: requests that are answered once their lines are on the disk, against the same
-- server with a handler that appends each to a file and syncs that.
local bare = require "bench.bare"
local sinks = require "spec.bench.sinks"

local LINES <const>, WIDTH <const> = 100, 8

local sink_served = {}

local Receiver = {
  __close = function(self) bare.stop(self.pid) end,
}

local function start(bench, way, path)
  local port = bare.ports(1)[1]
  local self = setmetatable({ url = "http://127.0.0.1:" .. port .. "/" }, Receiver)
  self.pid = bare.spawn("/usr/bin/env", bench.lua, bench.root .. "/spec/bench/receiver.lua", way, tostring(port), path)
  if bare.await_port(port, 5) then return self end
  Receiver.__close(self)
  error "the server does not start"
end

local function block(bench, server, body)
  local target = bare.target(server.url, { "Content-Type: application/x-ndjson" }, body)
  return bench.lua_block(bench.size.posted, function(count) target:inflight(count, WIDTH) end)
end

--- Measures all of it.
function sink_served.run(bench)
  local directory <close> = sinks.directory()
  local body = table.concat(sinks.lines(1e6), "\n", 1, LINES) .. "\n"
  local ours <close> = start(bench, "sink", directory.path .. "/spool")
  local theirs <close> = start(bench, "file", directory.path .. "/file")
  local turns = bench.take_turns(bench.size.spool_pairs, {
    { "theirs", block(bench, theirs, body) }, { "ours", block(bench, ours, body) },
  })
  local found = bench.map(turns, function(turn) return turn.theirs.wall / turn.ours.wall end)
  local ratio = bench.median(found)
  bench.row(("serve, %d connections, %d lines each: rate, to fdatasync"):format(WIDTH, LINES), ">= 0.7",
    ("%.2f"):format(ratio), ratio >= 0.7)
  bench.note("quartiles %.2f and %.2f of %d pairs; %.0f requests of %d kB a second, the other %.0f",
    bench.quantile(found, 0.25), bench.quantile(found, 0.75), #found,
    1 / bench.median_of(turns, function(turn) return turn.ours.wall end), #body // 1000,
    1 / bench.median_of(turns, function(turn) return turn.theirs.wall end))
end

return sink_served
