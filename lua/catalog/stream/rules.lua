--- What comes next for a batch: decided by what is known of it here, on disk, and by the state that the service shows.
-- The catalog may lag, and forget; that it does not know a batch is no information.
-- @module catalog.stream.rules
local states = require "catalog.batch.states"

local rules = {}

-- Ingested, whatever became of it later: inactive and deleted come after success.
local LATER <const> = { inactive = true, deleted = true }

local function was_ingested(status)
  return states.is_success(status) or LATER[states.plain(status)] == true
end

--- What to do with a batch that was found or created under the external id of a plan.
-- @tparam ?string status as the service shows it
-- @treturn string `adopt`: it takes files; `again`: it was given up, another is created; `unknown`: it has gone on
--   without us, as after a spool was restored from a backup
function rules.planned(status)
  if status == nil or states.is_loading(status) then return "adopt" end
  return states.is_gone(status) and "again" or "unknown"
end

--- What to do with a batch that is known to be ours, and of which no COMPLETE was ever sent.
-- @tparam ?string status as the service shows it; nil: it does not know the batch
-- @treturn string `go_on`; `again`: its files go into another batch; `failed`; `unknown`: somebody else has completed
--   it
function rules.created(status)
  if status == nil or states.is_loading(status) then return "go_on" end
  if states.is_gone(status) then return "again" end
  return states.plain(status) == "failed" and "failed" or "unknown"
end

--- What to do with a batch whose COMPLETE may have been sent.
-- @tparam ?string status as the service shows it; nil: it does not know the batch
-- @treturn string `complete`: COMPLETE once more; `wait`: it was accepted; `success`; `failed`; `again`: it was given
--   up, its files go into another batch
function rules.completing(status)
  if status == nil or states.is_loading(status) then return "complete" end
  if was_ingested(status) then return "success" end
  if states.is_gone(status) then return "again" end
  return states.plain(status) == "failed" and "failed" or "wait"
end

--- Whether rows of a batch that was ingested may have been refused; the service may leave its counts out.
-- @tparam ?table fields as the service shows them
-- @treturn boolean
function rules.may_have_refused(fields)
  fields = fields or {}
  local metrics = type(fields.metrics) == "table" and fields.metrics or {}
  local is_clean = metrics.failedRecordCount == 0 and (type(fields.errors) ~= "table" or #fields.errors == 0)
  return not is_clean
end

return rules
