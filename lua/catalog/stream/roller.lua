--- Takes batches of a stream through their life, one at a time up to COMPLETE: create, send the files, COMPLETE, wait.
-- Each step is noted on disk before what depends on it is done, so that whoever comes after a crash goes on where it
-- stood. What fails for other reasons than its data is tried for ever.
--
-- A *plan* is a batch as it is noted: `number`, `state` (`planned`, `created`, `completing`; then how it ended:
-- `success`, `failed`, `unknown`, `damaged`), `attempt` (how many batches were created for it, from 1), `id` once it
-- was created, and what belongs to its store.
-- @module catalog.stream.roller
local core = require "catalog.core"
local retry = require "catalog.client.retry"
local rules = require "catalog.stream.rules"

-- Pauses between tries, in seconds: the first, the longest, and how they grow.
local FIRST <const>, LONGEST <const>, GROWTH <const> = 0.5, 60, 2

-- How long the catalog keeps what it knows of a batch, in milliseconds. Source: Adobe's catalog guide, 30 days.
local KEPT <const> = 30 * 24 * 3600 * 1000

local Roller = {}
Roller.__index = Roller

local ENDED <const> = { success = true, failed = true, unknown = true, damaged = true }

--- A roller.
-- @tparam table store where plans are noted, and the files of a batch are: `note(plan)`, on disk when it returns;
--   `finish(plan, fields)`: does what the end of a batch asks for, and forgets the plan. Each gives true, or nil and an
--   error, and may be called again
-- @tparam table service what is asked of the platform: `create(plan)`: id and status of the batch; `put(plan)`: sends
--   its files, and gives true, or nil, an error and whether it is the files that are damaged; `complete(plan)`;
--   `abort(plan)`; `status(plan)`: the fields of the batch
-- @tparam table host `pause(seconds)`: false when there is nothing more to be done; `failed(err)` is told of what is
--   tried again
-- @treturn table
function Roller.new(store, service, host)
  return setmetatable({ store = store, service = service, host = host, retries = 0 }, Roller)
end

-- What a step changes of a plan.
local CHANGED <const> = { "state", "attempt", "id", "sent", "open", "completing", "fields" }

-- Changes a plan by a function, and notes it. What cannot be noted has not happened.
local function change(self, plan, by)
  local before = {}
  for _, name in ipairs(CHANGED) do before[name] = plan[name] end
  by(plan)
  local ok, err = self.store:note(plan)
  if ok then return true end
  for _, name in ipairs(CHANGED) do plan[name] = before[name] end
  return nil, err
end

-- Its files go into another batch: this one was seen to be given up.
local function begin_again(self, plan)
  return change(self, plan, function()
    plan.state, plan.attempt, plan.id, plan.sent, plan.open = "planned", plan.attempt + 1, nil, {}, nil
  end)
end

local function finish_as(self, plan, state, fields)
  return change(self, plan, function() plan.state, plan.fields = state, fields or nil end)
end

-- What the catalog shows of a batch: its fields; false when it does not know it; or nil and an error.
local function look(self, plan)
  local fields, err = self.service:status(plan)
  if fields then return fields end
  if err.status == 404 then return false end
  return nil, err
end

-- --- the steps, by the state of the plan; each gives true when it has come further, or nil and an error ---

local STEPS <const> = {}

function STEPS.planned(self, plan)
  local id, status = self.service:create(plan)
  if not id then return nil, status end
  local verdict = rules.planned(status)
  if verdict == "adopt" then
    return change(self, plan, function() plan.state, plan.id = "created", id end)
  end
  if verdict == "again" then return begin_again(self, plan) end
  plan.id = id
  return finish_as(self, plan, "unknown", { id = id, status = status })
end

-- Something was refused: whether the batch still takes files.
local function look_whether_open(self, plan, err)
  local fields, unseen = look(self, plan)
  if fields == nil then return nil, unseen end
  local verdict = rules.created(fields and fields.status or nil)
  if verdict == "go_on" then return nil, err end
  if verdict == "again" then return begin_again(self, plan) end
  return finish_as(self, plan, verdict, fields)
end

-- Its files are not what was written: none of it may be ingested.
local function give_up(self, plan, err)
  self.service:abort(plan)
  local fields, unseen = look(self, plan)
  if fields == nil then return nil, unseen end
  local verdict = rules.created(fields and fields.status or nil)
  if verdict == "again" then return finish_as(self, plan, "damaged", fields) end
  if verdict == "go_on" then return nil, err end
  return finish_as(self, plan, verdict, fields)
end

function STEPS.created(self, plan)
  local sent, err, is_damaged = self.service:put(plan)
  if sent then
    return change(self, plan, function() plan.state, plan.completing = "completing", core.system.now() end)
  end
  if is_damaged then return give_up(self, plan, err) end
  if err.kind == "http" and not err.retryable then return look_whether_open(self, plan, err) end
  return nil, err
end

-- What came of COMPLETE. The third value: it was accepted.
local function settle(self, plan, err)
  local fields, unseen = look(self, plan)
  if fields == nil then return nil, err or unseen end
  local verdict = rules.completing(fields and fields.status or nil)
  if verdict == "again" then return begin_again(self, plan) end
  if verdict == "wait" then return true, nil, true end
  if verdict ~= "complete" then return finish_as(self, plan, verdict, fields) end
  if not fields and core.system.now() - (plan.completing or 0) > KEPT then return finish_as(self, plan, "unknown") end
  return nil, err
end

function STEPS.completing(self, plan)
  local _, err = self.service:complete(plan)
  return settle(self, plan, err)
end

local function finish(self, plan) return self.store:finish(plan, plan.fields) end
for state in pairs(ENDED) do STEPS[state] = finish end

-- Waits after what did not come further. `err` is nil where nothing is wrong, and something is not over.
local function pause(self, seconds, err)
  if err then
    self.retries = self.retries + 1
    self.host.failed(err)
  end
  -- jittered, so that many do not ask at once
  return self.host.pause(math.max(seconds * (0.5 + math.random() / 2), err and retry.asked(err) or 0))
end

local function longer(seconds) return math.min(LONGEST, seconds * GROWTH) end

--- Takes a plan on until its COMPLETE was accepted, or its batch has ended some way or other.
-- @tparam table plan
-- @treturn boolean whether it is to be followed; false also when there is nothing more to be done
function Roller:carry(plan)
  local seconds = FIRST
  while not ENDED[plan.state] do
    local further, err, accepted = STEPS[plan.state](self, plan)
    if accepted then return true end
    if further then
      seconds = FIRST
    elseif not pause(self, seconds, err) then
      return false
    else
      seconds = longer(seconds)
    end
  end
  return true
end

--- Waits until the batch of a plan has ended, and does what its end asks for.
-- @tparam table plan one that `carry` has carried
-- @treturn boolean false: its files are to go into another batch, and it is to be carried again; or there is nothing
--   more to be done
function Roller:follow(plan)
  local seconds = FIRST
  while plan.state == "completing" do
    local further, err, accepted = settle(self, plan)
    if plan.state == "planned" then return false end
    if not further or accepted then
      if not pause(self, seconds, err) then return false end
      seconds = longer(seconds)
    end
  end
  seconds = FIRST
  while true do
    local done, err = STEPS[plan.state](self, plan)
    if done then return true end
    if not pause(self, seconds, err) then return false end
    seconds = longer(seconds)
  end
end

return Roller
