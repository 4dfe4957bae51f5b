--- The batch of a group of files: a new one, or that of the journal.
-- @module catalog.ingest.resume
local batch = require "catalog.batch.batch"
local failure = require "catalog.base.failure"
local once = require "catalog.batch.once"
local states = require "catalog.batch.states"

local resume = {}

-- How many batches in a row may turn out to have been given up before one takes the files.
local MOST_GONE <const> = 10

-- The options of a creation, and what is known of it from earlier runs. `fresh`: this run has just dropped the batch
-- before, and sent nothing since.
local function creation_of(run, first_options, number, fresh)
  local journal, options = run.journal, {}
  for name, value in pairs(first_options) do options[name] = value end
  local known = journal:batch(number)
  local again = #known.dropped > 0 and ("-%d"):format(#known.dropped + 1) or ""
  local derived = not options.external_id and journal:external_id(number)
  local id = options.external_id or derived
  options.external_id = known.external_id or id and id .. again or once.new_id()
  -- The end of a journal may have been lost, and with it the line of a creation.
  local lost = not known.external_id and derived and not journal.is_new
  -- Batches are created one after another: only the first that is not known may have been under way at the end.
  local first = lost and not fresh and not known.refused and not run.looked
  run.looked = run.looked or lost and not fresh
  return options, {
    open = known.external_id ~= nil or first or nil, look = lost or nil, since = known.since,
    ours = not first_options.external_id,
  }
end

local function create_noted(run, first_options, number, fresh)
  local journal = run.journal
  local options, known = creation_of(run, first_options, number, fresh)
  local noted = journal:batch(number).external_id ~= nil
  known.note = function(external_id, since)
    if noted then return true end
    return journal:note("create", { group = number, external_id = external_id, since = since })
  end
  local made, err = once.create(run.client, options, known)
  if not made then
    if err.ambiguous or noted or not journal:batch(number).external_id then return nil, err end
    local ok, unwritten = journal:note("refused", { group = number })
    return nil, ok and err or unwritten
  end
  local ok, unwritten = journal:note("batch", { group = number, id = made.id })
  return ok and made, unwritten
end

--- Notes that a batch is of no more use.
-- @tparam table run
-- @tparam integer number of the group
-- @tparam string id
-- @tparam string status
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function resume.drop(run, number, id, status)
  return run.journal:note("drop", { group = number, id = id, status = status })
end

--- The first file of a group that is not in its batch, as far as the journal knows.
-- @tparam table run
-- @tparam table group
-- @treturn ?string its name; nil: all are
function resume.missing(run, group)
  for _, item in ipairs(group.files) do
    if not run.journal:progress(item.name).done then return item.name end
  end
  return nil
end

-- Creates until there is a batch that was not given up: one that was found may have been created long ago.
local function create_lasting(run, first_options, number, fresh)
  local made, err
  for _ = 1, MOST_GONE do
    made, err = create_noted(run, first_options, number, fresh)
    if not made then return nil, err end
    if not states.is_gone(made.status) then return made end
    local ok, unwritten = resume.drop(run, number, made.id, made.status)
    if not ok then return nil, unwritten end
    fresh = true
  end
  return failure("batch", "%d batches in a row were given up before they had a file, the last is %s (%s)", MOST_GONE,
    made.id, made.status)
end

-- Whether all files of a batch that takes no more are in it.
local function check_complete(run, group, id)
  local missing = resume.missing(run, group)
  if not missing then return true end
  return failure("batch", "the batch %s takes no more files, and was completed without %s (by somebody else?)", id,
    missing)
end

-- What is to be done with a batch of the journal that is still there.
local function go_on(run, group, found, known, options)
  local state = batch.state(found)
  state.dataset, state.created_here = options.dataset, true
  if known.external_id and not known.ended then once.doubt(found, known.external_id, known.since) end
  group.batch, group.sealed = found, not states.is_loading(found.status)
  if not group.sealed then return true end
  local ok, incomplete = check_complete(run, group, known.id)
  if not ok then return nil, incomplete end
  if known.ended and not found.created then -- the catalog knows it no more
    if not states.is_success(known.ended) then
      return failure("batch", "the batch %s ended as %s in an earlier run, and the catalog knows it no more", known.id,
        known.ended)
    end
    group.done = found
  end
  return true
end

-- What the service knows of the batch of the journal. The catalog may not know it yet, or no more.
local function look(run, known, options)
  local handle = batch.attach(run.client, known.id, options.sandbox, options.dataset)
  local fields, err = batch.fetch(handle)
  if fields then return fields end
  if err.status ~= 404 then return nil, err end
  handle.status = known.ended or "loading"
  return handle
end

--- Makes or finds the batch of a group.
-- @tparam table run `client`, `journal`
-- @tparam table group gets `batch`; `sealed`: it was completed before and takes no more files; `done`: it has ended,
--   and the service knows it no more
-- @tparam integer number of the group
-- @tparam table options of the creation
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function resume.begin(run, group, number, options)
  local known, fresh = run.journal:batch(number), false
  if known.id then
    local found, unknown = look(run, known, options)
    if not found then return nil, unknown end
    if not states.is_gone(found.status) then return go_on(run, group, found, known, options) end
    local ok, unwritten = resume.drop(run, number, known.id, found.status)
    if not ok then return nil, unwritten end
    fresh = true
  end
  local made, failed = create_lasting(run, options, number, fresh)
  if not made then return nil, failed end
  group.batch = made
  if made.status == nil or states.is_loading(made.status) then return true end
  return go_on(run, group, made, run.journal:batch(number), options)
end

return resume
