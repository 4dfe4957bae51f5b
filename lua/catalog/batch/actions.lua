--- What can be done with a batch as a whole.
-- @module catalog.batch.actions
local batch = require "catalog.batch.batch"
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local once = require "catalog.batch.once"
local options = require "catalog.base.options"
local problems = require "catalog.batch.problems"
local retry = require "catalog.client.retry"
local scheduler = require "catalog.scheduler.scheduler"
local states = require "catalog.batch.states"

-- Pauses between look-ups, in seconds: the first, the longest, and how they grow.
local FIRST_PAUSE <const>, LONGEST_PAUSE <const>, GROWTH <const> = 0.25, 30, 1.6

-- How many look-ups may fail in a row in ways that pass.
local PATIENCE <const> = 20

-- Whether an action was done, although the service refused it or its answer was lost: the state of the batch tells.
local function is_done(self, action, err, deadline)
  if not err.ambiguous and not (err.kind == "http" and err.status < 500) then return false end
  local fields = batch.fetch(self, nil, deadline)
  return fields ~= nil and states.shows(action, fields.status)
end

local ACTION <const>, WAIT <const> = { timeout = "number" }, { timeout = "number", on_change = "callable" }

local function act(self, action, given, call)
  local timeout
  if given ~= nil then
    timeout = options.check(given, ACTION, call, 3).timeout
    local ok, wrong = batch.check_timeout(timeout)
    if not ok then return nil, wrong end
  end
  local request, client, state = batch.action(self, action, timeout)
  if not request then return nil, client end
  request.deadline = client:deadline()
  local ok, err = client:send(request)
  if not ok and not is_done(self, action, err, request.deadline) then return nil, err end
  if state.others then once.abort_others(self) end
  return self
end

