--- The one place that waits. A Lua state has one scheduler: a queue of tasks that are ready, a heap of timers, the
-- engine.
--
-- An *operation* is what one `await` waits for: a transfer, a timer, the end of a task or of a group. It is over once.
-- A *task* (`catalog.scheduler.group`) is a coroutine of ours. `await` waits in one of three ways: a task yields to the
-- scheduler; a coroutine of a host's loop is suspended by the loop's adapter (`catalog.loop`); elsewhere the scheduler
-- is turned until the operation is over. Whoever turns the scheduler turns it for all.
-- @module catalog.scheduler.scheduler
local core = require "catalog.core"
local hosts = require "catalog.scheduler.hosts"
local new_timers = require "catalog.scheduler.timers"

local scheduler = {}

local get_engine <const>, monotonic <const> = core.engine.get, core.system.monotonic
local isyieldable <const>, running <const> = coroutine.isyieldable, coroutine.running
local resume <const>, yield <const> = coroutine.resume, coroutine.yield

-- How long a step may wait, in seconds. It ends as soon as anything is done.
local FOREVER <const> = 3600

-- So many tasks may resume one another; each takes some of Lua's limit of nested C calls.
local DEEPEST <const> = 60

-- How many transfers one step may end.
local MOST_FINISHED <const> = 64

local KEYS <const> = { __mode = "k" }

-- What a task yields, to tell a wait from a yield that is meant for somebody else.
local WAIT <const> = {}

local task_of = setmetatable({}, KEYS) -- thread -> task
scheduler.task_of = task_of
-- The tasks that are ready, linked by `next`; and how many tasks are being resumed, one within the other.
local queue = { first = false, last = false, count = 0, depth = 0 }
scheduler.queue = queue
-- The operation that waits for a transfer; and the heap. A fork makes others.
local operation_of, timers = setmetatable({}, KEYS), new_timers()
local finished = {} -- transfers that a step has ended; there is room for so many
for i = 1, MOST_FINISHED do finished[i] = false end

local process -- the engine, which tells this process from others: a forked child has another
local any_stopped = false -- whether a task was ever cancelled, or left behind by a fork: most programs do neither

local armed, awake -- what the engine was told: the next deadline, and whether the descriptor is to be readable at once

-- --- the engine ---

-- One engine a state, and after a fork another. What waits then belongs to the process that this one was forked from.
local function engine()
  local found, err = get_engine()
  if found == process then return found end
  if not found then error(err, 0) end
  operation_of, timers = setmetatable({}, KEYS), new_timers()
  process, any_stopped = found, process ~= nil
  queue.first, queue.last, queue.count = false, false, 0
  hosts.leave_behind()
  return found
end

--- What tells this process from the one that it was forked from.
-- @function scheduler.process
-- @treturn userdata
scheduler.process = engine

--- Whether something was made by this process, as far as is known: `scheduler.process` looks.
-- @tparam userdata of its process
-- @treturn boolean
function scheduler.is_own(of) return of == process end

--- The error of what belongs to another process.
-- @treturn table of kind `cancelled`
function scheduler.left_behind()
  return core.failure.new { kind = "cancelled", message = "this belongs to the process that this one was forked from,"
    .. " which goes on with it; make it anew here" }
end

-- Makes the descriptor what the loops need: it is readable while there is something to do for one of them.
local function arm(of)
  of = of or engine()
  awake = queue.first and true or hosts.owing and hosts.is_shown(timers)
  armed = timers[1] and timers[1].deadline
  of:set_timer(armed)
  of:wake(awake)
end

-- --- tasks ---

-- A task is ready to go on. It needs no memory.
local function add(task)
  if queue.last then queue.last.next = task else queue.first = task end
  queue.last, queue.count = task, queue.count + 1
end

--- Closes the coroutine of a task, which is done then.
-- @tparam table task
function scheduler.close(task)
  coroutine.close(task.thread)
  task.group:note_done(task)
end

local FOREIGN <const> = "a task yielded to something else than this module's scheduler: within run, map and spawn, wait"
  .. " only by calls of this module, or call the loop's own waits in a coroutine of the loop"

