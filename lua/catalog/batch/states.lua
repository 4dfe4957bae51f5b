--- The states of a batch. Source: Adobe's batch ingestion guide, which writes them in more than one way: letters of
-- either case are the same, and `failure` is `failed`. What a user sees stays as it was sent.
-- @module catalog.batch.states
local states = {}

-- Archived and retained come after success.
local SUCCESS <const> = { success = true, active = true, archived = true, retained = true }

local FAILURE <const> = {
  failed = true, stalled = true, aborted = true, abandoned = true, inactive = true, deleted = true,
}

-- Where a batch takes no more files, and its files go into another.
local GONE <const> = { aborted = true, abandoned = true }

-- The states that show that an action was done.
local DONE <const> = {
  COMPLETE = {
    loaded = true, staging = true, staged = true, processing = true, queued = true, retrying = true, success = true,
    active = true,
  },
  ABORT = { aborted = true }, FAIL = { failed = true }, REVERT = { inactive = true, deleted = true },
}

--- A state as this module writes it.
-- @param status as the service sent it
-- @return string; false of what is no text
function states.plain(status)
  local lower = type(status) == "string" and status:lower()
  return lower == "failure" and "failed" or lower
end
local plain <const> = states.plain

--- Whether a batch ends in a state when it was ingested.
-- @param status as the service sent it
-- @treturn boolean
function states.is_success(status) return SUCCESS[plain(status)] == true end

--- Whether a batch ends in a state when it was not ingested, or is no more.
-- @param status as the service sent it
-- @treturn boolean
function states.is_failure(status) return FAILURE[plain(status)] == true end

--- Whether a batch was given up before it was completed.
-- @param status as the service sent it
-- @treturn boolean
function states.is_gone(status) return GONE[plain(status)] == true end

--- Whether the service has given up trying; it may still go on.
-- @param status as the service sent it
-- @treturn boolean
function states.is_stalled(status) return plain(status) == "stalled" end

--- Whether a batch takes files.
-- @param status as the service sent it
-- @treturn boolean
function states.is_loading(status) return plain(status) == "loading" end

--- Whether a state shows that an action was done.
-- @tparam string action `COMPLETE`, `ABORT`, `FAIL`, `REVERT`
-- @param status as the service sent it
-- @treturn boolean
function states.shows(action, status) return DONE[action][plain(status)] == true end

return states
