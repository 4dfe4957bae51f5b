--- The batch of a group of files: a new one, or that of the journal.
-- @module catalog.resume
local batch = require "catalog.batch"
local failure = require "catalog.failure"
local once = require "catalog.once"
local states = require "catalog.states"

local resume = {}

local function create_noted(run, first_options, number)
  local journal, options = run.journal, {}
  for name, value in pairs(first_options) do options[name] = value end
  local known = journal:batch(number)
  local begun = known.external_id ~= nil
  if begun then
    options.external_id = known.external_id
  elseif not options.external_id then
    options.external_id = once.new_id()
  elseif #known.dropped > 0 then
    -- the batch that was dropped has the caller's own
    options.external_id = ("%s-%d"):format(options.external_id, #known.dropped + 1)
  end
  if not begun then
    -- before it is noted: what is noted is ours from then on
    local owner, unknown = once.owner(run.client, options)
    if unknown then return nil, unknown end
    if owner then return once.is_owned(options.external_id, owner) end
    local ok, err = journal:note { event = "create", group = number, external_id = options.external_id }
    if not ok then return nil, err end
  end
  local made, err = batch.create(run.client, options, begun)
  if not made then
    if not err.ambiguous and not begun then
      local ok, unwritten = journal:note { event = "refused", group = number }
      if not ok then return nil, unwritten end
    end
    return nil, err
  end
  local ok, unwritten = journal:note { event = "batch", group = number, id = made.id }
  if not ok then return nil, unwritten end
  if not begun or not states.is_gone(made.status) then return made end
  -- it was created long ago, and given up by the service meanwhile
  ok, unwritten = resume.drop(run, number, made.id, made.status)
  if not ok then return nil, unwritten end
  return create_noted(run, first_options, number)
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
  return run.journal:note { event = "drop", group = number, id = id, status = status }
end

-- Whether all files of a batch that takes no more are in it, as far as the journal knows.
local function check_complete(run, group, id)
  for _, item in ipairs(group.files) do
    if not run.journal:progress(item.name).done then
      return failure("batch", "the batch %s takes no more files, and was completed without %s (by somebody else?)", id,
        item.name)
    end
  end
  return true
end

-- What is to be done with a batch of the journal that is still there.
local function go_on(run, group, found, known, options)
  local state = batch.state(found)
  state.dataset, state.made = options.dataset, true
  group.batch, group.taken = found, not states.is_loading(found.status)
  if not group.taken then return true end
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
  local fields, err = handle:get()
  if fields then return fields end
  if err.status ~= 404 and err.kind ~= "batch" then return nil, err end
  handle.status = known.ended or "loading"
  return handle
end

--- Makes or finds the batch of a group.
-- @tparam table run `client`, `journal` or nil
-- @tparam table group gets `batch`; `taken`: it was completed before and takes no more files; `done`: it has ended, and
--   the service knows it no more
-- @tparam integer number of the group
-- @tparam table options of the creation
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function resume.begin(run, group, number, options)
  local err
  if not run.journal then
    group.batch, err = batch.create(run.client, options)
    return group.batch ~= nil or nil, err
  end
  local known = run.journal:batch(number)
  if known.id then
    local found, unknown = look(run, known, options)
    if not found then return nil, unknown end
    if not states.is_gone(found.status) then return go_on(run, group, found, known, options) end
    local ok, unwritten = resume.drop(run, number, known.id, found.status)
    if not ok then return nil, unwritten end
  end
  group.batch, err = create_noted(run, options, number)
  return group.batch ~= nil or nil, err
end

return resume
