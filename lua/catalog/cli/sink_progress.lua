--- What a sink does, for people: one line over itself on a terminal, elsewhere what `catalog.cli.sinks` says.
-- @module catalog.cli.sink_progress
local core = require "catalog.core"
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"

local clock <const> = core.system.monotonic

-- How often it is drawn, in seconds; and how much of a line a terminal surely has.
local EACH <const>, WIDTH <const> = 0.5, 79

local Progress = {}
Progress.__index = Progress

-- Batches as a line has room for.
local function shown_batches(batches)
  local under_way = batches.planned + batches.created + batches.completing
  local parts = { ("%d sent"):format(batches.success) }
  if under_way > 0 then parts[#parts + 1] = ("%d under way"):format(under_way) end
  for _, state in ipairs { "failed", "unknown", "damaged" } do
    if (batches[state] or 0) > 0 then parts[#parts + 1] = ("%d %s"):format(batches[state], state) end
  end
  return table.concat(parts, ", ")
end

-- The line, without its end.
local function line_of(metrics, rate)
  local parts = {
    ("%s, %d/s"):format(output.count(metrics.records, "record"), rate // 1 | 0),
    "spool " .. output.size(metrics.spool_bytes), "batches " .. shown_batches(metrics.batches),
  }
  if metrics.rejected + metrics.refused > 0 then
    parts[#parts + 1] = ("%d rejected"):format(metrics.rejected + metrics.refused)
  end
  local trouble = metrics.blocked or metrics.last_error and problem.text(metrics.last_error, true)
  if trouble then parts[#parts + 1] = problem.translate(trouble) end
  local line = table.concat(parts, "; ")
  return #line > WIDTH and line:sub(1, WIDTH - 3) .. "..." or line
end

--- Draws it, where it is time to.
function Progress:tick()
  local now = clock()
  if now < self.next then return end
  local metrics = self.sink:metrics()
  local rate = (metrics.records - self.records) / (now - self.since)
  io.stderr:write("\r", line_of(metrics, rate), "\27[K")
  self.records, self.since, self.next, self.drawn = metrics.records, now, now + EACH, true
end

--- Leaves the line where it stands.
function Progress:finish()
  if not self.drawn then return end
  self.next = 0
  self:tick()
  io.stderr:write "\n"
  self.drawn = false
end

--- What shows nothing.
Progress.none = { tick = function() end, finish = function() end }

--- What shows the progress of a sink.
-- @tparam catalog.sink sink
-- @tparam boolean is_quiet true: nothing does
-- @treturn table `tick()`, to be called often; `finish()`
function Progress.new(sink, is_quiet)
  if is_quiet or not core.system.isatty(2) then return Progress.none end
  return setmetatable({ sink = sink, next = 0, records = 0, since = clock(), drawn = false }, Progress)
end

return Progress
