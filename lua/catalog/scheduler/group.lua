--- Tasks and the groups they are part of. A task is a coroutine of ours; who begins a group waits for it, and nothing
-- of it outlives that.
-- @module catalog.scheduler.group
local core = require "catalog.core"
local hosts = require "catalog.scheduler.hosts"
local queue = require "catalog.scheduler.queue"
local scheduler = require "catalog.scheduler.scheduler"

-- How often a host hears of progress, in seconds.
local TICK <const> = 0.1

--- A function that runs beside others.
-- @type catalog.task
local Task = { __name = "catalog.task" }
Task.__index = Task

local Group = {}
Group.__index = Group

-- A fault of a program is told with the place where it was raised; an error that is a table is somebody's own.
local function explain(message)
  if type(message) ~= "string" or message:find("\nstack traceback:\n", 1, true) then return message end
  return debug.traceback(message, 2)
end

-- What a task's coroutine runs. The results are kept within it, where there may be no memory for them.
function Task:run()
  local results = table.pack(xpcall(self.body, explain, table.unpack(self.given, 1, self.given.n)))
  if results[1] then
    self.results = results
  else
    self.raised, self.has_raised = results[2], true
  end
end

--- A group.
-- @tparam[opt] integer limit how many of its tasks `add` begins
-- @treturn table `active` (how many tasks are not over), `failure` (the error of the first job that failed)
function Group.new(limit)
  return setmetatable({
    limit = limit or 0, tasks = {}, active = 0, sources = {}, cancelled = false, failure = nil, raised = nil,
    has_raised = false, operation = false, enough = false, parent = false, loop = false, watch = false,
    detached = false, open = false, process = scheduler.process(),
  }, Group)
end

--- Adds a task, which `scheduler.begin` begins.
-- @tparam function body
-- @param ... its arguments
-- @treturn catalog.task
function Group:new_task(body, ...)
  local task = setmetatable({
    group = self, body = body, given = table.pack(...), thread = false, operation = false, within = false,
    awaits = false, waiting = false, next = false, over = false, cancelled = self.cancelled, awaited = false,
    results = false, transferring = false, raised = nil, has_raised = false,
  }, Task)
  task.thread = queue.take_thread(task)
  self.tasks[task] = true
  self.active = self.active + 1
  if self.detached then hosts.hold(self) end
  return task
end

-- Wakes who waits for the group, when there is something to wake for.
function Group:notify()
  local operation = self.operation
  if operation and (self.active == 0 or self.enough and self.enough()) then scheduler.complete(operation) end
end

-- The first error cancels the siblings, and is raised when they are over.
function Group:note_raised(message)
  if self.has_raised then return end
  self.raised, self.has_raised = message, true
  self:cancel()
end

-- A task is over.
function Group:note_end(task)
  task.over = true
  self.tasks[task] = nil
  self.active = self.active - 1
  if task.has_raised then self:note_raised(task.raised) end
  local waiting = task.waiting
  task.waiting = false
  while waiting do
    scheduler.complete(waiting)
    waiting = waiting.next
  end
  self:notify()
  if self.active == 0 and self.detached then hosts.release(self, task.has_raised and not task.awaited and task) end
end

--- Cancels all tasks: what they wait for ends at once, and no job is begun any more.
function Group:cancel()
  self.cancelled, self.sources = true, {}
  for task in pairs(self.tasks) do task:interrupt() end
end

function Task:interrupt()
  self.cancelled = true
  scheduler.note_cancelling()
  if self.within then self.within:cancel() end
  if self.operation then scheduler.complete(self.operation) end
end

-- --- jobs ---

