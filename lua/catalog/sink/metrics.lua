--- What a sink is about, in numbers: what its user looks at, and what monitoring gets.
-- @classmod catalog.sink
local Sink = require "catalog.sink.sink"
local core = require "catalog.core"

-- Batches by their states: those under way, and those that ended in this process.
local function batches(self)
  local counts = { planned = 0, created = 0, completing = 0, success = 0, failed = 0, unknown = 0 }
  for _, plan in pairs(self.store.plans) do counts[plan.state] = (counts[plan.state] or 0) + 1 end
  for state, count in pairs(self.store.ended) do counts[state] = (counts[state] or 0) + count end
  return counts
end

-- Why nothing goes on, or nil.
local function blocked(self, status)
  return status.broken or self.defect and self.defect.message or status.disk_error
    or self.stopped and "a batch failed, and after_failure is \"stop\""
    or status.full and status.full ~= "ring" and ("the spool is full (%s)"):format(status.full) or nil
end

--- The numbers of the sink.
-- @treturn[1] table `records`, `bytes` (taken by this process), `rejected` (records not taken), `refused` (rows that
--   the service has not taken), `repeated`; `spool_bytes`, `free_bytes`; `oldest_seconds` (the age of the oldest record
--   of which nothing is decided; nil: there is none); `batches` by state; `retries`; `blocked` (a text; nil: nothing
--   blocks); `last_error`, and `last_error_at` (milliseconds since the epoch)
-- @treturn[2] nil
-- @treturn[2] table error: the sink is closed, or another process's
function Sink:metrics()
  local err = self:unusable()
  if err then return nil, err end
  local status = self.core:status()
  local oldest = self.store:oldest()
  return {
    records = status.records, bytes = status.bytes, rejected = self.rejected, refused = self.refused,
    repeated = self.repeated, spool_bytes = status.spool_bytes, free_bytes = status.free_bytes,
    oldest_seconds = oldest and math.max(0, (core.system.now() - oldest) / 1000) or nil, batches = batches(self),
    retries = self.roller.retries, blocked = blocked(self, status), last_error = self.last_error,
    last_error_at = self.last_error_at,
  }
end

--- Whether there is anything of which nothing is decided yet, be it that somebody wants it to be sent again.
-- @treturn boolean
function Sink:pending()
  return not self.has_looked or next(self.store.returning) ~= nil or self.store:oldest() ~= nil
end

return Sink
