--- A batch as the catalog has it: an entry under its id.
-- @module catalog.batch.entry
local core = require "catalog.core"
local failure = require "catalog.base.failure"

local entry = {}

--- Reads an entry.
-- @param id the key it stands under
-- @param fields what stands there
-- @treturn[1] table the same fields, with `id`, which the service gives only as the key
-- @treturn[2] nil
-- @treturn[2] table error of kind `protocol`
function entry.read(id, fields)
  if type(id) ~= "string" or type(fields) ~= "table" or #fields > 0 then -- a list is none
    return failure("protocol", "the reply has no batch")
  end
  if fields.id == nil or fields.id == core.json.null then fields.id = id end
  if fields.id ~= id then return failure("protocol", "the reply has another id under that of the batch %s", id) end
  return fields
end

--- The dataset of a batch, as its fields name it.
-- @tparam table fields
-- @treturn ?string its id; nil: they do not name one
function entry.dataset(fields)
  for _, object in ipairs(type(fields.relatedObjects) == "table" and fields.relatedObjects or {}) do
    local named = type(object) == "table" and object.type == "dataSet" and object.id
    if type(named) == "string" then return named end
  end
end

return entry
