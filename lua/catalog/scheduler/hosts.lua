--- How coroutines of hosts' loops wait: the loop calls us when the descriptor is readable, and we say who goes on.
-- `catalog.loop` has the contract of the adapters.
-- @module catalog.scheduler.hosts
local core = require "catalog.core"

-- `engine()`, `arm()` and `turn(seconds, with_tasks)` are the scheduler's. `owing`: somebody may be to come back.
local hosts = { owing = false }

local monotonic <const>, running <const> = core.system.monotonic, coroutine.running

-- How long the holder waits on the descriptor at the most, in seconds: it is readable when there is something to do.
local FOREVER <const> = 3600

-- How long a coroutine pauses where another waits on the descriptor, in seconds.
local PAUSE <const> = 0.01

-- How long the descriptor is kept readable for who is to come back; and how often, and for how long, from then on, in
-- seconds: one whose loop does not turn must not let another's spin.
local SHOWN <const>, SHOWN_AGAIN <const>, MOMENT <const> = 0.1, 0.02, 0.002

local KEYS <const> = { __mode = "k" }

local watches = setmetatable({}, KEYS) -- key of a loop -> its watch
local holder = setmetatable({}, { __mode = "v" }) -- `thread` waits on the descriptor, where there is only `wait`
local returning = false -- the operation of the holder is over, and the holder has not come back
local shown_until, reminder = 0, nil -- until when the descriptor is readable for these; when it is so again

-- Whether somebody is to come back: the holder, or a watch that is to be called to end.
local function is_awaited()
  if returning and holder.thread then return true end
  for _, watch in next, watches do
    if watch.ending then return true end
  end
  return false
end

--- Whether the descriptor is to be readable for who is to come back.
-- @tparam table timers the scheduler's
-- @treturn boolean
function hosts.is_shown(timers)
  if not is_awaited() then
    hosts.owing = false
    if reminder then timers:remove(reminder.timer) end
    reminder = nil
    return false
  end
  local now = monotonic()
  if now < shown_until then return true end
  if not reminder or reminder.over then
    reminder = { over = false }
    reminder.timer = timers:add(reminder, now + SHOWN_AGAIN)
  end
  return false
end

-- Somebody is to come back.
local function show()
  hosts.owing, shown_until = true, monotonic() + SHOWN
  hosts.arm()
end

-- A watch that nobody needs is called once more, to end; or it is stopped at once.
local function end_watch(watch)
  local has_faults = watch.faults[1] ~= nil
  if watch.calling or next(watch.held) and not has_faults then return end
  if watch.stop and not has_faults then
    watches[watch.key] = nil
    local fine, message = pcall(watch.stop)
    if not fine then warn("catalog: the loop's adapter failed: ", tostring(message)) end
  elseif not watch.ending then
    watch.ending = true
    show()
  end
end

-- A fault of one's adapter is not another's.
local function resume_host(operation)
  local watch, thread = operation.watch, operation.thread
  operation.thread = false
  watch.held[operation] = nil
  local fine, message = pcall(watch.loop.resume, thread)
  if not fine then warn("catalog: the loop's adapter failed: ", tostring(message)) end
  end_watch(watch)
end

--- Wakes who waits for an operation, if that is a host's coroutine.
-- @tparam table operation one that is over
function hosts.wake(operation)
  if operation.thread then
    resume_host(operation)
  elseif operation == holder.operation then
    returning = true
    show()
  elseif operation == reminder then
    shown_until = monotonic() + MOMENT
  end
end

--- The loop that runs here.
-- @tparam table loop an adapter
-- @return its key, or nil where this loop does not run
-- @treturn boolean whether it can suspend the running coroutine
function hosts.key_of(loop)
  if not loop.current then return loop, true end
  local key, own = loop.current()
  return key, own ~= false
end

local watch_of

-- What nobody awaits is raised to the loop, which may end the watch: it begins anew before.
local function raise(watch, message)
  watches[watch.key] = nil
  if next(watch.held) or watch.faults[1] then
    local other = watch_of(watch.loop, watch.key)
    other.held, other.faults = watch.held, watch.faults
    for thing in pairs(other.held) do thing.watch = other end
  end
  error(message, 0)
