--- Tasks and the groups they are part of. A task is a coroutine of ours; who begins a group waits for it, and nothing
-- of it outlives that.
-- @module catalog.scheduler.group
local core = require "catalog.core"
local hosts = require "catalog.scheduler.hosts"
local scheduler = require "catalog.scheduler.scheduler"

--- A function that runs beside others. `catalog.spawn` makes one.
-- @table catalog.task
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
local function run(task)
  local results = table.pack(xpcall(task.body, explain, table.unpack(task.given, 1, task.given.n)))
  if results[1] then task.results = results else task.raised, task.has_raised = results[2], true end
end

-- Groups that nobody has to wait for, and so nobody else may hold.
local detached = {} -- luacheck: ignore 241

--- A group.
-- @tparam ?string kind `open`: it takes what is spawned within it; `detached`: it goes on though nobody waits for it
-- @tparam[opt] integer limit how many tasks at the most do its jobs
-- @treturn table `active` (how many tasks are not done), `failure` (the error of the first job that failed)
function Group.new(kind, limit)
  return setmetatable({
    open = kind == "open", detached = kind == "detached", limit = limit or 0, tasks = {}, active = 0, jobs = {},
    cancelled = false, failure = nil, fault = false, operation = false, begun = false, parent = false,
    loop = false, watch = false, process = scheduler.process(),
  }, Group)
end

--- Adds a task, which `scheduler.begin` begins.
-- @tparam function body
-- @param ... its arguments
-- @treturn catalog.task
function Group:new_task(body, ...)
  local task = setmetatable({
    group = self, body = body, given = table.pack(...), thread = coroutine.create(run), operation = false,
    waiters = false, next = false, done = false, cancelled = self.cancelled, awaited = false, results = false,
    transferring = false, raised = nil, has_raised = false,
  }, Task)
  scheduler.task_of[task.thread] = task
  self.tasks[task] = true
  if self.detached then detached[self] = true end
  self.active = self.active + 1
  return task
end

-- Wakes who waits for the group, when there is something to wake for.
function Group:notify()
  local is_over = self.active == 0 or self.begun and #self.jobs == 0
  if is_over and self.operation then scheduler.complete(self.operation) end
end

--- Takes note that a task is done. The first that raised cancels its siblings.
-- @tparam catalog.task task
function Group:note_done(task)
  task.done = true
  self.tasks[task] = nil
  self.active = self.active - 1
  if task.has_raised and not self.fault then
    self.fault = task
    self:cancel()
  end
  local operation = task.waiters
  while operation do
    scheduler.complete(operation)
    operation = operation.next
  end
  self:notify()
  if self.active > 0 or not self.detached then return end
  detached[self] = nil
  local is_awaited = task.awaited or self.limit > 0 -- of jobs it is the group
  hosts.release(self, task.has_raised and not is_awaited and task)
end

--- Cancels all tasks: what they wait for ends at once, and no job is begun any more.
function Group:cancel()
  self.cancelled, self.jobs = true, {}
  for task in pairs(self.tasks) do scheduler.cancel(task) end
end

-- A task that does one job after another. A job that fails lets those that have begun go on, and no other begin.
local function work(group)
  while #group.jobs > 0 do
    local job = table.remove(group.jobs)
    group:notify()
    local ok, err = job()
    if ok == nil and not group.failure then group.failure, group.jobs = err, {} end
  end
end

