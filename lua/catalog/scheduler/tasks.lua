--- Many things at once: `catalog.map`, `catalog.run` and `catalog.spawn`.
-- @module catalog.scheduler.tasks
local Group = require "catalog.scheduler.group"
local failure = require "catalog.base.failure"
local options = require "catalog.base.options"
local scheduler = require "catalog.scheduler.scheduler"

local tasks = {}

local PARALLEL <const> = 4

local function check_callable(body, call)
  options.check({ body = body or false }, { body = "callable" }, call, 3)
end

-- A group of `run` or `map`, which takes what is spawned within it.
local function open_group(limit)
  local group = Group.new(limit)
  group.open = true
  return group
end

-- That of the `run` or `map` that the running task is part of, or nil.
local function surrounding()
  local task = scheduler.current_task()
  while task do
    if task.group.open then return task.group end
    task = task.group.parent
  end
end

--- Runs a function whose calls may overlap with those of the tasks it spawns; returns when all are over.
-- @function catalog.run
-- @tparam function body
-- @param ... its arguments
-- @return what it returned; or nil and an error of kind `cancelled`, in a child that was forked within it
-- @raise what it or one of the tasks raised, with the traceback of where that was, when the others, which it cancels,
--   are over
function tasks.run(body, ...)
  check_callable(body, "run")
  local group = open_group()
  local main = group:new_task(body, ...)
  scheduler.begin(main)
  local fine, err = group:wait()
  if not fine then return nil, err end
  return main:await()
end

--- Runs a function beside others. In a function of `run` or `map` it is part of that, which returns when it is over. In
-- a host's loop it goes on by itself; elsewhere while anything is waited for.
-- @function catalog.spawn
-- @tparam function body begins at once, up to where it waits
-- @param ... its arguments
-- @treturn catalog.task
-- @raise what it raised before it first waited, where no `run` or `map` raises that
function tasks.spawn(body, ...)
  check_callable(body, "spawn")
  local group = surrounding()
  if not group then
    group = Group.new()
    group.detached = true
  end
  local task = group:new_task(body, ...)
  scheduler.begin(task, true)
  if task.has_raised and group.detached then
    task.awaited = true
    error(task.raised, 0)
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

-- What the calls of a `map` come to: gives the function for one element, and the results.
local function collector(list, body)
  local results = { failed = false, first = nil, values = {} }
  local function note(i, err)
    results.values[i] = { error = err }
    if not results.failed then results.failed, results.first = true, err end
    return true
  end
  return function(i)
    local cancelled = scheduler.cancelled()
    if cancelled then return note(i, cancelled) end
    local value, err = body(list[i], i)
    if value == nil and err ~= nil then return note(i, err) end
    results.values[i] = value
    return true
  end, results
end

--- Calls a function with each element of a list, several at a time.
-- @function catalog.map
-- @tparam table list without holes
-- @tparam function body is given an element and its index; returns a value, or nil and an error
-- @tparam ?table given `parallel`: how many at a time (default 4)
-- @treturn[1] table the values, each at the index of its element
-- @treturn[2] nil
-- @treturn[2] table the first error there was
-- @treturn[2] table the values; `{ error = err }` in the place of one that is none
-- @raise the list has holes; what a call raised, when the others, which it cancels, are over
function tasks.map(list, body, given)
  if type(list) ~= "table" then error("bad argument to map (a list expected, got " .. type(list) .. ")", 2) end
  check_callable(body, "map")
  local parallel = options.check(given, { parallel = "integer" }, "map", 2).parallel or PARALLEL
  if parallel < 1 then return failure("config", "parallel is %d; it must be 1 or more", parallel) end
  local length, index = length_of(list), 0
  local call, results = collector(list, body)
  local group = open_group(parallel)
  group:add(function()
    index = index + 1
    if index <= length then return call, index end
  end, length)
  local fine, err = group:wait()
  if not fine then return nil, err, results.values end
  -- those that were not begun when the map was cancelled
  for i = index + 1, length do call(i) end
  if results.failed then return nil, results.first, results.values end
  return results.values
end

return tasks
