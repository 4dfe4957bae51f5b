--- Batches whose intention is noted in Kafka: what became of them decides where their partitions go on. Nothing else
-- does: not an answer to COMPLETE or ABORT, nor that the catalog does not know a batch (yet).
-- @module catalog.drain.settling
local core = require "catalog.core"
local retry = require "catalog.client.retry"
local rules = require "catalog.stream.rules"
local states = require "catalog.batch.states"

local settling = {}

-- Pauses between looks, in seconds: the first, the longest, and how they grow.
local FIRST <const>, LONGEST <const>, GROWTH <const> = 0.5, 60, 2

-- How long a batch of somebody who is gone may take files before it is aborted: its COMPLETE may be on its way. When a
-- partition counts as blocked, since nothing decides. In seconds.
local PATIENCE <const>, UNDECIDED <const> = 10, 3600

-- The fields of a batch; false where the catalog does not know it; or nil and an error.
local function look(service, sealed)
  local fields, err = service:status(sealed)
  if fields then return fields end
  if err.status == 404 then return false end
  return nil, err
end

-- The batch still takes files, or is not known: who made it completes it, who inherits it gives it up. What is answered
-- decides nothing: rules 3, 10.
local function decide(service, sealed, age)
  local ok, err = true, nil
  if sealed.own then
    ok, err = service:complete(sealed)
  elseif age >= PATIENCE then
    ok, err = service:abort(sealed)
  end
  return not ok and err or nil
end

--- Waits until a batch has ended: rule 3, a final state of the catalog decides, and nothing else.
-- @tparam table sealed `id`; `own`: this process has made it, and noted its intention without doubt. What it is now is
--   asked for each time: an inherited one may turn out to be its own
-- @tparam table service `status(sealed)`, `complete(sealed)`, `abort(sealed)`
-- @tparam table host `pause(seconds)`: false when there is nothing more to be done; `failed(err)` is told of what is
--   tried again; `undecided(sealed)`: nothing has decided for an hour
-- @treturn[1] string `success`; `failed`: for its data; `again`: it was given up
-- @treturn[1] ?table its fields
-- @treturn[2] nil there is nothing more to be done
function settling.wait(sealed, service, host)
  local undecided, seconds = core.system.monotonic(), FIRST
  while true do
    local fields, err = look(service, sealed)
    local verdict = fields ~= nil and rules.completing(fields and fields.status or nil)
    if verdict == "success" or verdict == "failed" or verdict == "again" then return verdict, fields end
    local now = core.system.monotonic()
    if verdict == "complete" then err = decide(service, sealed, now - undecided) end
    if verdict == "wait" and not states.is_stalled(fields.status) then undecided = now end
    if err then host.failed(err) end
    if now - undecided >= UNDECIDED then host.undecided(sealed) end
    if not host.pause(math.max(seconds * (0.5 + math.random() / 2), err and retry.asked(err) or 0)) then return nil end
    seconds = math.min(LONGEST, seconds * GROWTH)
  end
end

return settling
