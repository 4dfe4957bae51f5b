--- How many batches a sink makes of records that come at several rates: as many as its time allows, however many they are.
-- Its time is a second here, and the count is scaled to a day of the default's 960.
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local directories = require "spec.bench.directory"
local sinks = require "spec.bench.sinks"

local RATES <const> = { 1, 10, 100, 1000, 10000 } -- records a second
local ROLL <const>, DAY <const>, USUAL <const> = 1, 86400, 960 -- seconds
local STEP <const> = 0.02 -- seconds between two writes

local sink_batches = {}

-- Writes lines at a rate for some seconds.
local function write_at(sink, line, rate, seconds)
  local began, written = core.system.monotonic(), 0
  while true do
    local passed = core.system.monotonic() - began
    if passed >= seconds then return written end
    local due = math.floor(passed * rate) + 1 - written
    if due > 0 then assert(sink:write_lines((line .. "\n"):rep(due))) end
    written = written + math.max(due, 0)
    assert(sink:poll(STEP))
  end
end

-- The batches of some seconds, and the records in them.
local function count(server, path, line, rate, seconds)
  local batches = 0
  local sink <close> = sinks.open(path, {
    roll = { seconds = ROLL }, on_batch = function(report) if report.state == "success" then batches = batches + 1 end end,
  }, server.url)
  local written = write_at(sink, line, rate, seconds)
  assert(sink:flush { timeout = 60 })
  return batches - 1, written -- the last one was ended by the flush, before its time
end

--- Measures all of it.
function sink_batches.run(bench)
  local place <close> = directories.make()
  local server <close> = assert(emulator.start { data_dir = place.path })
  local spools <close> = sinks.directory()
  local line, seconds = sinks.lines(1)[1], bench.size.rolled
  for i, rate in ipairs(RATES) do
    local batches, written = count(server, ("%s/%d"):format(spools.path, i), line, rate, seconds)
    local a_day = batches / seconds * ROLL * DAY / USUAL
    bench.figure("batches", { rate = rate, records = written, batches = batches, seconds = seconds, a_day = a_day })
    bench.note("%d records a second: %d batches of %d records in %d s; with roll.seconds = %d that is %.0f a day", rate,
      batches, written, seconds, USUAL, a_day)
  end
end

return sink_batches
