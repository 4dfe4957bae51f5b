--- The emulator as a program on its own, so that what it does is not counted with what its client does.
local bare = require "bench.bare"
local directories = require "spec.bench.directory"

local emulator = {}

local Server = {}

function Server:__close()
  bare.stop(self.pid)
  local _ <close> = self.place
end

--- Starts it on a port that is free.
-- @tparam table bench
-- @treturn table with `url`, and `directory`, which goes with it; the value of a `<close>` variable
function emulator.start(bench)
  local port, place = bare.ports(1)[1], directories.make()
  local pid = bare.spawn("/bin/sh", "-c", ("exec '%s' '%s/lua/catalog/cli/main.lua' emulator --port %d --data-dir '%s' >'%s'")
    :format(bench.lua, bench.root, port, place.path .. "/data", place.path .. "/output"))
  local server = setmetatable({ pid = pid, place = place, directory = place.path }, Server)
  server.url = "http://127.0.0.1:" .. port
  if bare.await_port(port, 5) then return server end
  Server.__close(server)
  error "the emulator does not start"
end

return emulator