-- Lets a task go on until it waits or is done; one that is ready is the first.
local function go_on(task, ready)
  isyieldable() -- where there is no memory for such a call, nothing has been changed when it raises
  if ready then
    queue.first, queue.count = task.next, queue.count - 1
    if not queue.first then queue.last = false end
    task.next = false
  end
  if task.done or task.group.process ~= process then return end -- it was closed, or is another process's
  local thread = task.thread
  queue.depth = queue.depth + 1
  local fine, mark = resume(thread, task)
  queue.depth = queue.depth - 1
  if mark == WAIT then return end
  if fine and coroutine.status(thread) == "suspended" then fine, mark = false, debug.traceback(thread, FOREIGN) end
  if not fine then task.raised, task.has_raised = mark, true end
  scheduler.close(task)
end

-- Resumes the tasks that are ready now; those that become so meanwhile have the next turn.
local function run_ready()
  for _ = 1, queue.count do
    local task = queue.first
    if not task then return end -- a task has turned the scheduler
    go_on(task, true)
  end
end

--- Lets a task begin: at once, or in its turn where that would nest too many.
-- @tparam table task
-- @tparam ?boolean at_once true: also within a task
function scheduler.begin(task, at_once)
  if queue.depth == 0 or at_once and queue.depth < DEEPEST then go_on(task) else add(task) end
  if queue.depth == 0 then arm() end
end

--- Resumes the tasks that were woken outside of a turn.
function scheduler.settle()
  while queue.first do run_ready() end
  arm()
end

--- The task that runs, or nil.
-- @treturn ?table
function scheduler.current_task() return task_of[running()] end

-- --- operations ---

--- Says that an operation is over, which wakes who waits for it. It needs no memory.
-- @tparam table operation
function scheduler.complete(operation)
  if operation.over then return end
  operation.over = true
  if operation.timer then timers:remove(operation.timer) end
  if operation.task then add(operation.task) else hosts.wake(operation) end
end
local complete <const> = scheduler.complete

local function note_done(transfer)
  local operation = operation_of[transfer]
  operation_of[transfer] = nil
  if operation then complete(operation) end
end

-- Resumes the tasks that are ready; one of them may have forked.
local function run_tasks()
  run_ready()
  return engine()
end

-- One turn: the engine works, what is over is noted, and the tasks that are ready are resumed.
local function turn(seconds, with_tasks)
  local of = engine()
  for i = 1, of:step(seconds, finished) do
    local transfer = finished[i]
    finished[i] = false
    note_done(transfer)
  end
  while timers.count > 0 do
    local operation = timers:expired(monotonic())
    if not operation then break end
    if operation ~= true then complete(operation) end
  end
  if with_tasks and queue.first then of = run_tasks() end
  arm(of)
end

hosts.engine, hosts.arm, hosts.turn = engine, arm, turn

--- Lets everything go on without waiting. Tasks are resumed unless this is called by one.
function scheduler.poke() turn(0, queue.depth == 0) end

-- --- waiting ---

local STUCK <const> = "this would wait for ever: what it waits for is below it on the same stack, or waits for it"

-- Turns the scheduler once, in place. Tasks are resumed outside of tasks, and where one is waited for: elsewhere their
-- stacks would grow into one another.
local function turn_here(operation)
  local with_tasks, began = queue.depth == 0 or operation.target, process
  if queue.depth > DEEPEST then error("calls that cannot yield are nested too deep", 0) end
  if with_tasks and queue.first then run_tasks() end
  if operation.over or began ~= process then return end
  if not operation.transfer and not queue.first and timers.count == 0 and engine():idle() then error(STUCK, 0) end
  turn(with_tasks and queue.first and 0 or FOREVER, with_tasks)
end

-- The groups that a task is part of learn the loop it waits in.
local function learn_loop(group, loop)
  while group and group.loop ~= loop do
    group.loop = loop
    if group.detached then hosts.keep_watched(group, loop) end
    group = group.parent and group.parent.group
  end
end

--- Waits until an operation is over, or was left behind by a fork.
-- @tparam table operation of `scheduler.new_operation`
function scheduler.await(operation)
  local task = task_of[running()]
  local owner = task and task.group.process or process
  if task then task.operation = operation end
  while not operation.over and owner == process do
    local target = operation.target
    local loop = operation.loop or target and (target.group or target).loop
    if task and isyieldable() then
      operation.task = task
      if loop then learn_loop(task.group, loop) end
      yield(WAIT)
    elseif not (loop and queue.depth == 0 and isyieldable() and hosts.wait(loop, operation)) then
      turn_here(operation)
    end
  end
  if task then task.operation = false end
