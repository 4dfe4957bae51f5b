--- What becomes of a batch: actions, and the states it goes through once it is complete.
-- @module catalog.emulator.lifecycle
local answers = require "catalog.emulator.answers"
local core = require "catalog.core"
local ingestion = require "catalog.emulator.ingestion"
local sorted = require "catalog.base.sorted"

local lifecycle = {}

--- The names of a batch's files, in order.
-- @tparam table record
-- @treturn {string,...}
function lifecycle.names(record)
  return sorted(record.files)
end

local function set_status(service, record, status)
  record.batch.status, record.batch.updated = status, core.system.now()
  service.store:save(record)
end

local function finish(service, record, started)
  local names, unfinished = lifecycle.names(record), {}
  for name, large in pairs(record.large) do
    if not large.size then unfinished[#unfinished + 1] = name end
  end
  local result = ingestion.run(service, record, names, unfinished)
  local batch = record.batch
  batch.started, batch.completed, batch.metrics = started, core.system.now(), result.metrics
  batch.errors = #result.errors > 0 and core.json.array(result.errors) or nil
  set_status(service, record, result.status)
end

--- Brings the state of a batch up to date: it moves with time, and is looked at when somebody asks.
-- @tparam table service
-- @tparam table record
function lifecycle.refresh(service, record)
  local status = record.batch.status
  if status == "loading" and service.abandon_ms and core.system.now() - record.batch.created >= service.abandon_ms then
    set_status(service, record, "abandoned")
    return
  end
  if status ~= "loaded" and status ~= "staging" then return end
  local since = core.system.now() - record.completed_at
  if since < service.stage_ms then return end
  if since < 2 * service.stage_ms then
    if status ~= "staging" then set_status(service, record, "staging") end
    return
  end
  finish(service, record, record.completed_at + service.stage_ms)
end

local function done()
  return answers.empty(200)
end

local function refuse(record, what)
  return answers.problem(400, "The batch %s is %s, and cannot be %s", record.batch.id, record.batch.status, what)
end

local RUNNING <const> = { loading = true, loaded = true, staging = true }

-- Each may be repeated: what has happened answers as it did.
local ACTIONS <const> = {
  COMPLETE = function(service, record)
    if record.completed_at and record.batch.status ~= "aborted" then return done() end
    if record.batch.status ~= "loading" then return refuse(record, "completed") end
    record.completed_at = core.system.now()
    set_status(service, record, "loaded")
    return done()
  end,
  ABORT = function(service, record)
    if record.batch.status == "aborted" then return done() end
    if not RUNNING[record.batch.status] then return refuse(record, "aborted") end
    set_status(service, record, "aborted")
    return done()
  end,
  FAIL = function(service, record)
    if record.batch.status == "failed" then return done() end
    if not RUNNING[record.batch.status] then return refuse(record, "failed") end
    set_status(service, record, "failed")
    return done()
  end,
  REVERT = function(service, record)
    if record.batch.status == "inactive" then return done() end
    if record.batch.status ~= "success" and record.batch.status ~= "active" then return refuse(record, "reverted") end
    set_status(service, record, "inactive")
    return done()
  end,
}

--- `POST /data/foundation/import/batches/{id}?action=`
function lifecycle.act(service, request, segments)
  local record = service.store:find(request.org, request.sandbox, segments[5])
  if not record then return answers.problem(404, "The batch %s was not found", segments[5]) end
  local act = ACTIONS[(request.query.action or ""):upper()]
  if not act then return answers.problem(400, "action is COMPLETE, ABORT, FAIL or REVERT") end
  lifecycle.refresh(service, record)
  return act(service, record)
end

return lifecycle
