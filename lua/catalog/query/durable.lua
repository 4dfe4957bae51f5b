--- What was written, brought onto the disk; everything else goes on meanwhile.
-- @module catalog.query.durable
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local scheduler = require "catalog.scheduler.scheduler"

--- Waits until files and directories are on the disk.
-- @function durable
-- @tparam {file|string,...} files those of Lua's that are open, or paths, those of directories too
-- @tparam string name what an error calls them
-- @tparam ?table loop the adapter of the client
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error: of kind `data` when the disk refuses them
return function(files, name, loop)
  local job <close>, unfit = core.sync.start(files)
  if not job then return nil, unfit end
  local listener <close> = core.listener.new(job:fd())
  local listens, deaf = listener:start()
  if not listens then return nil, deaf end
  local done, cancelled = scheduler.transfer(listener, loop)
  if not done then return nil, cancelled end
  local whole, why = job:result()
  if not whole then return failure("data", "cannot write %s: %s", name, why) end
  return true
end