function Group:next_job()
  while #self.sources > 0 do
    local job, argument = self.sources[#self.sources]()
    if job then return job, argument end
    table.remove(self.sources)
  end
end

-- A task that does one job after another. A job that fails lets those that have begun go on, and no other begin.
local function work(group)
  for job, argument in group.next_job, group do
    local ok, err = job(argument)
    if ok == nil and not group.failure then group.failure, group.sources = err, {} end
    group:notify()
  end
end

--- Adds jobs for at most `limit` tasks. Those that were added last are begun first: the parts of a file before the next
-- file.
-- @tparam function source gives a job each time it is called, and its argument; nil when there are no more. A job is a
--   function that gives something, or nil and an error
-- @tparam integer count how many jobs there are at the least
function Group:add(source, count)
  if self.cancelled or self.failure then return end
  self.sources[#self.sources + 1] = source
  for _ = 1, math.min(count, self.limit - self.active) do
    local task = self:new_task(work, self)
    task.awaited = true -- what it raises is for who waits for the group
    scheduler.begin(task)
  end
end

--- Adds one job.
-- @tparam function job
function Group:add_one(job)
  local given = false
  self:add(function()
    if given then return nil end
    given = true
    return job
  end, 1)
end

-- --- waiting ---

--- Ends all tasks, and returns when they are over. Those of another process are left alone.
function Group:abandon()
  if self.process ~= scheduler.process() then return end
  self:cancel()
  scheduler.settle()
  -- what cannot go on, since it waits for somebody else than us, or is below on the stack
  for task in pairs(self.tasks) do
    if coroutine.status(task.thread) == "suspended" then queue.close(task) end
  end
end

-- Whether there is something to wait for.
local function goes_on(group, enough)
  if group.active == 0 or not scheduler.is_own(group.process) then return false end
  return not enough or group.failure or group.has_raised or not enough()
end

-- Who leaves a group in the middle ends it.
local Guard = {}

function Guard:__close()
  if not self.group then return end
  self.group:abandon()
  if self.task then self.task.within = false end
  self.group.operation = false
end

local function wait_once(group, enough, tick)
  local operation = scheduler.new_operation(false, group)
  group.operation, group.enough = operation, enough or false
  if tick then scheduler.add_timer(operation, TICK) end
  scheduler.await(operation)
  group.operation = false
  if tick and not scheduler.cancelled() then
    tick()
    scheduler.process() -- it may have forked
  end
end

--- Waits until all tasks are over.
-- @tparam ?function enough says whether that is enough already
-- @tparam ?function tick called about ten times a second, on the coroutine that waits
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table the error of the first job that failed, when all that had begun are over; of kind `cancelled` where
--   the group is another process's
-- @raise what a task raised, with its traceback, when all others, which it cancelled, are over
function Group:wait(enough, tick)
  if self.active > 0 then
    local task = scheduler.current_task()
    if task and not scheduler.is_own(task.group.process) then self.process = false end -- what a task left behind begins
    local guard <close> = setmetatable({ group = self, task = task }, Guard)
    self.parent = task or false
    if task then task.within = self end
    if scheduler.cancelled() then self:cancel() end
    while goes_on(self, enough) do wait_once(self, enough, tick) end
    if task then task.within = false end
    guard.group = nil
  end
  if not scheduler.is_own(self.process) then return nil, scheduler.left_behind() end
  if self.has_raised then error(self.raised, 0) end
  if self.failure then return nil, self.failure end
  return true
end

--- How many bytes of uploads under way have left.
-- @treturn integer
function Group:sent()
  local bytes = 0
  for task in pairs(self.tasks) do
    local transfer = task.operation and task.operation.transfer
    bytes = bytes + (transfer and transfer:sent() or 0)
  end
  return bytes
end

-- --- waiting for a task ---

-- What runs and what that is part of.
local function surrounding(task)
  local all = {}
  while task do
    all[task] = true
    task = task.group.parent
  end
  return all
end

-- Whether a task goes on only after one of some, or after what is above it on the same stack returns.
local function goes_on_after(task, some, stands, seen)
  if some[task] or stands and not task.over and coroutine.status(task.thread) == "normal" then return true end
  if seen[task] then return false end
  seen[task] = true
  if task.awaits and goes_on_after(task.awaits, some, stands, seen) then return true end
  for other in pairs(task.within and task.within.tasks or {}) do
    if goes_on_after(other, some, stands, seen) then return true end
  end
  return false
end

--- Whether what runs is part of the task, or was called by it, so that the task cannot go on before it.
-- @treturn boolean
function Task:is_around()
  return surrounding(scheduler.current_task())[self] or not self.over and coroutine.status(self.thread) == "normal"
end

--- Waits until the task is over.
-- @tparam ?number seconds how long to wait at the most
-- @tparam ?table loop an adapter, where the task knows none
-- @tparam ?table owner whose call this is: `scheduler.interrupt(owner)` deadline it
function Task:wait(seconds, loop, owner)
  local me = scheduler.current_task()
  if goes_on_after(self, surrounding(me), not (me and coroutine.isyieldable()), {}) then
    error("a task cannot await itself, nor one that awaits it or is below it on the same stack", 3)
  end
  self.awaited = true
  if self.over or self.group.process ~= scheduler.process() or scheduler.cancelled() then return end
  local operation = scheduler.new_operation(loop, self.group)
  operation.next, self.waiting = self.waiting, operation
  if seconds then scheduler.add_timer(operation, seconds, owner) end
  if me then me.awaits = self end
  scheduler.await(operation)
  if me then me.awaits = false end
end

--- Waits until the task is over.
-- @function catalog.task:await
-- @return what its function returned; or nil and an error of kind `cancelled`
-- @raise the task awaits itself; what it raised, where no `run` or `map` raises that
function Task:await()
  self:wait()
  if self.has_raised and not self.group.open then error(self.raised, 0) end
  local results = self.results
  if results then return table.unpack(results, 2, results.n) end
  if not scheduler.is_own(self.group.process) then return nil, scheduler.left_behind() end
  return nil, scheduler.cancelled()
    or core.failure.new { kind = "cancelled", message = "the task did not come to its end" }
end

--- Ends the task: what it waits for ends at once, with an error of kind `cancelled`, and so does each further call it
-- makes. A batch it was filling is left to be abandoned by the service.
-- @function catalog.task:cancel
function Task:cancel()
  if self.over or self.group.process ~= scheduler.process() then return end
  self:interrupt()
  if scheduler.is_outside() then scheduler.settle() end
end

Task.__close = Task.cancel

function Task:__tostring()
  return ("catalog.task (%s)"):format(self.over and "over" or self.cancelled and "cancelled" or "under way")
end

return Group
