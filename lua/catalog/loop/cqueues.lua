--- The adapter for cqueues. Calls wait in coroutines of a controller, and the controller goes on turning.
-- @module catalog.loop.cqueues
-- @usage local client = catalog.client { loop = require "catalog.loop.cqueues" }
local condition = require "cqueues.condition"
local cqueues = require "cqueues"

local adapter = {}

local conditions = setmetatable({}, { __mode = "k" }) -- thread -> what it waits for

function adapter.watch(fd, callback)
  local object, over = { pollfd = fd, events = "r" }, false
  cqueues.running():wrap(function()
    while not over do
      cqueues.poll(object)
      over = not callback()
    end
  end)
  return function()
    over = true
    cqueues.cancel(fd)
  end
end

function adapter.suspend()
  local mine = condition.new()
  conditions[coroutine.running()] = mine
  mine:wait()
end

function adapter.resume(thread)
  conditions[thread]:signal()
end

-- The controller, of which a state may have several; and whether the coroutine is the controller's own, and not one
-- that a coroutine of the controller's has made for itself.
adapter.current = cqueues.running

return adapter
