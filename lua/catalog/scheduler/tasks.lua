--- Many things at once: `catalog.map`, `catalog.run` and `catalog.spawn`.
-- @module catalog.scheduler.tasks
local Group = require "catalog.scheduler.group"
local failure = require "catalog.base.failure"
local options = require "catalog.base.options"
local scheduler = require "catalog.scheduler.scheduler"

local tasks = {}

local PARALLEL <const> = 4

local SCHEMA <const> = { body = "callable" }

-- That of the `run` or `map` that the running task is part of, or nil.
local function surrounding()
  local task = scheduler.current_task()
  while task and not task.group.open do task = task.group.parent end
  return task and task.group
end

--- Runs a function whose calls may overlap with those of the tasks it spawns; returns when all are over.
-- @function catalog.run
-- @tparam function body
-- @param ... its arguments
-- @return what it returned; or nil and an error of kind `cancelled`, in a child that was forked within it
-- @raise what it or one of the tasks raised, with the traceback of where that was, when the others, which it cancels,
--   are over
function tasks.run(body, ...)
  options.check({ body = body or false }, SCHEMA, "run", 2)
  local group <close> = Group.new "open"
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
  options.check({ body = body or false }, SCHEMA, "spawn", 2)
  local group = surrounding() or Group.new "detached"
  local task = group:new_task(body, ...)
  scheduler.begin(task, true)
  if task.has_raised and group.detached then error(task.raised, 0) end
  return task
end

-- How long a list is; raises when it has holes.
local function length_of(list)
  if getmetatable(list) then return #list end -- what it has is its own affair
  local length, count = 0, 0
  while list[length + 1] ~= nil do length = length + 1 end
  for key in next, list do
    if math.type(key) == "integer" and key > 0 then count = count + 1 end
  end
  if count == length then return length end
  error(("bad argument to map (the list has %d elements, and none at %d)"):format(count, length + 1), 3)
end

--- Calls a function with each element of a list, several at a time.
-- @function catalog.map
-- @tparam table list without holes
-- @tparam function body is given an element and its index; returns a value, or nil and an error
-- @tparam ?table given
-- @tparam[opt=4] integer given.parallel how many at a time
-- @treturn[1] table the values, each at the index of its element
-- @treturn[2] nil
-- @treturn[2] table the first error there was
-- @treturn[2] table the values; `{ error = err }` in the place of one that is none
-- @raise the list has holes; what a call raised, when the others, which it cancels, are over
function tasks.map(list, body, given)
  if type(list) ~= "table" then error("bad argument to map (a list expected, got " .. type(list) .. ")", 2) end
  options.check({ body = body or false }, SCHEMA, "map", 2)
  local parallel = options.check(given, { parallel = "integer" }, "map", 2).parallel or PARALLEL
  if parallel < 1 then return failure("config", "parallel is %d; it must be 1 or more", parallel) end
  local length, index, values, first = length_of(list), 0, {}, nil
  local function work()
    while index < length do
      index = index + 1
      local i, value, err = index, nil, scheduler.cancelled()
      if not err then value, err = body(list[i], i) end
      if value == nil and err ~= nil then
        value = { error = err }
        first = first or value
      end
      values[i] = value
    end
  end
  local group <close> = Group.new "open"
  for _ = 1, math.min(parallel, length) do scheduler.begin(group:new_task(work)) end
  local fine, err = group:wait()
  if not fine then return nil, err, values end
  if first then return nil, first.error, values end
  return values
end

return tasks
