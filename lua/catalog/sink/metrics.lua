--- What a sink is about, in numbers: what its user looks at, and what monitoring gets.
-- @classmod catalog.sink
local Sink = require "catalog.sink.sink"
local core = require "catalog.core"
local failure = require "catalog.base.failure"

-- Batches by their states: those under way, and those that ended in this process.
local function batches(self)
  local counts = { planned = 0, created = 0, completing = 0, success = 0, failed = 0, unknown = 0 }
  for _, plan in pairs(self.store.plans) do counts[plan.state] = (counts[plan.state] or 0) + 1 end
  for state, count in pairs(self.store.ended) do counts[state] = (counts[state] or 0) + count end
  return counts
end

--- What keeps the sink from taking records, or from sending them, until somebody does something, or there is room.
-- @local
-- @treturn ?table error of kind `limit` (with code `full`), `config` or `batch`; nil: nothing does
function Sink:obstacle()
  local status = self.core:status()
  local full = not status.broken and self:limit_reached()
  if full then return full end
  local kind, why = "config", status.broken or status.disk_error
  if not why and self.stopped then kind, why = "batch", 'a batch failed, and after_failure is "stop"' end
  if not why then return self.defect end
  return select(2, failure(kind, "the spool %s: %s", self.settings.spool, why))
end

--- The numbers of the sink.
-- @treturn[1] table `records`, `bytes` (taken by this process), `rejected` (records not taken), `refused` (rows that
--   the service has not taken), `repeated`, `dropped` (of which the transform has made nothing); `spool_bytes`,
--   `free_bytes`; `oldest_seconds` (the age of the oldest record of which nothing is decided; nil: there is none);
--   `batches` by state; `retries`; `blocked` (a text; nil: nothing blocks); `last_error`, and `last_error_at`
--   (milliseconds since the epoch)
-- @treturn[2] nil
-- @treturn[2] table error: the sink is closed, or another process's
function Sink:metrics()
  local err = self:unusable()
  if err then return nil, err end
  local status, oldest, obstacle = self.core:status(), self.store:oldest(), self:obstacle()
  return {
    records = status.records, bytes = status.bytes, rejected = self.rejected, refused = self.refused,
    repeated = self.repeated, dropped = self.dropped, spool_bytes = status.spool_bytes, free_bytes = status.free_bytes,
    oldest_seconds = oldest and math.max(0, (core.system.now() - oldest) / 1000) or nil, batches = batches(self),
    retries = self.roller.retries, blocked = obstacle and obstacle.message, last_error = self.last_error,
    last_error_at = self.last_error_at,
  }
end

--- Whether there is anything of which nothing is decided yet, be it that somebody wants it to be sent again.
-- @treturn boolean
function Sink:pending()
  return not self.has_looked or next(self.store.returning) ~= nil or self.store:oldest() ~= nil
end

return Sink
