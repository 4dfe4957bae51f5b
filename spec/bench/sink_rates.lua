--- What is measured of a sink that takes records: against a program that writes the same into a file.
local cjson = require "cjson"
local core = require "catalog.core"
local profiles = require "spec.bench.profiles"
local sinks = require "spec.bench.sinks"

local PIECE <const> = 65536
local MB <const> = 1e6

local sink_rates = {}

local clock <const> = core.system.monotonic

-- A block that writes into a new spool: the seconds until all was taken and, where it is to be synced, is on the disk;
-- and those until all is on the disk.
local function into_spool(path, write, is_synced)
  return function()
    collectgarbage()
    local sink = sinks.open(path)
    local began = clock()
    write(sink)
    local taken = clock() - began
    assert(sink:sync())
    local synced = clock() - began
    assert(sink:close())
    core.fs.remove(path)
    return { wall = is_synced and synced or taken, synced = synced }
  end
end

local function into_file(path, write)
  return function()
    collectgarbage()
    local began = clock()
    write(path)
    local wall = clock() - began
    os.remove(path)
    return { wall = wall }
  end
end

local function report(bench, turns, what, target, bytes)
  local found = bench.map(turns, function(turn) return turn.theirs.wall / turn.ours.wall end)
  local ratio = bench.median(found)
  bench.row(what, (">= %.1f"):format(target), ("%.2f"):format(ratio), ratio >= target)
  local function rate(side) return bytes / bench.median_of(turns, function(turn) return turn[side].wall end) / MB end
  bench.note("quartiles %.2f and %.2f of %d pairs; %.0f MB a second, the other %.0f", bench.quantile(found, 0.25),
    bench.quantile(found, 0.75), #found, rate "ours", rate "theirs")
  bench.note("the fastest of each: %.2f", sinks.fastest(turns, "theirs") / sinks.fastest(turns, "ours"))
end

-- --- records ---

local function records_against_file(bench, directory)
  local records, count = profiles(bench.size.records, 20190318), bench.size.spooled // bench.size.records
  local bytes = 0
  for _, record in ipairs(records) do bytes = bytes + (#cjson.encode(record) + 1) * count end
  local turns = bench.take_turns(bench.size.spool_pairs, {
    { "theirs", into_file(directory .. "/file", function(path)
      local file <close> = assert(io.open(path, "wb"))
      io.output(file)
      local encode, write = cjson.encode, io.write
      for _ = 1, count do
        for i = 1, #records do write(encode(records[i]), "\n") end
      end
      io.output(io.stdout)
    end) },
    { "ours", into_spool(directory .. "/spool", function(sink)
      for _ = 1, count do
        for i = 1, #records do assert(sink:write(records[i])) end
      end
    end) },
  })
  report(bench, turns, ("sink:write, %d profiles: rate, to io.write"):format(count * #records), 1.2, bytes)
  bench.note("until the last is on the disk: %.2f", bench.median_of(turns, function(turn)
    return turn.theirs.wall / turn.ours.synced
  end))
end

-- --- lines ---

local function lines_against_cat(bench, directory)
  local lines, once = sinks.lines(64 * MB)
  local times = bench.size.spool_bytes // once
  local pieces, bytes = sinks.pieces(lines, PIECE), once * times
  sinks.make_file(directory .. "/lines", lines, times)
  local cat = ("cat '%s/lines' >'%s/file' && sync '%s/file'"):format(directory, directory, directory)
  local theirs = { "theirs", into_file(directory .. "/file", function() assert(os.execute(cat)) end) }
  local function turns_with(method, list)
    return bench.take_turns(bench.size.spool_pairs, { theirs, { "ours", into_spool(directory .. "/spool", function(sink)
      local write = sink[method]
      for _ = 1, times do
        for i = 1, #list do assert(write(sink, list[i])) end
      end
    end, true) } })
  end
  local what = "sink:%s, %.1f GB: rate, to cat and sync"
  report(bench, turns_with("write_lines", pieces), what:format("write_lines", bytes / 1e9), 0.9, bytes)
  report(bench, turns_with("write_line", lines), what:format("write_line", bytes / 1e9), 0.8, bytes)
end

--- Measures all of it.
function sink_rates.run(bench)
  local directory <close> = sinks.directory()
  records_against_file(bench, directory.path)
  lines_against_cat(bench, directory.path)
end

return sink_rates
