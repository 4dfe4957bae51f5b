-- A way to a server that is cut, or holds what comes, for a while (spec/scripts/way.py).
local ports = require "support.ports"

local Way = {}
Way.__index = Way

local way = {}

--- Begins one.
-- @tparam integer server the port that it leads to
-- @tparam ?integer port that it has
-- @treturn table `port`; closing it ends it
function way.start(server, port)
  local self = setmetatable({ port = port or ports.free() }, Way)
  -- the shell says when it is ready by the end of a file: of a pipe one end only can be had
  local told = os.tmpname()
  self.pipe = assert(io.popen(("exec python3 spec/scripts/way.py %d %d >%s 2>&1"):format(self.port, server, told), "w"))
  for _ = 1, 200 do
    local file <close> = assert(io.open(told))
    local said = file:read "l"
    if said then
      os.remove(told)
      assert(said == "ready", said)
      return self
    end
    os.execute "sleep 0.05"
  end
  self:close()
  error "the way does not open"
end

--- Says how it is: `open`, `cut` or `hold`.
function Way:set(state)
  self.pipe:write(state, "\n")
  self.pipe:flush()
end

function Way:close()
  if self.pipe then
    self:set "end" -- what was started meanwhile has the other end of the pipe as well
    self.pipe:close()
  end
  self.pipe = nil
end

Way.__close = Way.close

return way
