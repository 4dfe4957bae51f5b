--- What a drain notes with the offset of a partition before it completes a batch: which batch has the records behind
-- that offset, and up to where. Whoever has the partition next decides by what became of that batch.
-- @module catalog.drain.intention
local core = require "catalog.core"

local intention = {}

-- The version of the form. Minor versions of the module never change it.
local VERSION <const> = 1

--- The metadata of an offset.
-- @tparam string batch the id of the batch
-- @tparam integer next the offset behind the last record that is in it
-- @treturn string
function intention.encode(batch, next)
  return assert(core.json.encode { v = VERSION, batch = batch, next = next, at = core.system.now() })
end

--- Reads the metadata of an offset.
-- @tparam ?string text
-- @treturn[1] table `batch`, `next`; false: there is no intention
-- @treturn[2] nil
-- @treturn[2] string why it cannot be used, as a clause: it is somebody else's, or of a newer version
function intention.decode(text)
  if text == nil or text == "" then return false end
  local fields = core.json.decode(text)
  if type(fields) ~= "table" or math.type(fields.v) ~= "integer" then
    return nil, "its metadata is not of a drain: " .. core.failure.line(text)
  end
  if fields.v ~= VERSION then
    return nil, ("its metadata is of version %d of a drain, and this one knows version %d"):format(fields.v, VERSION)
  end
  if type(fields.batch) ~= "string" or math.type(fields.next) ~= "integer" then
    return nil, "its metadata names no batch and offset: " .. core.failure.line(text)
  end
  return { batch = fields.batch, next = fields.next }
end

return intention
