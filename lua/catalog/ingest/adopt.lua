--- The batch of a group of files, found again by its external id: a run goes on anywhere, with nothing on its disk.
-- What the batch was to have in it is told by a digest of the plan, which is one of its tags.
-- @module catalog.ingest.adopt
local batch = require "catalog.batch.batch"
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local once = require "catalog.batch.once"
local states = require "catalog.batch.states"

local adopt = {}

local TAG <const> = "catalog_plan"

-- How many batches of a group may have failed before somebody has to look.
local MOST <const> = 100

--- The digest of a group of files: of their names and sizes, in whatever order; how many, and their bytes.
-- @tparam table group `files` (each `name`, `bytes`), `bytes`
-- @treturn string
function adopt.digest(group)
  local sum = 0
  for _, item in ipairs(group.files) do
    sum = sum + tonumber(core.journal.checksum(("%d %s"):format(item.bytes, item.name)), 16)
  end
  return ("%016x-%d-%d"):format(sum, #group.files, group.bytes)
end

-- The digest that a batch has; nil: it has none.
local function digest_of(fields)
  local tag = type(fields.tags) == "table" and fields.tags[TAG]
  return type(tag) == "table" and type(tag[1]) == "string" and tag[1] or nil
end

-- The one that counts of the batches of an external id: one that was completed, or one that takes files. Nil: each has
-- failed, or there is none.
local function standing(list)
  local loading
  for _, fields in ipairs(list) do
    local is_loading = type(fields.status) ~= "string" or states.is_loading(fields.status)
    if is_loading then loading = loading or fields end
    if not is_loading and not states.is_failure(fields.status) then return fields end
  end
  return loading
end

local function described(digest)
  local files, bytes = (digest or ""):match "^%x+%-(%d+)%-(%d+)$"
  return files and ("%s files, %s bytes"):format(files, bytes) or "unknown files"
end

-- Another plan: the files in the batch are not these.
local function differs(fields, id, digest)
  local is_loading = states.is_loading(fields.status)
  return failure("data", "the batch %s (%s) with the external id %s is of other files (%s) than there are now (%s); %s",
    fields.id, fields.status, id, described(digest_of(fields)), described(digest),
    is_loading and "abort it, or give another external id" or "give another external id to ingest these, too")
end

-- The options of the creation of the batch that takes the place of so many that have failed.
local function options_of(given, digest, failed)
  local options, tags = {}, {}
  for name, value in pairs(given) do options[name] = value end
  for name, value in pairs(given.tags or {}) do tags[name] = value end
  tags[TAG] = { digest }
  options.tags = tags
  if failed > 0 then options.external_id = ("%s-%d"):format(given.external_id, failed + 1) end
  return options
end

-- The batch of an external id: what is there, or a new one. Nil alone: each has failed.
local function find_or_create(client, options, digest)
  local list, err, other = once.look(client, options)
  if not list then return nil, err end
  if other then
    return failure("conflict", "the external id %s is that of the batch %s of another dataset", options.external_id,
      other.id)
  end
  local fields, is_new = standing(list), #list == 0
  if is_new then
    fields, err = once.create(client, options, { ours = true, adopts = true })
    if not fields then return nil, err end
    if states.is_failure(fields.status) then return nil end
  end
  if not fields then return nil end
  local found = digest_of(fields)
  if found ~= digest and not (is_new and not found) then return differs(fields, options.external_id, digest) end
  return is_new and fields or batch.created(client, options, fields), nil, is_new
end

--- Finds the batch of a group, or creates it.
-- @tparam table run `client`; gets `resumed` (true: it was there)
-- @tparam table group gets `batch`; `sealed`: it was completed before, and takes no more files
-- @tparam table given the options of the creation, with an external id
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error: of kind `data`: the batch is of other files
function adopt.begin(run, group, given)
  local digest = adopt.digest(group)
  for failed = 0, MOST - 1 do
    local options = options_of(given, digest, failed)
    local found, err, is_new = find_or_create(run.client, options, digest)
    if err then return nil, err end
    if found then
      group.batch, group.options, run.resumed = found, options, not is_new
      group.sealed = type(found.status) == "string" and not states.is_loading(found.status)
      once.doubt(found, options.external_id)
      return true
    end
  end
  return failure("batch", "%d batches with the external ids %s, %s-2 and so on have failed; catalog errors of the last"
    .. " says why", MOST, given.external_id, given.external_id)
end

--- What comes before a batch is completed: another run may have completed one in its place, which then is the one.
-- @tparam table run
-- @tparam table group as of `begin`
-- @treturn[1] boolean true: it is to be completed; `group.sealed`: another was
-- @treturn[2] nil
-- @treturn[2] table error
function adopt.look_again(run, group)
  local list, err = once.look(run.client, group.options)
  if not list then return nil, err end
  local first = standing(list)
  if not first or first.id == group.batch.id or states.is_loading(first.status) then return true end
  local digest = adopt.digest(group)
  if digest_of(first) ~= digest then return differs(first, group.options.external_id, digest) end
  group.batch, group.sealed = batch.created(run.client, group.options, first), true
  once.doubt(group.batch, group.options.external_id) -- whereby what was filled here is aborted
  return true
end

return adopt