--- Adds a job. Those that were added last are begun first: the parts of a file before the next file.
-- @tparam function job gives something, or nil and an error
-- @tparam[opt] integer count how often it is to be done (default 1)
function Group:add(job, count)
  if self.cancelled or self.failure then return end
  count = count or 1
  for _ = 1, count do self.jobs[#self.jobs + 1] = job end
  for _ = 1, math.min(count, self.limit - self.active) do
    scheduler.begin(self:new_task(work, self))
  end
end

-- --- waiting ---

--- Ends all tasks, and returns when they are done: who leaves a group in the middle ends it. Those of another process
-- are left alone.
function Group:abandon()
  if self.active == 0 or self.process ~= scheduler.process() then return end
  self.operation = false
  self:cancel()
  scheduler.settle()
  -- what cannot go on, since it waits for somebody else than us, or is below on the stack
  for task in pairs(self.tasks) do
    if coroutine.status(task.thread) == "suspended" then scheduler.close(task) end
  end
end

Group.__close = Group.abandon

--- Waits until all tasks are done.
-- @tparam ?boolean begun true: until all jobs have begun
-- @tparam ?number seconds how long to wait at the most
-- @treturn[1] boolean true; false: the time is over
-- @treturn[2] nil
-- @treturn[2] table the error of the first job that failed, when all that had begun are over; of kind `cancelled` where
--   the group is another process's
-- @raise what a task raised, with its traceback, when all others, which it cancelled, are done
function Group:wait(begun, seconds)
  local task, process = scheduler.current_task(), scheduler.process() -- it may have forked
  if task and task.group.process ~= process then self.process = false end -- what a task left behind begins
  self.parent, self.begun = task or false, begun or false
  while self.active > 0 and scheduler.is_own(self.process)
    and (not begun or self.failure or self.fault or #self.jobs > 0) do
    local stopped = scheduler.cancelled()
    if stopped then self:cancel() end
    self.operation = scheduler.new_operation(false, self)
    if seconds and not stopped then scheduler.add_timer(self.operation, seconds) end
    scheduler.await(self.operation)
    if seconds and not scheduler.cancelled() then return false end
  end
  if not scheduler.is_own(self.process) then return nil, scheduler.left_behind() end
  if self.fault then error(self.fault.raised, 0) end
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

-- Whether a task, or one of a group, goes on only after another; or, in place, after what stands above it on the stack.
local function goes_on_after(target, other, in_place, seen)
  if target == other or in_place and target.thread and coroutine.status(target.thread) == "normal" then return true end
  if seen[target] or target.done then return false end
  seen[target] = true
  local awaited = target.operation and target.operation.target -- of a group: what its tasks are waited for by
  for task in pairs(target.tasks or awaited and { [awaited] = true } or {}) do
    if goes_on_after(task, other, in_place, seen) then return true end
  end
  return false
end

--- Whether the task goes on only after what runs: that is part of it, was called by it, or is what it waits for.
-- @function catalog.task:is_around
-- @local
-- @treturn boolean
function Task:is_around()
  local me = scheduler.current_task()
  return goes_on_after(self, me, not (me and coroutine.isyieldable()), {})
end

--- Waits until the task is done.
-- @function catalog.task:wait
-- @local
-- @tparam ?number seconds how long to wait at the most
-- @tparam ?table loop an adapter, where the task knows none
-- @tparam ?table owner whose call this is: `scheduler.interrupt(owner)` ends it
function Task:wait(seconds, loop, owner)
  if self:is_around() then
    error("a task cannot await itself, nor one that awaits it or is below it on the same stack", 3)
  end
  self.awaited = true
  if self.done or self.group.process ~= scheduler.process() or scheduler.cancelled() then return end
  local operation = scheduler.new_operation(loop, self)
  operation.next, self.waiters = self.waiters, operation
  if seconds then scheduler.add_timer(operation, seconds, owner) end
  scheduler.await(operation)
end

--- Waits until the task is done.
-- @function catalog.task:await
-- @return what its function returned; or nil and an error of kind `cancelled`
-- @raise the task awaits itself; what it raised, where no `run` or `map` raises that
function Task:await()
  self:wait()
  if self.has_raised and not self.group.open then error(self.raised, 0) end
  if self.results then return table.unpack(self.results, 2, self.results.n) end
  if not scheduler.is_own(self.group.process) then return nil, scheduler.left_behind() end
  return nil, scheduler.cancelled()
    or core.failure.new { kind = "cancelled", message = "the task did not come to its end" }
end

--- Ends the task: what it waits for ends at once, with an error of kind `cancelled`, and so does each further call it
-- makes. A batch it was filling is left to be abandoned by the service.
-- @function catalog.task:cancel
function Task:cancel()
  if self.done or self.group.process ~= scheduler.process() then return end
  scheduler.cancel(self)
  if scheduler.queue.depth == 0 then scheduler.settle() end
end

Task.__close = Task.cancel

function Task:__tostring()
  return ("catalog.task (%s)"):format(self.done and "over" or self.cancelled and "cancelled" or "under way")
end

return Group
