--- A process of its own: a loop with a timer of one millisecond, which is idle, or in which a sink writes, syncs and
-- uploads all the time. Prints by how many seconds the timer was late: the 999th of a thousand, the most, the most of what
-- is left without the time that the loop could have run and waited for a processor; and how often it rang.
-- Arguments: the loop, `ours` or `idle`, the base URL, the spool, how many seconds, how many bytes a second, a line.
local core = require "catalog.core"
local hosts = require "spec.bench.hosts"
local sinks = require "spec.bench.sinks"

local name, side, base_url, spool = arg[1], arg[2], arg[3], arg[4]
local seconds, rate, line = tonumber(arg[5]), tonumber(arg[6]), arg[7]
local host = hosts[name]

local clock <const> = core.system.monotonic

-- Batches of so many bytes, so that there is always one under way.
local BATCH <const>, FILE <const>, SYNC_SECONDS <const> = 25000000, 5000000, 0.05

-- What is written at once is at most what comes in so many seconds.
local AT_ONCE <const> = 0.002

local lates, busiest, until_when = {}, 0, nil

local waited = 0

-- For how many seconds this thread has waited for a processor since the last call, as the kernel counts it.
local function wait_for_processor()
  local schedule <close> = io.open "/proc/thread-self/schedstat"
  if not schedule then return 0 end
  local _, nanoseconds = schedule:read("n", "n")
  local before = waited
  waited = nanoseconds / 1e9
  return waited - before
end

local function heard(late)
  if clock() >= until_when then return true end
  lates[#lates + 1] = late
  busiest = math.max(busiest, late - wait_for_processor())
end

-- Who was kept from writing does not make up for it at once: that alone would be late.
local function write_all(sink)
  local piece, last = (line .. "\n"):rep(10), clock()
  while clock() < until_when do
    local now, written = clock(), 0
    local due = math.min(now - last, AT_ONCE) * rate
    last = now
    while written < due do
      assert(sink:write_lines(piece))
      written = written + #piece
    end
    assert(sink:poll(0.001))
  end
end

host.run(function()
  local sink = side == "ours" and sinks.open(spool, {
    sync_seconds = SYNC_SECONDS, file_bytes = FILE, roll = { bytes = BATCH },
  }, base_url, require("catalog.loop." .. name))
  wait_for_processor()
  until_when = clock() + seconds
  host.tick(heard)
  if not sink then return end
  write_all(sink)
  assert(sink:metrics().batches.success > 0, "nothing was sent")
  assert(sink:close())
end)
table.sort(lates)
print(lates[math.ceil(#lates * 0.999)], lates[#lates], busiest, #lates)
