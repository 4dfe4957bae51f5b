-- `catalog sink` with a spool in a directory, and an emulator whose files are counted.
local command = require "support.command"
local core = require "catalog.core"
local program = require "support.program"
local service = require "support.service"
local shell = require "support.shell"

local Sinking = {}
Sinking.__index = Sinking

local sinking = {}

--- What leads nowhere: a service that is down.
sinking.DOWN = { url = "http://127.0.0.1:1" }

--- Lines of records from one number to another.
function sinking.numbers(first, last)
  local list = {}
  for i = first, last do list[#list + 1] = ('{"n":%d}\n'):format(i) end
  return table.concat(list)
end

--- Calls `body(sinking)`: `server` is the emulator, `directory` its files and the spool.
function sinking.run(body)
  shell.with_directory(function(directory)
    service.run({ data_dir = directory .. "/data" }, function(server)
      body(setmetatable({ server = server, directory = directory, spool = directory .. "/spool" }, Sinking))
    end)
  end)
end

--- The words of a command, with the spool.
function Sinking:words(words)
  return ("sink --dataset d --spool %s %s"):format(self.spool, words)
end

--- Runs it with an input, a shell's command. Gives what it printed without the note on the token, and its exit code.
function Sinking:pipe(input, words, server)
  local output, code = command.pipe(server or self.server, input, self:words(words or ""))
  return output:gsub("[^\n]*the access token is fixed[^\n]*\n", ""), code
end

--- Starts it beside the spec, once it has its spool.
function Sinking:start(words, before, server)
  local started = program.start((server or self.server).url, "lua/catalog/cli/main.lua " .. self:words(words), before)
  self:wait_for(function() return shell.read(self.spool .. "/lock"):find(started.pid, 1, true) end)
  return started
end

--- Waits until something is true; what raises is not yet.
function Sinking:wait_for(is_there) -- luacheck: ignore 212
  local until_then = core.system.monotonic() + 60
  while core.system.monotonic() < until_then do
    local fine, value = pcall(is_there)
    if fine and value then return value end
    shell.run "sleep 0.02"
  end
  error("it did not come to that")
end

--- What `catalog spool` prints, and its exit code.
function Sinking:look(words)
  return shell.run(("%s spool %s"):format(command.PROGRAM, words:gsub("SPOOL", self.spool)))
end

--- What waits in the spool.
function Sinking:waiting() return (self:look "export SPOOL") end

--- Sends what waits.
function Sinking:send() return self:pipe(":", "--wait -q") end

--- All lines that are in batches, sorted.
function Sinking:sent()
  return (shell.run(("find %s/data/files -type f -exec cat {} + 2>/dev/null | sort -t: -k2n"):format(self.directory)))
end

return sinking