--- Says that all files are there: the service begins to ingest them. May be repeated.
-- @function catalog.batch:complete
-- @tparam ?table given
-- @tparam[opt=the client's,unit=seconds] number given.timeout for a request
-- @treturn[1] catalog.batch itself
-- @treturn[2] nil
-- @treturn[2] table error
function batch.methods:complete(given)
  return act(self, "COMPLETE", given, "complete")
end

--- Gives the batch up; nothing of it is ingested.
-- @function catalog.batch:abort
-- @tparam ?table given
-- @tparam[opt=the client's,unit=seconds] number given.timeout for a request
-- @treturn[1] catalog.batch itself
-- @treturn[2] nil
-- @treturn[2] table error
function batch.methods:abort(given)
  return act(self, "ABORT", given, "abort")
end

--- Marks the batch as failed.
-- @function catalog.batch:fail
-- @tparam ?table given
-- @tparam[opt=the client's,unit=seconds] number given.timeout for a request
-- @treturn[1] catalog.batch itself
-- @treturn[2] nil
-- @treturn[2] table error
function batch.methods:fail(given)
  return act(self, "FAIL", given, "fail")
end

--- Takes an ingested batch back: its data is deleted.
-- @function catalog.batch:revert
-- @tparam ?table given
-- @tparam[opt=the client's,unit=seconds] number given.timeout for a request
-- @treturn[1] catalog.batch itself
-- @treturn[2] nil
-- @treturn[2] table error
function batch.methods:revert(given)
  return act(self, "REVERT", given, "revert")
end

--- What the service found wrong with the batch.
-- @function catalog.batch:problems
-- @treturn[1] {table,...} the service's `errors` (`code`, `description`, `recordCount`, `rows`), each with `text`, a
--   readable line; none is an empty list
-- @treturn[2] nil
-- @treturn[2] table error
function batch.methods:problems()
  if states.is_success(self.status) or states.is_failure(self.status) then return problems.list(self.errors) end
  local fields, err = batch.fetch(self)
  if not fields then return nil, err end
  return problems.list(fields.errors)
end

local function failed(fields)
  local list, texts = problems.list(fields.errors), {}
  for i, problem in ipairs(list) do texts[i] = problem.text end
  local first = list[1] or {}
  return nil, core.failure.new {
    kind = "batch", code = problems.word(first.code), detail = problems.word(first.description),
    message = ("the batch %s ended as %s%s"):format(fields.id, fields.status,
      #texts > 0 and ": " .. table.concat(texts, "; ") or ""),
    batch = fields,
  }
end

local function shown(seconds) return ("%g second%s"):format(seconds, seconds == 1 and "" or "s") end

-- The time is over. What the last look-up failed for, if it did, is told. It is all there is to tell where none has
-- succeeded, unless the catalog does not know the batch yet or has not answered.
local function out_of_time(self, status, seconds, err)
  if err and not status and err.status ~= 404 and err.kind ~= "timeout" then
    err.message = ("the batch %s could not be looked up in %s: %s"):format(self.id, shown(seconds), err.message)
    return nil, err
  end
  return nil, core.failure.new {
    kind = "timeout", retryable = true,
    message = ("the batch %s was still %s after %s; it goes on%s, and can be waited for again%s"):format(self.id,
      status or "unknown", shown(seconds), states.is_loading(status) and " once it is completed" or "",
      err and err.kind ~= "timeout" and "; the last look-up: " .. err.message or ""),
  }
end

-- Which of two failures in a row says more: that no time was left says nothing.
local function telling(before, err)
  return before and err.kind == "timeout" and before or err
end

local function client_of(self)
  local _, kind = batch.state(self)
  return kind.client
end

-- Looks a batch up that is waited for. Without a status it would be waited for for ever.
local function look(self, deadline)
  local fields, err = batch.fetch(self, nil, deadline)
  if not fields or fields.status then return fields, err end
  local _, unread = failure("protocol", "the catalog gives no status of the batch %s", self.id)
  unread.retryable = true
  return nil, unread
end

-- Whether a look-up that failed may be made again: the fault passes, or the catalog does not know a new batch yet.
local function may_pass(self, err, failures)
  return failures < PATIENCE and (err.retryable or err.status == 404 and batch.state(self).created_here)
end

--- Waits until the batch is ingested.
-- @function catalog.batch:wait
-- @tparam ?table given
-- @tparam[opt=none,unit=seconds] number given.timeout how long to wait at the most
-- @tparam[opt] function given.on_change called with the status each time it is another
-- @treturn[1] catalog.batch fresh, in a final state of success
-- @treturn[2] nil
-- @treturn[2] table error: of kind `batch`, with the service's `code` and the `batch`, when it ended in another state;
--   of kind `timeout` when it has not ended, and goes on; that of the last look-up when none has succeeded
-- @raise an option is unknown or has a wrong type; what `on_change` raises
function batch.methods:wait(given)
  local checked = options.check(given, WAIT, "wait", 2)
  if checked.timeout then
    local ok, wrong = batch.check_timeout(checked.timeout)
    if not ok then return nil, wrong end
  end
  local deadline = checked.timeout and core.system.monotonic() + checked.timeout
  local pause, failures, status, last = FIRST_PAUSE, 0, nil, nil
  while true do
    local fields, err = look(self, deadline)
    local left, asked = deadline and deadline - core.system.monotonic() or math.huge, 0
    last = err and telling(last, err)
    if not fields and left <= 0 then return out_of_time(self, status, checked.timeout, last) end
    if not fields then
      failures, asked = failures + 1, retry.asked(err)
      if asked > math.min(left, client_of(self).policy.deadline) then return retry.too_late(err, asked) end
      if not may_pass(self, err, failures) then return nil, err end
    else
      failures = 0
      if fields.status ~= status and checked.on_change then checked.on_change(fields.status) end
      status = fields.status
      if states.is_success(status) then return fields end
      if states.is_failure(status) then return failed(fields) end
    end
    if left <= 0 then return out_of_time(self, status, checked.timeout, last) end
    -- jittered, so that many waiters do not ask at once
    local jittered = math.max(asked, pause * (0.5 + math.random() / 2))
    local client = client_of(self)
    local paused, stopped = scheduler.sleep(math.min(left, jittered), client.loop, client)
    if not paused then return nil, stopped end
    pause = math.min(LONGEST_PAUSE, pause * GROWTH)
  end
end
