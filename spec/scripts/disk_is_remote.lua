-- Opens a spool on what says that it is a network file system, and one on what does not. Usage: DIRECTORY
local core = require "catalog.core"

local disk = package.loadlib(os.getenv "DISK", "luaopen_disk")()

disk.fail(arg[1] .. "/remote", "fstatfs", "REMOTE", 1, 0)
local spool, err = core.spool.open { path = arg[1] .. "/remote" }
print(spool, err)
assert(core.spool.open { path = arg[1] .. "/local" }):close()
