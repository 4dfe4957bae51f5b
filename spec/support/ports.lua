-- Ports for programs that cannot choose one themselves, and for those that come back at the same one.
local socket = require "cqueues.socket"

local ports = {}

-- Below those that the kernel gives to connections: such a one may be taken by anybody while its program is started anew.
local FIRST <const>, LAST <const> = 10240, 32000

local function is_free(port)
  local listener = socket.listen("127.0.0.1", port)
  listener:onerror(function(_, _, why) return why end)
  local fine = listener:listen()
  listener:close()
  return fine
end

--- One that is free now.
function ports.free()
  local source <close> = assert(io.open("/dev/urandom", "rb")) -- specs beside this one begin with the same math.random
  for _ = 1, 1000 do
    local port = FIRST + string.unpack("I4", source:read(4)) % (LAST - FIRST)
    if is_free(port) then return port end
  end
  error "there is no free port"
end

return ports
