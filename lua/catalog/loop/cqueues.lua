--- The adapter for cqueues. Calls wait in coroutines of a controller, and the controller goes on turning.
-- @module catalog.loop.cqueues
-- @usage local client = catalog.client { loop = require "catalog.loop.cqueues" }
local condition = require "cqueues.condition"
local cqueues = require "cqueues"

local adapter = {}

local conditions = setmetatable({}, { __mode = "k" }) -- thread -> what it waits for

-- What cqueues polls; it is asked again each time, so one is enough for a descriptor.
local polled = {}

function adapter.wait(fd, seconds)
  local object = polled[fd]
  if not object then
    object = { pollfd = fd, events = "r" }
    polled[fd] = object
  end
  cqueues.poll(object, seconds)
end

function adapter.suspend()
  local thread = coroutine.running()
  local mine = conditions[thread]
  if not mine then
    mine = condition.new()
    conditions[thread] = mine
  end
  mine:wait()
end

function adapter.resume(thread)
  conditions[thread]:signal()
end

-- Not in a coroutine that one of the controller's has made for itself.
function adapter.yieldable()
  local _, is_controllers = cqueues.running()
  return is_controllers == true
end

-- A state may have several controllers.
function adapter.current() return (cqueues.running()) end

function adapter.spawn(body)
  cqueues.running():wrap(body)
end

return adapter
