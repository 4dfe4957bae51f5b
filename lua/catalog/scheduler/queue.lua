--- The tasks that are ready, in a queue, and the coroutines they run in.
-- @module catalog.scheduler.queue
local queue = {
  first = false, last = false, count = 0, -- the tasks that are ready, linked by `next`
  depth = 0, -- how many tasks are being resumed, one within the other
  process = nil, -- the process whose tasks they are, as of `scheduler.process`
  task_of = setmetatable({}, { __mode = "k" }), -- thread -> task
}

local resume <const>, yield <const> = coroutine.resume, coroutine.yield
local task_of <const> = queue.task_of

-- What a task yields, to tell a wait and its end from a yield that is meant for somebody else.
local WAIT <const>, DONE <const> = {}, {}

-- Coroutines whose tasks are done are kept for other tasks, so many.
local MOST_IDLE <const> = 64
local idle, idle_count = {}, 0
for i = 1, MOST_IDLE do idle[i] = false end

--- Lets the running task wait.
function queue.wait() yield(WAIT) end

--- Adds a task. It needs no memory.
-- @tparam table task
function queue.add(task)
  if queue.last then queue.last.next = task else queue.first = task end
  queue.last, queue.count = task, queue.count + 1
end

--- Forgets the tasks that are ready: they are another process's.
-- @tparam userdata process of this process
function queue.clear(process)
  queue.first, queue.last, queue.count, queue.process = false, false, 0, process
end

-- The coroutine of one task after another.
local function serve(task)
  task:run()
  return serve(yield(DONE))
end

--- Gives a task its coroutine.
-- @tparam table task
-- @treturn thread
function queue.take_thread(task)
  local thread = idle_count > 0 and idle[idle_count] or coroutine.create(serve)
  task_of[thread] = task
  if idle_count > 0 then
    idle[idle_count] = false
    idle_count = idle_count - 1
  end
  return thread
end

local function keep_thread(thread)
  task_of[thread] = nil
  if idle_count == MOST_IDLE then return coroutine.close(thread) end
  idle_count = idle_count + 1
  idle[idle_count] = thread
end

local FOREIGN <const> = "a task yielded to something else than this module's scheduler: within run, map and spawn, wait"
  .. " only by calls of this module, or call the loop's own waits in a coroutine of the loop"

--- Closes the coroutine of a task, which is over then.
-- @tparam table task
function queue.close(task)
  coroutine.close(task.thread)
  task.group:note_end(task)
end

--- Lets a task go on until it waits or is done.
-- @tparam table task
function queue.resume(task)
  if task.over or task.group.process ~= queue.process then return end -- it was closed, or is another process's
  local thread = task.thread
  queue.depth = queue.depth + 1
  local alive, mark = resume(thread, task)
  queue.depth = queue.depth - 1
  if mark == WAIT then return end
  if mark == DONE and alive then
    task.group:note_end(task)
    keep_thread(thread)
  else
    if alive then mark = debug.traceback(thread, FOREIGN) end
    task.raised, task.has_raised = mark, true
    queue.close(task)
  end
end

--- Resumes the tasks that are ready now; those that become so meanwhile have the next turn.
function queue.run()
  for _ = 1, queue.count do
    local task = queue.first
    if not task then return end -- a task has turned the scheduler
    queue.first, queue.count = task.next, queue.count - 1
    if not queue.first then queue.last = false end
    task.next = false
    queue.resume(task)
  end
end

return queue
