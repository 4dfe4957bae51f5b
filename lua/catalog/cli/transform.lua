--- The function that changes records, of a file of Lua that an option names.
-- @module catalog.cli.transform
local core = require "catalog.core"
local failure = require "catalog.base.failure"

local transform = {}

--- Loads it.
-- @tparam ?string path
-- @treturn[1] ?function nil: no file is given
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function transform.load(path)
  if not path then return nil end
  local chunk, why = loadfile(path, "t")
  local fine, change = nil, nil
  if chunk then fine, change = pcall(chunk) end
  if type(change) == "function" and fine then return change end
  if chunk and not fine then why = tostring(change) end
  return failure("config", "--transform: %s", core.failure.line(why or path .. " returns no function"))
end

return transform
