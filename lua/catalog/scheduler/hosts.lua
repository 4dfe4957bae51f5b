--- How coroutines of hosts' loops wait: the loop calls us when the descriptor is readable, and we say who goes on.
-- `catalog.loop` has the contract of the adapters.
-- @module catalog.scheduler.hosts
local core = require "catalog.core"

-- `engine()`, `arm()` and `turn(seconds, with_tasks)` are the scheduler's. `owing`: somebody may be to come back.
local hosts = { owing = false }

local monotonic <const> = core.system.monotonic

-- How long the holder waits on the descriptor at the most, in seconds: it is readable when there is something to do.
local FOREVER <const> = 3600

-- How long a coroutine pauses where another waits on the descriptor, in seconds.
local PAUSE <const> = 0.01

-- How long the descriptor is kept readable for who is to come back; and how often, and for how long, from then on, in
-- seconds: one whose loop does not turn must not let another's spin.
local SHOWN <const>, SHOWN_AGAIN <const>, MOMENT <const> = 0.1, 0.02, 0.002

local KEYS <const> = { __mode = "k" }

local watches = setmetatable({}, KEYS) -- key of a loop -> its watch
local holder = setmetatable({}, { __mode = "v" }) -- `operation`: who waits for it has the descriptor, by `wait` alone
local shown_until, reminder = 0, { over = true } -- until when the descriptor is readable; when it is so again

--- Whether the descriptor is to be readable for who is to come back: the holder, or a loop whose watch has a fault to
-- raise, or nothing to do.
-- @tparam table timers the scheduler's
-- @treturn boolean
function hosts.is_shown(timers)
  local owing, now = holder.operation ~= nil and holder.operation.over, monotonic()
  for _, watch in next, watches do owing = owing or watch.called or watch.fault end
  hosts.owing = owing and true
  if owing and now >= shown_until and reminder.over then
    timers:add(reminder, now + SHOWN_AGAIN)
    reminder.over = false
  end
  return hosts.owing and now < shown_until
end

-- Somebody is to come back.
local function show()
  hosts.owing, shown_until = true, monotonic() + SHOWN
  hosts.arm()
end

-- A fault of one's adapter is not another's.
local function call(adapted, ...)
  local fine, message = pcall(adapted, ...)
  if not fine then warn("catalog: the loop's adapter failed: ", tostring(message)) end
end

-- A watch that nobody needs is stopped at once, or is called once more to end; one with a fault is called to raise it.
local function leave(old, thing)
  old.held[thing] = nil
  local watch = watches[old.key] -- it may have begun anew
  if not watch or watch.calling or next(watch.held) and not watch.fault then return end
  if not watch.stop or watch.fault then
    watch.called = true
    return show()
  end
  watches[watch.key] = nil
  call(watch.stop)
end

--- Wakes who waits for an operation, if that is a host's coroutine.
-- @tparam table operation one that is over
function hosts.wake(operation)
  local thread = operation.thread
  if thread then
    operation.thread = false
    call(operation.watch.loop.resume, thread)
    leave(operation.watch, operation)
  elseif operation == holder.operation then
    show()
  elseif operation == reminder then
    shown_until = monotonic() + MOMENT
  end
end

-- The key of the loop, or nil where it does not run; and whether it can suspend the running coroutine.
local function key_of(loop)
  if not loop.current then return loop, true end
  local key, own = loop.current()
  return key, own ~= false
end

local watch_of

-- What a loop calls when the descriptor is readable. False: nobody needs that any more. What nobody awaits is raised to
-- the loop, which may end the watch: it begins anew before.
local function on_readable(watch)
  hosts.engine()
  if watches[watch.key] ~= watch then return false end
  watch.calling, watch.called = true, false
  local fine, message = pcall(hosts.turn, 0, true)
  watch.calling = false
  local fault = fine and watch.fault
  if fault then fine, message, watch.fault = false, fault.raised, fault.next end
  if fine and next(watch.held) then return true end
  watches[watch.key] = nil
  if fine then return false end
  if next(watch.held) or watch.fault then
    local other = watch_of(watch.loop, watch.key)
    other.held, other.fault = watch.held, watch.fault
  end
  error(message, 0)
end

-- The watch of a loop, which calls us for as long as somebody waits there. It holds who waits: a loop may not.
function watch_of(loop, key)
  if watches[key] then return watches[key] end
  local watch = { loop = loop, key = key, held = {}, fault = false, calling = false, called = false }
  watch.stop = loop.watch(hosts.engine():fd(), function() return on_readable(watch) end)
  watches[key] = watch
  return watch
end

local function hold(thing, loop, key)
  thing.watch = watch_of(loop, key)
  thing.watch.held[thing] = true
end

--- Keeps a loop turning the scheduler until a group is over.
-- @tparam table group
-- @tparam table loop an adapter
function hosts.keep_watched(group, loop)
  local key = loop.watch and key_of(loop)
  if key and not group.watch and group.active > 0 then hold(group, loop, key) end
end

--- Says that a group is over whose loop may have been kept turning.
-- @tparam table group
-- @tparam ?table fault a task that has raised something which is for the loop
function hosts.release(group, fault)
  local watch = group.watch and watches[group.watch.key]
  group.watch = false
  if not watch then return end
  if fault then fault.next, watch.fault = watch.fault, fault end
  leave(watch, group)
end

-- A coroutine leaves its wait, however that ends.
local Wait = {}

function Wait.__close(operation)
  if holder.operation == operation then holder.operation = nil end
  if not operation.thread then return end
  operation.thread = false
  leave(operation.watch, operation)
end

--- Suspends the running coroutine once, until its operation is over; or lets it pause, in a loop that has only `wait`.
-- Most such hosts take a descriptor once, so one coroutine is given it.
-- @tparam table loop an adapter
-- @tparam table operation
-- @treturn boolean false where this loop does not run, or cannot suspend the coroutine
function hosts.wait(loop, operation)
  local key, own = key_of(loop)
  if not (key and own) then return false end
  local wait <close> = setmetatable(operation, Wait)
  if loop.watch then
    hold(operation, loop, key)
    operation.thread = coroutine.running()
    loop.suspend()
    return true
  end
  holder.operation = holder.operation or operation
  if holder.operation == operation then loop.wait(hosts.engine():fd(), FOREVER) else loop.wait(nil, PAUSE) end
  Wait.__close(wait) -- it has come back, as the turn is to know
  hosts.turn(0, true)
  return true
end

--- Forgets who waits, after a fork: they belong to another process, and are told by their loops.
function hosts.leave_behind()
  local old = watches
  watches, holder.operation, reminder.over = setmetatable({}, KEYS), nil, true
  for _, watch in pairs(old) do
    for thing in pairs(watch.held) do hosts.wake(thing) end
  end
end

return hosts