end

-- What a loop calls when the descriptor is readable. False: nobody needs that any more.
local function on_readable(watch)
  hosts.engine()
  if watches[watch.key] ~= watch then return false end
  watch.calling = true
  local fine, message = pcall(hosts.turn, 0, true)
  watch.calling = false
  if watch.ending then
    watch.ending = false
    hosts.arm()
  end
  if not fine then return raise(watch, message) end
  local fault = table.remove(watch.faults, 1)
  if fault then return raise(watch, fault.raised) end
  if next(watch.held) then return true end
  watches[watch.key] = nil
  return false
end

-- The watch of a loop, which calls us for as long as somebody waits there. It holds who waits: a loop may not.
function watch_of(loop, key)
  local watch = watches[key]
  if watch then return watch end
  watch = { loop = loop, key = key, held = {}, faults = {}, calling = false, ending = false }
  watches[key] = watch
  local fine, stop = pcall(loop.watch, hosts.engine():fd(), function() return on_readable(watch) end)
  if not fine then
    watches[key] = nil
    error(stop, 0)
  end
  watch.stop = stop
  return watch
end

-- Groups that nobody has to wait for, and so nobody else may hold.
local detached = {} -- luacheck: ignore 241

--- Keeps a group alive until it is over.
-- @tparam table group
function hosts.hold(group) detached[group] = true end

--- Keeps a loop turning the scheduler until a group is over.
-- @tparam table group
-- @tparam table loop an adapter
function hosts.keep_watched(group, loop)
  local key = loop.watch and hosts.key_of(loop)
  if not key or group.watch or group.active == 0 then return end
  group.watch = watch_of(loop, key)
  group.watch.held[group] = true
end

--- Says that a group that was held is over.
-- @tparam table group
-- @tparam ?table fault a task that has raised something which is for the loop
function hosts.release(group, fault)
  detached[group] = nil
  local watch = group.watch
  if not watch then return end
  group.watch = false
  if fault then table.insert(watch.faults, fault) end
  watch.held[group] = nil
  end_watch(watch)
end

-- A coroutine leaves its loop's watch, however its wait ends.
local Suspended = {}

function Suspended.__close(operation)
  if not operation.thread then return end
  operation.thread = false
  operation.watch.held[operation] = nil
  end_watch(operation.watch)
end

--- Suspends the running coroutine once, until its operation is over.
-- @tparam table loop an adapter
-- @param key of the loop
-- @tparam table operation
function hosts.suspend(loop, key, operation)
  local watch = watch_of(loop, key)
  watch.held[operation] = true
  operation.watch, operation.thread = watch, running()
  local _ <close> = setmetatable(operation, Suspended)
  loop.suspend()
end

-- The one that waits on the descriptor has come back, however.
local Holding = {}

function Holding:__close()
  if holder.thread ~= self.thread then return end
  holder.thread, holder.operation, returning = nil, nil, false
end

--- Pauses once in a loop that has only `wait`. Most such hosts take a descriptor once, so one coroutine is given it.
-- @tparam table loop an adapter
-- @tparam table operation
function hosts.pause(loop, operation)
  if holder.thread then
    loop.wait(nil, PAUSE)
  else
    holder.thread, holder.operation = running(), operation
    local _ <close> = setmetatable({ thread = holder.thread }, Holding)
    loop.wait(hosts.engine():fd(), FOREVER)
  end
  hosts.turn(0, true)
end

--- Forgets who waits, after a fork: they belong to another process, and are told by their loops.
function hosts.leave_behind()
  local old = watches
  watches = setmetatable({}, KEYS)
  holder.thread, holder.operation, returning, reminder = nil, nil, false, nil
  for _, watch in pairs(old) do
    for thing in pairs(watch.held) do
      if thing.thread then pcall(watch.loop.resume, thing.thread) end
      thing.thread = false
    end
  end
end

return hosts
