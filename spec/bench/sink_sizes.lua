--- What is measured of a sink with much in its spool: its memory, and how fast it is ready after a start.
local core = require "catalog.core"
local sinks = require "spec.bench.sinks"

local PIECE <const>, MB <const>, MIB <const> = 65536, 1e6, 1024 * 1024

-- How much the disk is to have besides: what a sink leaves free.
local LEFT_FREE <const> = 4e9

local sink_sizes = {}

local function sinker(bench, ...)
  local words = table.concat({ bench.lua, bench.root .. "/spec/bench/sinker.lua", ... }, "' '")
  local pipe = assert(io.popen("'" .. words .. "'"))
  local first, second = pipe:read("n", "n")
  assert(pipe:close() and first, "the process with the sink did not finish")
  return first, second
end

-- How much of what is wanted the disk has room for.
local function bytes_for(path, wanted)
  local sink = sinks.open(path)
  local free = sink:metrics().free_bytes
  assert(sink:close())
  core.fs.remove(path)
  return math.min(wanted, free - LEFT_FREE)
end

local function fill(path, lines, bytes)
  local pieces, written = sinks.pieces(lines, PIECE), 0
  local sink = sinks.open(path, { roll = { bytes = 1e12 } })
  while written < bytes do
    for i = 1, #pieces do
      assert(sink:write_lines(pieces[i]))
      written = written + #pieces[i]
      if written >= bytes then break end
    end
  end
  assert(sink:close())
  return written
end

local function memory(bench, directory)
  local path, lines = directory .. "/memory", sinks.lines(64 * MB)
  local bytes = fill(path, lines, bytes_for(path, bench.size.waiting_bytes))
  local grown, batches = sinker(bench, "memory", bench.server.url, path, lines[1])
  bench.row(("memory while %.1f GB in a spool are sent, to idle"):format(bytes / 1e9), "<= 24 MiB",
    ("%+.1f MiB"):format(grown / MIB), grown <= 24 * MIB)
  bench.note("the most there ever was; %d batches", batches)
  core.fs.remove(path)
end

-- A record is a segment.
local SMALL <const> = { file_bytes = 64, record_bytes = 64, roll = { files = 25000 } }

local function restart(bench, directory)
  local path, record, times = directory .. "/restart", { text = ("x"):rep(50) }, {}
  do
    local sink = sinks.open(path, SMALL)
    for _ = 1, bench.size.segments do assert(sink:write(record)) end
    assert(sink:close())
  end
  local options = core.json.encode(SMALL)
  for i = 1, bench.size.restarts do times[i] = sinker(bench, "restart", "", path, options) end
  local median = bench.median(times)
  bench.row(("a start with %d segments in the spool"):format(bench.size.segments), "<= 0.5 s",
    ("%.3f s"):format(median), median <= 0.5)
  bench.note("from %.3f to %.3f of %d starts", bench.quantile(times, 0), bench.quantile(times, 1), #times)
end

--- Measures all of it.
function sink_sizes.run(bench)
  local directory <close> = sinks.directory()
  restart(bench, directory.path)
  memory(bench, directory.path)
end

return sink_sizes
