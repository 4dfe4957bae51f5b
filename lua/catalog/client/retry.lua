--- Whether a request is tried again, and when. No other part knows of tries.
-- @module catalog.client.retry
local core = require "catalog.core"
local options = require "catalog.base.options"

local retry = {}

local SCHEMA <const> = { tries = "integer", base = "number", cap = "number", deadline = "number" }
local DEFAULTS <const> = { tries = 5, base = 0.5, cap = 30, deadline = 900 }

-- What all tries of a client together may take: an outage must not become a storm. A try more takes one, a success
-- gives some back.
local BUDGET <const>, GIVEN_BACK <const> = 100, 0.5

--- The policy of a client.
-- @tparam ?table|boolean given `tries`, `base`, `cap`, `deadline` (seconds); false: one try
-- @tparam integer level who is to blame, as in `error`
-- @treturn table
-- @raise an option is unknown or has a wrong type
function retry.policy(given, level)
  if given == false then given = { tries = 1 } elseif given == true then given = nil end
  local checked, policy = options.check(given, SCHEMA, "client.retry", level + 1), { budget = BUDGET }
  for name, default in pairs(DEFAULTS) do policy[name] = checked[name] or default end
  return policy
end

--- How long a `Retry-After` asks to wait.
-- @tparam ?string text seconds, or an HTTP date in any of its forms (RFC 9110, 10.2.3)
-- @tparam integer now milliseconds since the epoch
-- @treturn ?number seconds, 0 or more; nil when there is none, or nothing that can be understood
function retry.after(text, now)
  if not text then return nil end
  if text:find "^%s*%d+%s*$" then return math.min(tonumber(text), 2 ^ 31) end
  local at = core.url.date(text)
  if not at then return nil end
  return math.max(0, at - now / 1000)
end

-- Whether the same request may be sent again: the fault passes, and either the request does no harm when it is done
-- twice, or nobody has got it. An error that has had its tries, that of fetching a token, has none left; and there may
-- be a better way than the same again.
local function may_repeat(request, err)
  return err.retryable and not err.attempts and not request.once
    and (request.repeatable or not err.ambiguous) and not (request.final and request.final(err, request))
end

--- How long the service wants to be left alone after an error.
-- @tparam table err
-- @treturn number seconds, 0 or more
function retry.asked(err)
  return retry.after(err.retry_after, core.system.now()) or 0
end

-- The pause before the next try: what the service asks for, never less; otherwise random up to a limit that doubles.
local function pause_of(policy, attempt, err)
  local limit = math.min(policy.cap, policy.base * 2 ^ (attempt - 1))
  return math.max(retry.asked(err), math.random() * limit)
end

--- What happened, without how long it took.
-- @tparam string message
-- @treturn string
function retry.without_times(message) return (message:gsub("after %d+ ms", "")) end

--- Ends the tries of a call. A refusal after a try whose answer was lost may be for the very reason that it was done:
-- that stays open.
-- @tparam table tries
-- @tparam table err what the last came to; it gets `attempts` and `first`
-- @treturn nil
-- @treturn table err
function retry.finished(tries, err)
  err.attempts = err.attempts or tries.attempt
  err.ambiguous = err.ambiguous or tries.ambiguous
  if tries.first and tries.first ~= err then
    err.first = tries.first
    local first = tries.first.message
    local same = retry.without_times(first) == retry.without_times(err.message)
    err.message = ("%s (after %d tries%s)"):format(err.message, tries.attempt, same and "" or "; the first: " .. first)
  end
  return nil, err
end

local told = setmetatable({}, { __mode = "k" }) -- errors that say so

--- Says in an error that there is no time for what the service asks for.
-- @tparam table err
-- @tparam number seconds until the next try could be
-- @treturn nil
-- @treturn table err
function retry.too_late(err, seconds)
  if told[err] then return nil, err end
  told[err] = true
  err.message = ("%s; the next try would be in %.0f seconds, after the deadline"):format(err.message, seconds)
  return nil, err
end

--- The tries of one call.
-- @tparam table policy of the client
-- @tparam number deadline when the last has to be over, in seconds on the monotonic clock
-- @treturn table
function retry.tries(policy, deadline)
  return { policy = policy, attempt = 1, deadline = deadline }
end

--- Takes note of a success, where some of the budget is spent.
-- @tparam table policy of the client: `spent` (boolean)
function retry.succeeded(policy)
  policy.budget = math.min(BUDGET, policy.budget + GIVEN_BACK)
  policy.spent = policy.budget < BUDGET
end

--- Decides about another try.
-- @tparam table tries
-- @tparam table request
-- @tparam table err what the last try came to
-- @treturn ?number seconds to wait before the next try; nil: there is none
function retry.again(tries, request, err)
  local policy = tries.policy
  if not may_repeat(request, err) or tries.attempt >= policy.tries or policy.budget < 1 then
    return nil
  end
  local pause = pause_of(policy, tries.attempt, err)
  if core.system.monotonic() + pause > tries.deadline then return retry.too_late(err, pause) end
  policy.budget, policy.spent = policy.budget - 1, true
  tries.first, tries.ambiguous = tries.first or err, tries.ambiguous or err.ambiguous
  tries.attempt = tries.attempt + 1
  return pause
end

return retry
