--- What failed last, in a file of the spool: so that who looks at it from outside sees why nothing goes on. It is there
-- until a batch has ended well.
-- @module catalog.sink.trouble
local core = require "catalog.core"

local trouble = {}

--- The name of the file.
trouble.NAME = "trouble.json"

--- Writes the file, or removes it, where something has changed.
-- @tparam catalog.sink sink
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function trouble.note(sink)
  local ended = sink.store.ended.success or 0
  local told = sink.trouble or { ended = ended }
  sink.trouble = told
  if sink.last_error_at ~= told.at then
    told.at, told.ended = sink.last_error_at, ended
    local err, blocked = sink.last_error, sink:metrics().blocked
    local fields = {
      at = told.at, error = tostring(err), kind = err.kind, status = err.status,
      blocked = blocked ~= err.message and blocked or nil,
    }
    return sink.spool:job("save", trouble.NAME, assert(core.json.encode(fields)) .. "\n")
  end
  if told.ended == ended then return true end
  told.ended = ended
  return sink.spool:job("remove", trouble.NAME)
end

return trouble
