-- Hosts that are daemons of others, as Debian's packages have them, unpacked below build/ and run from there.
local shell = require "support.shell"

local ROOT <const> = shell.run("pwd"):gsub("%s+$", "") .. "/build/hosts"

local Daemon = {}
Daemon.__index = Daemon

local daemons = {}

local function first(pattern) return (shell.run(("ls -d %s/%s 2>/dev/null | head -1"):format(ROOT, pattern)):gsub("%s+$", "")) end

-- The commands of each: its configuration is `%s/conf`, and everything it writes is beside that.
local COMMANDS <const> = {
  ["syslog-ng"] = function(directory)
    return ("%s --foreground --no-caps --stderr --module-path=%s -f %s/conf -R %s/persist -c %s/control -p %s/pid"):format(
      first "usr/sbin/syslog-ng", first "usr/lib/syslog-ng/[0-9]*", directory, directory, directory, directory)
  end,
  rsyslog = function(directory)
    return ("%s -n -f %s/conf -i %s/pid -M %s"):format(first "usr/sbin/rsyslogd", directory, directory,
      first "usr/lib/*/rsyslog")
  end,
}

--- Whether it was unpacked, and runs here.
function daemons.has(name)
  return first(name == "rsyslog" and "usr/sbin/rsyslogd" or "usr/sbin/syslog-ng") ~= ""
end

--- Starts one, with a configuration in which `changes` (plain text -> plain text) are made.
function daemons.start(name, directory, path, changes)
  local conf = shell.read(path)
  for from, to in pairs(changes) do
    local at, behind = conf:find(from, 1, true)
    assert(at, from .. " is not in " .. path)
    repeat
      conf = conf:sub(1, at - 1) .. to .. conf:sub(behind + 1)
      at, behind = conf:find(from, at + #to, true)
    until not at
  end
  shell.write(directory .. "/conf", conf)
  local self = setmetatable({ name = name, directory = directory }, Daemon)
  self:run()
  return self
end

-- What is of specs alone: a sanitizer, and proxies that are none, which syslog-ng's libcurl would use.
local WITHOUT <const> = "unset LD_PRELOAD http_proxy https_proxy all_proxy; "

--- Runs it, once more where it was killed.
function Daemon:run()
  local libraries = ("%s:%s"):format(first "usr/lib/*-linux-gnu*", first "usr/lib/syslog-ng")
  local pipe = assert(io.popen((WITHOUT .. "echo $$; export LD_LIBRARY_PATH=%s; exec %s >>%s/log 2>&1"):format(
    libraries, COMMANDS[self.name](self.directory), self.directory)))
  self.pipe, self.pid = pipe, pipe:read "*l"
end

--- What it has said.
function Daemon:log() return shell.read(self.directory .. "/log") end

function Daemon:kill()
  shell.run("kill -9 " .. self.pid)
  self.pipe:close()
  self.pipe = nil
end

function Daemon:__close(raised)
  if self.pipe then self:kill() end
  if raised then io.stderr:write(self.name, " said last:\n", self:log():sub(-2000), "\n") end
end

return daemons
