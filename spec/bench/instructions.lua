--- What something costs in instructions, as callgrind counts them in a process of its own: the same on a busy machine as
-- on an idle one. Two counts are taken, and what the second has more is of what was done more; so the start is no part
-- of it. Only the client's are counted: servers are other processes.
local core = require "catalog.core"
local emulator = require "spec.bench.emulator"
local rates = require "spec.bench.rates"
local ways = require "spec.bench.ways"

local instructions = {}

local KILOBYTE <const> = 1024

-- The way, what is counted, how many thousands one may take at the most, and the way of libcurl alone.
local CREATIONS <const> = {
  { "sequential", "create_batch, one after another", 152, "bare" },
  { "map64", "catalog.map, 64 in flight", 160, "bare64" },
  { "cqueues", "cqueues, 64 in flight", 190, "bare64" },
  { "luv", "luv, 64 in flight", 190, "bare64" },
}

local function count(bench, number, way, ...)
  local words = table.concat({ bench.lua, bench.root .. "/spec/bench/counted.lua", way, tostring(number), ... }, "' '")
  local pipe = assert(io.popen(("valgrind --tool=callgrind --callgrind-out-file=/dev/null '%s' 2>&1"):format(words)))
  local text = pipe:read "a"
  assert(pipe:close(), text)
  return tonumber((assert(text:match "refs:%s*([%d,]+)", text):gsub(",", "")))
end

-- Thousands of instructions for each.
local function each(bench, few, way, ...)
  local many <const> = 5 * few
  return (count(bench, many, way, ...) - count(bench, few, way, ...)) / (many - few) / 1000
end

local function row(bench, what, target, measured)
  bench.row(what .. ": instructions", ("<= %dk"):format(target), ("%.1fk"):format(measured), measured <= target)
end

local function creations(bench)
  local url, alone = bench.server.url, {}
  for _, one in ipairs(CREATIONS) do
    local way, what, target, theirs = table.unpack(one)
    alone[theirs] = alone[theirs] or each(bench, bench.size.counted, theirs, url)
    local measured = each(bench, bench.size.counted, way, url)
    row(bench, what, target, measured)
    local wall, cpu = rates.times(bench, way)
    bench.note("libcurl alone %.1fk: %.2f times; by wall %.2f times, by CPU %.2f", alone[theirs],
      measured / alone[theirs], wall, cpu)
  end
end

-- One record a file.
local function make_files(directory, number)
  local before <const>, after <const> = '{"text":"', '"}\n'
  local text <const> = before .. ("x"):rep(KILOBYTE - #before - #after) .. after
  for i = 1, number do
    local file <close> = assert(io.open(("%s/%d.json"):format(directory, i), "wb"))
    assert(file:write(text))
  end
end

-- The clock's side of it: the same in this process, with a journal and without by turns.
local function note_journal(bench, url, directory, journal)
  local turns = bench.take_turns(bench.size.pairs, {
    { "plain", bench.lua_block(bench.size.ingested, ways.ingest(url, directory)) },
    { "journal", bench.lua_block(bench.size.ingested, ways.ingest(url, directory, journal)) },
  })
  local function times(clock)
    return bench.median_of(turns, function(turn) return turn.journal[clock] / turn.plain[clock] end)
  end
  bench.note("with a journal %.2f times the wall and %.2f times the CPU, which is %.1f us without", times "wall",
    times "cpu", bench.median_of(turns, function(turn) return turn.plain.cpu * 1e6 end))
end

local function ingests(bench)
  local server <close> = emulator.start(bench)
  local directory = server.directory .. "/files"
  local journal = server.directory .. "/journal"
  assert(core.fs.mkdir(directory))
  make_files(directory, 5 * bench.size.ingested)
  row(bench, "a file of 1 kB in ingest, with a journal", 220,
    each(bench, bench.size.ingested, "ingest", server.url, directory, journal))
  row(bench, "the same without a journal", 170, each(bench, bench.size.ingested, "ingest", server.url, directory))
  note_journal(bench, server.url, directory, journal)
end

--- Measures all of it.
function instructions.run(bench)
  creations(bench)
  row(bench, "catalog.map of a function that does nothing", 4, each(bench, 10 * bench.size.counted, "nothing"))
  ingests(bench)
end

return instructions
