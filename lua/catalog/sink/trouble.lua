--- What failed last, in a file of the spool: so that who looks at it from outside sees why nothing goes on. It is there
-- until a batch has ended well; where nothing could be taken, until something can.
-- @module catalog.sink.trouble
local core = require "catalog.core"

local trouble = {}

--- The name of the file.
trouble.NAME = "trouble.json"

local function save(sink, told, blocked)
  local err = sink.last_error
  local is_obstacle = blocked == err.message
  told.at, told.obstacle = sink.last_error_at, is_obstacle and blocked or nil
  local fields = {
    at = told.at, error = tostring(err), kind = err.kind, status = err.status,
    blocked = not is_obstacle and blocked or nil,
  }
  return sink.spool:job("save", trouble.NAME, assert(core.json.encode(fields)) .. "\n")
end

--- Writes the file, or removes it, where something has changed.
-- @tparam catalog.sink sink
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function trouble.note(sink)
  local ended, blocked = sink.store.ended.success or 0, sink:metrics().blocked
  local told = sink.trouble or { ended = ended }
  sink.trouble = told
  local is_new, is_over = sink.last_error_at ~= told.at, told.ended ~= ended or blocked ~= (told.obstacle or blocked)
  told.ended = ended
  if is_new then return save(sink, told, blocked) end
  if not is_over then return true end
  told.obstacle = nil
  return sink.spool:job("remove", trouble.NAME)
end

return trouble
