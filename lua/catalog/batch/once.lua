--- Creating a batch exactly once. Creating is not idempotent: when the answer is lost, trying again blindly would leave
-- an orphan. An external id makes it so: the catalog is asked for it before another creation is sent, the oldest batch
-- that has it is the one, and the others are aborted. Nothing here relies on the service to refuse an id that it has
-- seen: no guide promises that it does; the description of its API says "expected to be unique".
-- @module catalog.batch.once
local batch = require "catalog.batch.batch"
local core = require "catalog.core"
local creation = require "catalog.batch.creation"
local entry = require "catalog.batch.entry"
local failure = require "catalog.base.failure"
local paths = require "catalog.batch.paths"
local random = require "catalog.base.random"
local retry = require "catalog.client.retry"
local scheduler = require "catalog.scheduler.scheduler"
local states = require "catalog.batch.states"

-- Pauses between look-ups, in seconds, while it is open whether a batch exists: the catalog may lag behind so long. A
-- batch that shows up later still is found when the chosen one is completed.
local OPEN <const> = { 0.05, 0.25, 1, 1, 2 }

-- The same once the id was refused as taken: then it is only a matter of time.
local FIRST_PAUSE <const>, LONGEST_PAUSE <const>, GROWTH <const> = 0.1, 10, 1.6

-- How long aborting the batches that are of no use may take, tries and pauses included, in seconds: what was asked for
-- is done by then.
local ABORT_TIMEOUT <const> = 10

local once = {}

--- An external id nobody else has.
-- @treturn string
function once.new_id()
  return "catalog-" .. random(16)
end

--- The external id that the caller of a creation gave.
-- @tparam table given the options of the creation
-- @treturn ?string
function once.id_of(given)
  local extra = given.extra and given.extra.externalId -- it is merged into the payload last
  return type(extra) == "string" and extra or given.external_id
end

-- Whether the service refused the external id as taken.
local function is_refused_as_duplicate(err)
  local said = (err.detail or err.message or ""):lower()
  return err.status == 409 or err.status == 400 and said:find("externalid", 1, true) ~= nil
end

local function is_integer(value) return math.type(value) == "integer" end

