-- A program that runs beside a spec: its lines are read as they come, and it ends with the spec.
local shell = require "support.shell"

local Program = {}
Program.__index = Program

local program = {}

--- Starts a command with the variables of a client for a server, after what `before` tells the shell. The shell becomes
-- the command, so its pid is that.
function program.run(url, command, before)
  local pipe = assert(io.popen(("echo $$; export AEP_BASE_URL=%s AEP_IMS_URL=%s AEP_ORG=ORG@AdobeOrg AEP_API_KEY=key"
    .. " AEP_ACCESS_TOKEN=token; %s exec env %s 2>&1"):format(url, url, before or "", command)))
  return setmetatable({ pipe = pipe, pid = pipe:read "*l" }, Program)
end

--- The same for a Lua script, and by another program (`by`, which becomes it), if any. A library that `before` names as
-- DISK_LIBRARY is loaded with the interpreter, behind the sanitizers'.
function program.start(url, words, before, by)
  return program.run(url, ('%s LD_PRELOAD="%s $DISK_LIBRARY" %s %s'):format(by or "", shell.PRELOADED, shell.INTERPRETER,
    words), before)
end

--- The next line it prints.
function Program:line() return self.pipe:read "*l" end

function Program:signal(name) shell.run(("kill -%s %s"):format(name, self.pid)) end

--- Waits until it ends. Gives what it had not been asked for yet, and its exit status.
function Program:finish()
  local rest = self.pipe:read "a"
  local _, _, status = self.pipe:close()
  self.pipe = nil
  return rest, status
end

function Program:__close()
  if not self.pipe then return end
  self:signal "KILL"
  self:finish()
end

return program
