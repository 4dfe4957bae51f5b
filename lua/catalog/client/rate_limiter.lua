--- How many batches are created a minute. Without a rate of the caller's there is no limit until the service shows one:
-- a 429 sets the pace of the last minute, which is let go again slowly.
-- @module catalog.client.rate_limiter
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local retry = require "catalog.client.retry"

local RateLimiter = {}
RateLimiter.__index = RateLimiter

-- The service counts by the minute. Source: Adobe's ingestion guardrails.
local MINUTE <const> = 60

-- Seconds between two creations when a 429 comes before there is a pace to see: before so many creations in a minute.
local UNKNOWN_PACE <const>, ENOUGH <const> = 1, 10

-- How many creations are remembered at the most: more than the service allows in a minute.
local MOST <const> = 10000

-- How a pace found by a 429 is let go with each creation that succeeds; between how many seconds it is one at all.
local LET_GO <const>, GONE <const>, SLOWEST <const> = 0.97, 0.005, 30

--- Whether there is a pace to keep.
-- @treturn boolean
function RateLimiter:is_active() return self.interval ~= nil end

--- How long it is until the next creation may be made.
-- @treturn number seconds, 0 or more
function RateLimiter:left()
  return self:is_active() and math.max(0, self.due - core.system.monotonic()) or 0
end

--- How long to wait before the next creation; it counts as made then.
-- @tparam number most seconds the caller can wait
-- @treturn[1] number seconds
-- @treturn[2] nil
-- @treturn[2] table error of kind `limit`: that would be too long
function RateLimiter:reserve(most)
  if not self:is_active() then return 0 end
  local now = core.system.monotonic()
  local at = math.max(now, self.due)
  if at - now > most then
    local _, err = failure("limit", "at the pace the service allows the next batch can be created in %.1f seconds,"
      .. " which is after the deadline of the call; nothing was sent", at - now)
    err.retryable = true
    return nil, err
  end
  self.due = at + self.interval
  return at - now
end

-- How many were created in the last minute.
local function recent(self, now)
  local count = 0
  for _, at in ipairs(self.made) do
    if now - at < MINUTE then count = count + 1 end
  end
  return count
end

--- Takes note of what a creation came to.
-- @tparam ?table err nil: a success
function RateLimiter:observe(err)
  local now = core.system.monotonic()
  if not err then
    self.count = self.count % MOST + 1
    self.made[self.count] = now -- the oldest goes
    if self.interval and self.interval ~= self.least then
      self.interval = self.interval * LET_GO
      if self.least and self.interval < self.least then self.interval = self.least end
      if not self.least and self.interval < GONE then self.interval = nil end
    end
  elseif err.status == 429 and now >= self.settled then
    local count = recent(self, now)
    local pace = count >= ENOUGH and MINUTE / count or UNKNOWN_PACE
    self.interval = math.min(SLOWEST, math.max(self.interval and self.interval * 1.5 or 0, pace))
    self.due = now + self.interval
    -- what was under way meets the same limit, and says nothing new
    self.settled = now + math.max(self.interval, retry.asked(err))
  end
end

--- A rate limiter.
-- @function new
-- @tparam ?number|boolean rate batches a minute; false or nil: no limit until a 429
-- @treturn RateLimiter `interval`: seconds from one creation to the next, nil while there is no pace to keep
return function(rate)
  local least = rate and MINUTE / rate or nil
  return setmetatable({ least = least, interval = least, due = 0, settled = 0, made = {}, count = 0 }, RateLimiter)
end
