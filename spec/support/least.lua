-- The service of least.py, as a process that ends with the spec.
local shell = require "support.shell"

local Least = {}
Least.__index = Least

local least = {}

--- Starts it; its batches end in the given state.
function least.start(state)
  local pipe = assert(io.popen("echo $$; exec python3 spec/scripts/least.py " .. state))
  local pid, port = pipe:read("l", "l")
  return setmetatable({ pipe = pipe, pid = pid, url = "http://127.0.0.1:" .. port }, Least)
end

function Least:__close()
  shell.run("kill " .. self.pid)
  self.pipe:close()
end

return least
