--- Directories of the bench, which go when they are closed.
local core = require "catalog.core"

local directory = {}

local Directory = {
  __close = function(self) core.fs.remove(self.path) end,
}

--- Makes one, in memory where that can be, so that a disk is not what is measured.
-- @treturn table with `path`; the value of a `<close>` variable
function directory.make()
  local pipe = assert(io.popen "mktemp -d -p /dev/shm 2>/dev/null || mktemp -d")
  local path = pipe:read "l"
  assert(pipe:close() and path, "no temporary directory")
  return setmetatable({ path = path }, Directory)
end

return directory
