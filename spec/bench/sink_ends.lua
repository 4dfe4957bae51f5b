--- What is measured of lines on their way through a sink to the platform: against a program that puts them into a file
-- and sends that. The server is the same, and takes anything.
local core = require "catalog.core"
local sinks = require "spec.bench.sinks"

local PIECE <const>, MB <const> = 65536, 1e6

local sink_ends = {}

local clock <const> = core.system.monotonic

local function timed(run)
  collectgarbage()
  local began = clock()
  run()
  return { wall = clock() - began }
end

local function ours(bench, path, pieces, times)
  return function()
    local sink = sinks.open(path, nil, bench.server.url)
    local turn = timed(function()
      for _ = 1, times do
        for i = 1, #pieces do assert(sink:write_lines(pieces[i])) end
      end
      assert(sink:flush())
    end)
    assert(sink:metrics().batches.success == 1, "it is not one batch")
    assert(sink:close())
    core.fs.remove(path)
    return turn
  end
end

local function theirs(bench, directory)
  local command = ("cd '%s' && cat lines >file && sync file && curl -s -o answer -T file %s/file"):format(directory,
    bench.server.url)
  return function()
    local turn = timed(function() assert(os.execute(command)) end)
    os.remove(directory .. "/file")
    return turn
  end
end

--- Measures all of it.
function sink_ends.run(bench)
  local directory <close> = sinks.directory()
  local lines, once = sinks.lines(64 * MB)
  local times = bench.size.spool_bytes // once
  sinks.make_file(directory.path .. "/lines", lines, times)
  local turns = bench.take_turns(bench.size.spool_pairs, {
    { "theirs", theirs(bench, directory.path) },
    { "ours", ours(bench, directory.path .. "/spool", sinks.pieces(lines, PIECE), times) },
  })
  local found = bench.map(turns, function(turn) return turn.ours.wall / turn.theirs.wall end)
  local ratio = bench.median(found)
  bench.row(("%.1f GB of lines to COMPLETE: time, to cat, sync, curl"):format(once * times / 1e9), "<= 1.2",
    ("%.2f"):format(ratio), ratio <= 1.2)
  bench.note("quartiles %.2f and %.2f of %d pairs; %.2f seconds, the others %.2f", bench.quantile(found, 0.25),
    bench.quantile(found, 0.75), #found, bench.median_of(turns, function(turn) return turn.ours.wall end),
    bench.median_of(turns, function(turn) return turn.theirs.wall end))
  bench.note("the fastest of each: %.2f", sinks.fastest(turns, "ours") / sinks.fastest(turns, "theirs"))
end

return sink_ends