end
local await <const> = scheduler.await

--- An operation that nothing has begun.
-- @tparam ?table loop the adapter of the client
-- @tparam ?table target the task or the group that is waited for
-- @treturn table
local function new_operation(loop, target)
  return {
    over = false, loop = loop or false, target = target or false, task = false, thread = false, watch = false,
    timer = false, transfer = false, owner = false, next = false,
  }
end
scheduler.new_operation = new_operation

--- Lets an operation be over after some seconds at the latest.
-- @tparam table operation
-- @tparam number seconds
-- @tparam ?table owner whose call this is: `scheduler.interrupt(owner)` ends it
function scheduler.add_timer(operation, seconds, owner)
  local of = engine() -- after a fork that makes another heap
  operation.owner = owner or false
  operation.timer = timers:add(operation, monotonic() + seconds)
  arm(of)
end

--- Cancels a task: what it waits for ends at once, and so does each further call it makes.
-- @tparam table task
function scheduler.cancel(task)
  task.cancelled, any_stopped = true, true
  if task.operation then complete(task.operation) end
end

--- Whether what runs is a task that was cancelled, or that another process has begun.
-- @treturn[1] nil it is not
-- @treturn[2] table error of kind `cancelled`
function scheduler.cancelled()
  if not any_stopped then return nil end
  local task = task_of[running()]
  if task and task.group.process ~= process then return scheduler.left_behind() end
  if task and task.cancelled then
    return core.failure.new { kind = "cancelled", message = "the task was cancelled" }
  end
end
local cancelled <const> = scheduler.cancelled

-- An operation for a transfer. A task has one for all of its transfers: when such a wait ends, nobody else holds it.
local function operation_for(loop)
  local task = task_of[running()]
  if not task then return new_operation(loop) end
  local operation = task.transferring or new_operation(false)
  task.transferring = operation
  operation.over, operation.task, operation.loop = false, false, loop or false
  return operation
end

-- Most calls of most programs: outside of tasks and loops.
local function turn_until_done(transfer)
  local began = process
  while true do
    -- whether this transfer is all that is waited for
    local is_all = not (queue.first or armed or awake or next(operation_of))
    if is_all and transfer:wait() or transfer:done() then return true end
    turn(queue.first and 0 or FOREVER, queue.depth == 0)
    if began ~= process then return nil, scheduler.left_behind() end
  end
end

--- Waits for a transfer, which goes on with all others of the engine.
-- @tparam transfer transfer one in flight
-- @tparam ?table loop the adapter of the client
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `cancelled`
function scheduler.transfer(transfer, loop)
  if not loop and (queue.depth == 0 or not task_of[running()]) then return turn_until_done(transfer) end
  if transfer:done() then return true end
  local operation = operation_for(loop)
  operation.transfer = transfer
  operation_of[transfer] = operation
  await(operation)
  operation.transfer = false
  if transfer:done() then return true end
  operation_of[transfer] = nil
  return nil, cancelled() or scheduler.left_behind()
end

--- Lets some time pass, in which everything else goes on.
-- @tparam number seconds
-- @tparam ?table loop the adapter of the client
-- @tparam ?table owner whose call this is: `scheduler.interrupt(owner)` ends it
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `cancelled`
function scheduler.sleep(seconds, loop, owner)
  if seconds <= 0 or owner and owner.closed then return true end
  local err = cancelled()
  if err then return nil, err end
  local operation = new_operation(loop)
  scheduler.add_timer(operation, seconds, owner)
  await(operation)
  err = cancelled() or not operation.over and scheduler.left_behind()
  if err then return nil, err end
  return true
end

--- Ends the waits of an owner: those that have a timer, and those of its transfers, which it has ended.
-- @tparam table owner
function scheduler.interrupt(owner)
  for _, timer in ipairs(table.move(timers, 1, timers.count, 1, {})) do
    local operation = timer.operation
    if operation and operation.owner == owner then complete(operation) end
  end
  local of = engine()
  for transfer in of.next_completed, of do note_done(transfer) end
  arm(of)
end

return scheduler
