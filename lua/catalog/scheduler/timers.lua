--- A heap of timers, the soonest at 1. Each timer knows its index, so that any can be taken out.
-- @module catalog.scheduler.timers
local Timers = {}
Timers.__index = Timers

-- The operation of a timer is held weakly: a coroutine that was dropped leaves nothing behind but its timer.
local TIMER <const> = { __mode = "v" }

local function put(self, timer, index)
  self[index] = timer
  timer.index = index
end

local function rise(self, timer, index)
  while index > 1 do
    local parent = self[index // 2]
    if parent.deadline <= timer.deadline then break end
    put(self, parent, index)
    index = index // 2
  end
  put(self, timer, index)
end

local function sink(self, timer, index)
  while true do
    local child = 2 * index
    if child > self.count then break end
    if child < self.count and self[child + 1].deadline < self[child].deadline then child = child + 1 end
    if timer.deadline <= self[child].deadline then break end
    put(self, self[child], index)
    index = child
  end
  put(self, timer, index)
end

--- Adds a timer.
-- @tparam table operation
-- @tparam number deadline seconds on the monotonic clock
-- @treturn table the timer
function Timers:add(operation, deadline)
  local timer = setmetatable({ deadline = deadline, index = 0, operation = operation }, TIMER)
  self[self.count + 1] = timer -- what can fail for want of memory comes first
  self.count = self.count + 1
  rise(self, timer, self.count)
  return timer
end

--- Takes a timer out; one that is not in this heap is left alone.
-- @tparam table timer
function Timers:remove(timer)
  local index, last = timer.index, self[self.count]
  if self[index] ~= timer then return end
  self[self.count] = nil
  self.count = self.count - 1
  timer.index = 0
  if last == timer then return end
  rise(self, last, index)
  if last.index == index then sink(self, last, index) end
end

--- Takes the first timer out when its deadline has passed.
-- @tparam number now seconds on the monotonic clock
-- @treturn ?table its operation, or true when that was dropped; nil: no timer is due
function Timers:expired(now)
  local first = self[1]
  if not first or first.deadline > now then return nil end
  self:remove(first)
  return first.operation or true
end

--- An empty heap.
-- @function new
-- @treturn table
return function() return setmetatable({ count = 0 }, Timers) end
