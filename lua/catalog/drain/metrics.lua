--- What a drain is about, in numbers: what its user looks at, and what monitoring gets.
-- @classmod catalog.drain
local Drain = require "catalog.drain.drain"
local core = require "catalog.core"
local scheduler = require "catalog.scheduler.scheduler"

local clock <const> = core.system.monotonic

-- Batches by their states: those under way, and those that ended while this process had to do with them.
local function batches_of(self)
  local batches = self.member.batches
  local counts = { created = batches.filling.id and 1 or 0, completing = batches.sealed and 1 or 0 }
  for _, state in ipairs { "success", "failed", "dropped" } do counts[state] = self.counts[state] or 0 end
  for _ in pairs(batches.inherited) do counts.completing = counts.completing + 1 end
  return counts
end

-- How old the oldest batch is of which nothing is decided, in seconds; nil: there is none.
local function oldest_of(batches)
  local since = next(batches.filling.ranges) and batches.filling.since or math.huge
  if batches.sealed then since = math.min(since, batches.sealed.since) end
  for _, inherited in pairs(batches.inherited) do since = math.min(since, inherited.since) end
  return since < math.huge and clock() - since or nil
end

--- How it goes on, in numbers.
-- @treturn[1] table `records`, `bytes` (of batches, taken by this process), `rejected` (messages), `refused` (rows that
--   the service has not taken), `dropped` (messages: by the transform, and tombstones), `batches` by state (`created`,
--   `completing`; and how they ended: `success`, `failed`, `dropped`), `oldest_seconds` (the age of the oldest batch of
--   which nothing is decided; nil: there is none), `batch_seconds` (that of the batch that is filled, or 0), `lag`
--   (messages of own partitions that are in no batch yet), `partitions` (own ones), `blocked` (`{ ["topic/3"] = why }`;
--   nil: none is), `rebalances`, `retries`, `last_error`, `last_error_at` (milliseconds since the epoch)
-- @treturn[2] nil
-- @treturn[2] table error: it is another process's
function Drain:metrics()
  if self.process ~= scheduler.process() then return nil, scheduler.left_behind() end
  local batches, summary, taken = self.member.batches, self.member:summary(), self.taken
  return {
    records = taken.records, bytes = taken.bytes, rejected = self.rejected.count, refused = self.refused,
    dropped = taken.dropped, batches = batches_of(self), oldest_seconds = oldest_of(batches), lag = summary.lag,
    partitions = summary.count, blocked = summary.blocked, rebalances = self.rebalances, retries = self.retries,
    batch_seconds = next(batches.filling.ranges) and clock() - batches.filling.since or 0,
    last_error = self.last_error, last_error_at = self.last_error_at,
  }
end

return Drain
