--- What is measured of a host's loop while a sink is at work in it: by how much a timer of one millisecond is late, and
-- how late it is in the same loop when that is idle.
local core = require "catalog.core"
local hosts = require "spec.bench.hosts"
local sinks = require "spec.bench.sinks"

local RATE <const> = 50000000 -- bytes a second
local MORE <const>, MOST <const> = 0.002, 0.020 -- seconds: of the 999th of a thousand; of each

local sink_lateness = {}

local function tick(bench, name, side, spool, line)
  local words = table.concat({
    bench.lua, bench.root .. "/spec/bench/sink_ticker.lua", name, side, bench.server.url, spool,
    tostring(bench.size.ticked), tostring(RATE), line,
  }, "' '")
  local pipe = assert(io.popen("'" .. words .. "'"))
  local share, most, busiest, count = pipe:read("n", "n", "n", "n")
  assert(pipe:close() and count, "the process with the timer did not finish")
  core.fs.remove(spool)
  return { share = share, most = most, busiest = busiest, count = count }
end

local function report(bench, name, turns)
  local function of(side, field)
    return bench.map(turns, function(turn) return turn[side][field] * 1e3 end)
  end
  local more = bench.median_of(turns, function(turn) return turn.ours.share - turn.idle.share end)
  local most = bench.quantile(of("ours", "most"), 1)
  for _, side in ipairs { "ours", "idle" } do
    bench.figure("lateness", {
      loop = name, beside = "a sink", side = side, share = bench.median(of(side, "share")),
      most = bench.quantile(of(side, "most"), 1),
    })
  end
  bench.row(("a 1 ms timer in %s beside a sink: p99.9"):format(name), "<= 2 ms more", ("%+.2f ms"):format(more * 1e3),
    more <= MORE)
  bench.note("%.2f ms late, idle %.2f; medians of %d pairs, of %d rings or more", bench.median(of("ours", "share")),
    bench.median(of("idle", "share")), #turns,
    bench.quantile(bench.map(turns, function(turn) return turn.ours.count end), 0) // 1 | 0)
  bench.row("the same: the latest of all", "<= 20 ms", ("%.2f ms"):format(most), most <= MOST * 1e3)
  bench.note("idle %.2f ms; without the waits for a processor, which others had, %.2f and idle %.2f ms",
    bench.quantile(of("idle", "most"), 1), bench.quantile(of("ours", "busiest"), 1),
    bench.quantile(of("idle", "busiest"), 1))
end

--- Measures all of it.
function sink_lateness.run(bench)
  local directory <close> = sinks.directory()
  local line = sinks.lines(1)[1]
  for _, name in ipairs(hosts.names) do
    local turns = bench.take_turns(bench.size.watched, {
      { "idle", function() return tick(bench, name, "idle", directory.path .. "/spool", line) end },
      { "ours", function() return tick(bench, name, "ours", directory.path .. "/spool", line) end },
    })
    report(bench, name, turns)
  end
end

return sink_lateness
