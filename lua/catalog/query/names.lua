--- Which data set is meant: by its id, by a data set, or by its name.
-- @module catalog.query.names
local Client = require "catalog.client.client"
local core = require "catalog.core"
local dataset = require "catalog.query.dataset"
local options = require "catalog.base.options"

-- How long the id of a name is kept, in seconds.
local KEPT <const> = 600

local clock <const> = core.system.monotonic

-- The id of the data set that has a name.
local function look_up(client, name, sandbox)
  client.dataset_names = client.dataset_names or {}
  local key = (sandbox or client.sandbox) .. "\0" .. name
  local known = client.dataset_names[key]
  if known and clock() < known.ends then return known.id end
  local found, err = client:find_dataset { name = name, sandbox = sandbox, properties = { "name" } }
  if not found then return nil, err end
  client.dataset_names[key] = { id = found.id, ends = clock() + KEPT }
  return found.id
end

--- The id of a data set that an option names.
-- @function catalog.client:dataset_id
-- @tparam string|table given an id, which costs no call; a data set, which costs none either; or `{ name = ... }`,
--   which is looked up once and kept for ten minutes
-- @tparam ?string sandbox the client's when nil
-- @tparam[opt=1] integer level who is to blame, as in `error`
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] table error, as of `find_dataset`
-- @raise `given` is none of that
function Client:dataset_id(given, sandbox, level)
  level = (level or 1) + 1
  if type(given) == "string" then return given end
  if type(given) == "table" and type(given.id) == "string" then return given.id end
  local checked = options.check(given, { name = "string" }, "dataset", level)
  if not checked.name then error("bad option 'dataset' (an id, a data set or { name = ... } expected)", level) end
  return look_up(self, checked.name, sandbox)
end

--- Options in which a data set is named by its id.
-- @local
-- @function catalog.client:with_dataset_id
-- @tparam table given options with `dataset`, a table as of `dataset_id`
-- @treturn[1] table a copy, with the id; and with the sandbox of the data set, unless another is named
-- @treturn[2] nil
-- @treturn[2] table error
-- @raise `dataset` is none of that; who calls the caller is to blame
function Client:with_dataset_id(given)
  local copy = {}
  for name, value in pairs(given) do copy[name] = value end
  copy.sandbox = given.sandbox or dataset.sandbox(given.dataset)
  local id, err = self:dataset_id(given.dataset, copy.sandbox, 3)
  if not id then return nil, err end
  copy.dataset = id
  return copy
end
