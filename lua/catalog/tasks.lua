--- Many things at once: `catalog.map`, `catalog.run` and `catalog.spawn`.
-- @module catalog.tasks
local await = require "catalog.await"
local core = require "catalog.core"
local failure = require "catalog.failure"
local options = require "catalog.options"
local pool = require "catalog.pool"

local tasks = {}

local PARALLEL <const> = 4

--- A function that runs beside others.
-- @type catalog.task
local Task = { __name = "catalog.task" }
Task.__index = Task

local function check_callable(body, call)
  options.check({ body = body or false }, { body = "callable" }, call, 3)
end

-- Runs a function as a task of a pool. What it returns is the task's; what it raises is the pool's.
local function begin(jobs, body, ...)
  local task, given = setmetatable({ listening = {} }, Task), table.pack(...)
  return jobs:begin(function()
    local result = table.pack(body(table.unpack(given, 1, given.n)))
    task.result = result
    return true
  end, task)
end

-- Raises when it would wait for ever: for itself, or for one that waits for it.
local function check_circle(task, me)
  local mine = {} -- what runs, and what that is part of
  while me do
    mine[me] = true
    me = me.pool.parent
  end
  local other = task
  while other do
    if mine[other] then error("a task cannot await itself, nor one that awaits it", 3) end
    other = other.awaits
  end
end

-- Whether a pool stands still while a task waits: one that is part of the pool, and that this one is part of, cannot
-- yield.
local function holds_up(me, jobs)
  while me and me.pool ~= jobs do
    me = me.pool.parent
    if me and not coroutine.isyieldable(me.thread) then return true end
  end
  return false
end

--- Waits until the task is over.
-- @function catalog.task:await
-- @return what its function returned; or nil and an error of kind `cancelled`
-- @raise the task awaits itself; what it raised, where no `run` or `map` raises that
function Task:await()
  local me = await.task()
  check_circle(self, me)
  self.awaited = true
  if me then me.awaits = self end
  if self.pool.driven and not await.blocks(self.pool.loop) and not holds_up(me, self.pool) then
    if not self.over then await.over(self) end
  elseif self.pool.takes then
    self.pool:finish(self)
  else
    self.pool:advance(function() return self.over end)
  end
  if me then me.awaits = nil end
  if self.has_raised and not self.pool.takes then error(self.raised, 0) end
  if self.result then return table.unpack(self.result, 1, self.result.n) end
  return nil, await.cancelled() or core.failure.new { kind = "cancelled", message = "the task did not come to its end" }
end

--- Ends the task: what it waits for ends at once, with an error of kind `cancelled`, and so does each further call it
-- makes. A batch it was filling is left to be abandoned by the service.
-- @function catalog.task:cancel
function Task:cancel()
  if self.over then return end
  await.cancel(self)
  if not self.pool.driven then self.pool:abandon() end
end

Task.__close = Task.cancel

function Task:__tostring()
  return ("catalog.task (%s)"):format(self.over and "over" or self.cancelled and "cancelled" or "under way")
end

-- The pool of the `run` or `map` that the running task is part of, or nil.
local function surrounding()
  local task = await.task()
  while task do
    if task.pool.takes then return task.pool end
    task = task.pool.parent
  end
end

-- A pool whose jobs are the host's functions.
local function new_pool(width)
  local jobs = pool.new(width)
  jobs.of_host = true
  return jobs
end

-- That of a call that returns when all is done.
local function new_driven_pool(width)
  local jobs = new_pool(width)
  jobs.takes, jobs.driven = true, true
  return jobs
end

--- Runs a function whose calls may overlap with those of the tasks it spawns; returns when all are over.
-- @function catalog.run
-- @tparam function body
-- @param ... its arguments
-- @return what it returned
-- @raise what it or one of the tasks raised, with the traceback of where that was, when the others, which it cancels,
--   are over
function tasks.run(body, ...)
  check_callable(body, "run")
  local jobs = new_driven_pool(math.huge)
  local main = begin(jobs, body, ...)
  jobs:advance()
  return main:await()
end

--- Runs a function beside others. In a function of `run` or `map` it is part of that, which returns when it is over. In
-- a host's loop it goes on by itself, given an adapter that can `spawn`; elsewhere while it is awaited.
-- @function catalog.spawn
-- @tparam function body begins at once, up to where it waits
-- @param ... its arguments
-- @treturn catalog.task
-- @raise what it raised before it first waited, where no `run` or `map` raises that
function tasks.spawn(body, ...)
  check_callable(body, "spawn")
  local around = surrounding()
  if around then return begin(around, body, ...) end
  local jobs = new_pool(math.huge)
  local task = begin(jobs, body, ...)
  if task.has_raised then jobs:advance() end -- at once, and nobody can have awaited it
  local loop = jobs.active > 0 and jobs.loop
  if loop and loop.spawn and await.is_in(loop) then
    loop.spawn(function()
      local fine, message = pcall(jobs.advance, jobs)
      -- what nobody awaits is for the loop to tell
      if not fine and not task.awaited then error(message, 0) end
    end)
    jobs.driven = true
  end
  return task
end

-- How long a list is; raises when it has holes.
local function length_of(list)
  if getmetatable(list) then return #list end -- what it has is its own affair
  local count, last = 0, 0
  for key in pairs(list) do
    if math.type(key) == "integer" and key > 0 then count, last = count + 1, math.max(last, key) end
  end
  if count == last then return count end
  local hole = 1
  while list[hole] ~= nil do hole = hole + 1 end
  error(("bad argument to map (the list has %d elements, and none at %d)"):format(count, hole), 3)
end

--- Calls a function with each element of a list, several at a time.
-- @function catalog.map
-- @tparam table list without holes
-- @tparam function body is given an element and its place; returns a value, or nil and an error
-- @tparam ?table given `parallel`: how many at a time (default 4)
-- @treturn[1] table the values, each in the place of its element
-- @treturn[2] nil
-- @treturn[2] table the first error there was
-- @treturn[2] table the values; `{ error = err }` in the place of one that is none
-- @raise the list has holes; what a call raised, when the others, which it cancels, are over
function tasks.map(list, body, given)
  if type(list) ~= "table" then error("bad argument to map (a list expected, got " .. type(list) .. ")", 2) end
  check_callable(body, "map")
  local width = options.check(given, { parallel = "integer" }, "map", 2).parallel or PARALLEL
  if width < 1 then return failure("config", "parallel is %d; it must be 1 or more", width) end
  local length, index, results, failed, first = length_of(list), 0, {}, false, nil
  local function note(i, err)
    results[i] = { error = err }
    if not failed then failed, first = true, err end
  end
  local function call(i)
    local value, err = body(list[i], i)
    results[i] = value
    if value == nil and err ~= nil then note(i, err) end
    return true
  end
  local jobs = new_driven_pool(width)
  jobs:add(function()
    index = index + 1
    local i = index
    if i > length then return nil end
    local cancelled = await.cancelled()
    if cancelled then
      note(i, cancelled)
      return function() return true end
    end
    return call, i
  end)
  jobs:advance()
  if failed then return nil, first, results end
  return results
end

return tasks
