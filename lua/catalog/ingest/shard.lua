--- Shards: the files of a directory spread over runs that know nothing of one another, by their names alone.
-- @module catalog.ingest.shard
local core = require "catalog.core"
local failure = require "catalog.base.failure"

local shard = {}

-- More than anybody has machines; a batch each.
local MOST <const> = 100000

--- Reads which shard it is.
-- @param given `"3/16"` or `{ 3, 16 }`: the number of the shard, from 0, and how many there are
-- @treturn[1] table `index`, `count`
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`
function shard.read(given)
  local index, count
  if type(given) == "string" then
    index, count = given:match "^(%d+)/(%d+)$"
    index, count = math.tointeger(tonumber(index)), math.tointeger(tonumber(count))
  elseif type(given) == "table" then
    index, count = given[1], given[2]
  end
  local fits = math.type(index) == "integer" and math.type(count) == "integer" and index >= 0 and index < count
    and count <= MOST
  if fits then return { index = index, count = count } end
  local shown = type(given) == "table" and ("%s of %s"):format(given[1], given[2]) or tostring(given)
  return failure("data", "the shard is %s; it is such as 3/16: from 0 to one less than how many there are (up to %d)",
    core.failure.line(shown), MOST)
end

--- Whether a file belongs to a shard.
-- @tparam table one of `read`
-- @tparam string name of the file, seen from the directory
-- @treturn boolean
function shard.has(one, name)
  return tonumber(core.journal.checksum(name), 16) % one.count == one.index
end

--- What the batch of a shard is called.
-- @tparam table one of `read`
-- @tparam string external_id that all shards have in common
-- @treturn string such as `backfill42-3-of-16`
function shard.id(one, external_id)
  return ("%s-%d-of-%d"):format(external_id, one.index, one.count)
end

return shard