-- The batches of a listing, all of which have the external id.
local function read_listing(body, external_id)
  local found, err = core.json.decode(body)
  if err then return nil, err end
  if type(found) ~= "table" then return failure("protocol", "the reply is no object") end
  local list = {}
  for id, fields in pairs(found) do
    local one, unfit = entry.read(id, fields)
    if not one then return nil, unfit end
    if fields.externalId ~= external_id then -- had it not been asked for, others' batches would be taken and aborted
      return failure("protocol", "the reply is not what the external id was asked for")
    end
    list[#list + 1] = fields
  end
  return list
end

-- How good a batch is to be taken for the one that was asked for: one that takes files is the best.
local function rank(fields)
  if type(fields.status) ~= "string" or states.is_loading(fields.status) then return 1 end
  return states.is_gone(fields.status) and 3 or 2
end

-- The same order for everybody who looks: the best, then the oldest.
local function precedes(a, b)
  local rank_a, rank_b = rank(a), rank(b)
  if rank_a ~= rank_b then return rank_a < rank_b end
  local created_a, created_b = is_integer(a.created) and a.created or 0, is_integer(b.created) and b.created or 0
  if created_a ~= created_b then return created_a < created_b end
  return a.id < b.id
end

-- The service's time of a reply, in milliseconds since the epoch; nil when it does not say. Dates have whole seconds.
local function time_of(transfer)
  local seconds = core.url.date(transfer:header "date" or "")
  return seconds and (seconds - 1) * 1000 or nil
end

-- Whether a batch with the caller's external id can be one of this call's: those of another dataset, those that were
-- there before its first creation, and those that came after it was over, are another's. An id of our own nobody else
-- has.
local function may_be_own(call, fields)
  local dataset = entry.dataset(fields)
  if dataset and dataset ~= (call.options.dataset or dataset) then return false end
  if not is_integer(fields.created) then return true end
  return fields.created >= (call.since or fields.created) and fields.created <= (call.till or fields.created)
end

-- Looks for the batches with the external id of a call that may be its own, best first. The second value is when the
-- service answered, the third a batch that is another's.
local function look(call)
  local answered
  local list, err = call.client:send {
    method = "GET", deadline = call.deadline, sandbox = call.options.sandbox, timeout = call.options.timeout,
    repeatable = true,
    path = paths.external(call.options.external_id), process = call.process,
    read = function(body, transfer)
      answered = time_of(transfer)
      return read_listing(body, call.options.external_id)
    end,
  }
  if not list then return nil, err end
  local own, other = {}, nil
  for _, fields in ipairs(list) do
    if may_be_own(call, fields) then own[#own + 1] = fields else other = fields end
  end
  table.sort(own, precedes)
  return own, answered, other
end

--- The batches of a dataset that have an external id, those that take files first, then the oldest.
-- @tparam catalog.client client
-- @tparam table given the options of a creation, with `external_id`
-- @treturn[1] {table,...} fields
-- @treturn[1] ?integer when the service answered, milliseconds since the epoch
-- @treturn[1] ?table fields of one that is another dataset's
-- @treturn[2] nil
-- @treturn[2] table error
function once.look(client, given)
  return look { client = client, options = given, deadline = client:deadline(), process = scheduler.process() }
end

-- Aborts batches that are of no use: they are empty, and nobody knows of them. One that cannot be aborted now is tried
-- again when the chosen one is completed, and given up by the service some days later.
local function abort_others(call, list, chosen)
  local deadline = math.min(call.deadline, core.system.monotonic() + ABORT_TIMEOUT)
  for _, fields in ipairs(list) do
    if fields.id ~= chosen and rank(fields) == 1 then
      local other = batch.attach(call.client, fields.id, call.options.sandbox)
      local request = batch.action(other, "ABORT", ABORT_TIMEOUT)
      if request then
        request.deadline = deadline
        call.client:send(request)
      end
    end
  end
end

-- The best of the batches there are; nil when there is none, or nil and an error. The third value is a batch that is
-- another's.
local function choose(call)
  local list, answered, other = look(call)
  if not list then return nil, answered end
  local chosen = list[1]
  if chosen then abort_others(call, list, chosen.id) end
  return chosen, nil, other
end

-- Looks until a batch is there, or the pauses are used up; first when what the service asked for is over. Once the id
-- was refused as taken, another's batch is the answer as well: the third value.
local function find(call, pauses, asked)
  for pause in pauses do
    local paused, stopped = scheduler.sleep(math.max(pause, asked), call.client.loop, call.client)
    asked = 0
    if not paused then return nil, stopped end
    local found, err, other = choose(call)
    if found or err or other and call.is_duplicate then return found, err, other end
  end
  return nil
end

local function some_pauses(deadline)
  local i = 0
  return function()
    i = i + 1
    return OPEN[i] and core.system.monotonic() + OPEN[i] < deadline and OPEN[i] or nil
  end
end

local function pauses_until(deadline)
  local pause = FIRST_PAUSE / GROWTH
  return function()
    pause = math.min(LONGEST_PAUSE, pause * GROWTH)
    return core.system.monotonic() + pause < deadline and pause or nil
  end
end

local function is_owned(external_id, owner)
  return failure("conflict", "the external id %s is that of the batch %s, which was there before; nothing was created",
    external_id, owner)
end

-- The options with an external id, and whether that is ours: the caller gave none.
local function with_id(given)
  local options, id = {}, once.id_of(given)
  for name, value in pairs(given) do options[name] = value end
  options.external_id = id or once.new_id()
  return options, id == nil
end

-- What is to be known before the first creation of a call is sent: whether a batch has the id, and whose it is.
local function prepare(call, known)
  if known.open then return find(call, some_pauses(call.deadline), 0) end
  if call.ours then
    if not known.look then return nil end
    return choose(call)
  end
  local list, answered, other = look(call)
  if not list then return nil, answered end
  other = list[1] or other
  if other then return is_owned(call.options.external_id, other.id) end
  call.since = answered or core.system.now() - 1000 -- where the service does not tell its time
  return nil
end

-- A creation came to a batch. Where one before it may have as well, the oldest is the one.
local function settle(call, fields)
  if not call.open then return fields end
  local list, known = look(call) or {}, false
  for _, other in ipairs(list) do known = known or other.id == fields.id end
  if not known then list[#list + 1] = fields end -- the catalog lags behind
  table.sort(list, precedes)
  abort_others(call, list, list[1].id)
  return list[1]
end

-- Creates, and looks where an answer was lost, until it is known what came of it.
local function create_and_look(call)
  local err
  for _ = 1, math.max(call.client.policy.tries, 2) do
    local fields
    fields, err = call.client:send(call.creation)
    if fields then return settle(call, fields) end
    call.is_duplicate = (call.open or call.adopts) and is_refused_as_duplicate(err)
    if not call.is_duplicate and not err.ambiguous then
      err.ambiguous = call.open or nil -- the one before may still turn up
      return nil, err
    end
    call.open, call.doubtful = true, true
    local asked = retry.asked(err)
    if core.system.monotonic() + asked > call.deadline then
      err.ambiguous = true
      return retry.too_late(err, asked)
    end
    local pauses = call.is_duplicate and pauses_until or some_pauses
    local found, unasked, other = find(call, pauses(call.deadline), asked)
    if found then return found end
    if other then return is_owned(call.options.external_id, other.id) end
    if unasked or call.is_duplicate then break end
  end
  err.ambiguous = true
  return nil, err
end

-- The batch there is already, or a new one.
local function find_or_create(call, known)
  local fields, err = prepare(call, known)
  if fields or err then return fields, err end
  if known.note then
    local ok, unwritten = known.note(call.options.external_id, call.since)
    if not ok then return nil, unwritten end
  end
  return create_and_look(call)
end

-- How long after the chosen one a creation of the same call may be made, in milliseconds: a gateway may hold it back.
local HELD_BACK <const> = 60000

--- Creates a batch, whatever becomes of the answers.
-- @tparam catalog.client client
-- @tparam table given the options of the creation
-- @tparam ?table known what is known of an earlier run: `open` (true: a creation with this external id may have been
--   sent), `look` (true: that is not likely, but has to be looked for), `since` (the service's time before the first
--   creation, milliseconds since the epoch), `ours` (true: the external id is not the caller's, but one that nobody
--   else has); and `note(external_id, since)`, called before the first creation of this run is sent, which gives true,
--   or nil and an error
-- @treturn[1] catalog.batch
-- @treturn[2] nil
-- @treturn[2] table error; still `ambiguous` when not even the catalog could be asked
function once.create(client, given, known)
  known = known or {}
  local deadline, options, ours = client:deadline(), with_id(given)
  local request, unfit = creation.request(options, deadline) -- what can never work is found before anybody is asked
  if not request then return nil, unfit end
  request.process = scheduler.process()
  local call = {
    client = client, options = options, deadline = deadline, creation = request, process = request.process,
    since = known.since, open = known.open, doubtful = known.open or known.look,
    ours = known.ours or ours, adopts = known.adopts,
  }
  local fields, err = find_or_create(call, known)
  if not fields then return nil, err end
  local created = batch.created(client, given, fields)
  if call.doubtful then once.doubt(created, call.options.external_id, call.since) end
  return created
end

--- Takes note that there may be other batches than the chosen one, of creations whose answers were lost.
-- @tparam catalog.batch chosen
-- @tparam string external_id
-- @tparam ?integer since the service's time before the first creation, milliseconds since the epoch
function once.doubt(chosen, external_id, since)
  local created = is_integer(chosen.created) and chosen.created or since
  local till = since and created + HELD_BACK or nil
  batch.state(chosen).others = { external_id = external_id, since = since, till = till }
end

--- Aborts the batches that lost answers have left beside one that is being completed: looks for them once. What cannot
-- be asked or aborted is left to the service, which gives up an empty batch after some days.
-- @tparam catalog.batch chosen
function once.abort_others(chosen)
  local state, kind = batch.state(chosen)
  local others, client = state.others, kind.client
  if not others then return end
  state.others = nil
  local options = { external_id = others.external_id, sandbox = kind.sandbox, dataset = state.dataset }
  local call = {
    client = client, options = options, since = others.since, till = others.till, process = state.process,
    deadline = math.min(client:deadline(), core.system.monotonic() + ABORT_TIMEOUT),
  }
  local list = look(call)
  if list then abort_others(call, list, chosen.id) end
end

return once
