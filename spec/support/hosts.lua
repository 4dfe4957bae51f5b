-- Hosts with event loops: each runs functions in coroutines of its loop, and calls `tick` every millisecond until they
-- are over.
local cqueues = require "cqueues"
local readable = require "support.poll"
local service = require "support.service"
local uv = require "luv"

local hosts = { run = {} }

function hosts.run.cqueues(bodies, tick)
  local loop, left = cqueues.new(), #bodies
  for _, body in ipairs(bodies) do
    loop:wrap(function()
      body()
      left = left - 1
    end)
  end
  loop:wrap(function()
    while left > 0 do
      cqueues.sleep(0.001)
      tick()
    end
  end)
  assert(loop:loop())
  loop:close()
end

function hosts.run.luv(bodies, tick)
  local left, timer = #bodies, uv.new_timer()
  timer:start(1, 1, function()
    tick()
    if left == 0 then timer:close() end
  end)
  for _, body in ipairs(bodies) do
    coroutine.wrap(function()
      body()
      left = left - 1
    end)()
  end
  uv.run()
end

-- A host of the barest kind: coroutines that wait for a descriptor, resumed when it can be read.
local bare = { waiting = {} }

function hosts.run.bare(bodies, tick)
  local threads = {}
  for i, body in ipairs(bodies) do threads[i] = coroutine.create(body) end
  while #threads > 0 do
    for i = #threads, 1, -1 do
      local thread = threads[i]
      local fd = bare.waiting[thread]
      if not fd or readable(fd, 0.001) then
        bare.waiting[thread] = nil
        assert(coroutine.resume(thread))
      end
      if coroutine.status(thread) == "dead" then table.remove(threads, i) end
    end
    tick()
  end
end

--- The adapter of each.
hosts.adapters = {
  cqueues = require "catalog.loop.cqueues", luv = require "catalog.loop.luv",
  bare = { wait = function(fd)
    bare.waiting[coroutine.running()] = fd
    coroutine.yield()
  end },
}

--- A client whose calls wait in a host's loop.
function hosts.client(host, server, changes)
  local settings = { loop = hosts.adapters[host] }
  for name, value in pairs(changes or {}) do settings[name] = value end
  return service.client(server.url, settings)
end

return hosts
