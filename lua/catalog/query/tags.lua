--- Tags of data sets, and the fields that are made of options.
-- @module catalog.query.tags
local failure = require "catalog.base.failure"

local tags = {}

--- Whether a tag has a value. The guides write one with a space in it, too.
-- @param tag whatever the service sent
-- @tparam string value `enabled:true`
-- @treturn boolean
function tags.has(tag, value)
  for _, text in ipairs(type(tag) == "table" and tag or { tag }) do
    if type(text) == "string" and text:gsub("%s", ""):lower() == value:lower() then return true end
  end
  return false
end

-- The values of a tag with those of a name replaced: `isUpsert:true` of `isUpsert`.
local function with(list, name, value)
  local values = {}
  for _, text in ipairs(type(list) == "table" and list or {}) do
    if type(text) ~= "string" or text:match "^%s*([^:%s]*)" ~= name then values[#values + 1] = text end
  end
  if value ~= nil then values[#values + 1] = ("%s:%s"):format(name, value) end
  return values
end

-- Adds the tags that enable a data set for profiles. Source: Adobe's guide to enabling a data set for upsert.
local function add_profile(all, given, known)
  if given.profile == nil and given.upsert == nil then return true end
  if given.upsert and given.profile == false then
    return failure("config", "upsert = true needs a data set that is enabled for profiles; leave profile = false out")
  end
  local profile = all.unifiedProfile or known.unifiedProfile
  if given.profile ~= nil or given.upsert then profile = with(profile, "enabled", given.profile ~= false) end
  if given.upsert ~= nil then profile = with(profile, "isUpsert", given.upsert or nil) end
  all.unifiedProfile = profile
  if given.profile ~= nil or given.upsert then
    all.unifiedIdentity = with(all.unifiedIdentity or known.unifiedIdentity, "enabled", given.profile ~= false)
  end
  return true
end

--- The fields of the service that options stand for.
-- @tparam table given `name`, `description`, `tags`, `profile`, `upsert`, `extra`
-- @tparam ?table known the tags that there are
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function tags.fields(given, known)
  local fields, all = {}, {}
  for name, value in pairs(given.extra or {}) do fields[name] = value end
  fields.name, fields.description = given.name or fields.name, given.description or fields.description
  for name, value in pairs(type(fields.tags) == "table" and fields.tags or {}) do all[name] = value end
  for name, value in pairs(given.tags or {}) do
    if type(value) == "string" then value = { value } end
    all[name] = value
  end
  local ok, err = add_profile(all, given, type(known) == "table" and known or {})
  if not ok then return nil, err end
  fields.tags = next(all) and all or fields.tags
  return fields
end

return tags
