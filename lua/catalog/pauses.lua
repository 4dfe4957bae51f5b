--- The times that are waited for, in their order.
-- @module catalog.pauses
local Pauses = {}
Pauses.__index = Pauses

-- Weak: who drops a coroutine is rid of what it waited for.
local ENTRY <const> = { __mode = "v" }

-- Where a time belongs: behind those that end no later.
local function place_of(self, ends)
  local low, high = self.first, self.last + 1
  while low < high do
    local middle = (low + high) // 2
    if self[middle].ends <= ends then low = middle + 1 else high = middle end
  end
  return low
end

--- Adds a time. Most end later than those there are, so little has to move.
-- @tparam number ends seconds on the monotonic clock
-- @tparam table waiter
function Pauses:add(ends, waiter)
  local place = place_of(self, ends)
  table.move(self, place, self.last, place + 1)
  self.last = self.last + 1
  self[place] = setmetatable({ ends = ends, waiter = waiter }, ENTRY)
end

--- When the first ends, or nil.
function Pauses:soonest()
  return self[self.first] and self[self.first].ends
end

--- Takes the first out.
-- @treturn ?table its waiter; nil when that was dropped
function Pauses:take()
  local entry = self[self.first]
  self[self.first] = nil
  self.first = self.first + 1
  if self.first > self.last then self.first, self.last = 1, 0 end
  return entry.waiter
end

--- Calls a function with each waiter.
function Pauses:each(body)
  for i = self.first, self.last do
    if self[i].waiter then body(self[i].waiter) end
  end
end

--- An empty list.
return function() return setmetatable({ first = 1, last = 0 }, Pauses) end
