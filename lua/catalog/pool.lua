--- A bounded number of jobs under way. Jobs are functions in plain sequential Lua, each in a coroutine of its own, a
-- task; where one waits the others go on.
-- @module catalog.pool
local await = require "catalog.await"

local Pool = {}
Pool.__index = Pool

-- How often a host hears of progress, in seconds.
local TICK <const> = 0.1

--- A pool.
-- @tparam integer width how many jobs are under way at the most
-- @tparam ?table loop the adapter of the client, if it has one; that of what its jobs wait for is learnt
-- @tparam ?function tick called about ten times a second while the pool waits
-- @treturn pool `active` (how many jobs are under way), `failure` (the error of the first job that failed)
local function new(width, loop, tick)
  return setmetatable({
    width = width, loop = loop, tick = tick, sources = {}, active = 0, parent = await.task(),
    tasks = {}, -- task -> true, those under way
    ready = {}, first = 1, last = 0, -- tasks that can go on, and where in the list they are
    listening = {}, -- waiters of those who wait for that
  }, Pool)
end

--- Adds jobs. Those that were added last are begun first: the parts of a file before the next file.
-- @tparam function source gives a job each time it is called, and what the job is to be called with; nil when there
--   are no more
function Pool:add(source)
  self.sources[#self.sources + 1] = source
end

--- Adds one job.
-- @tparam function job returns something true, or nil and an error
function Pool:add_one(job)
  local given = false
  self:add(function()
    if given then return nil end
    given = true
    return job
  end)
end

local function next_job(pool)
  while #pool.sources > 0 do
    local job, argument = pool.sources[#pool.sources]()
    if job then return job, argument end
    table.remove(pool.sources)
  end
end

-- A fault of a program is told with the place where it was raised; an error that is a table is somebody's own.
local function explain(message)
  if type(message) ~= "string" or message:find("\nstack traceback:\n", 1, true) then return message end
  return debug.traceback(message, 2)
end

-- The first job that raises ends the others; what it has raised is raised once they are over. What they raise on being
-- ended is of no interest.
local function note_raised(pool, message)
  if pool.has_raised then return end
  pool.raised, pool.has_raised = message, true
  pool.sources = {}
  await.cancel_jobs(pool)
end

local function note_end(pool, task, fine, result, err)
  pool.active = pool.active - 1
  pool.tasks[task] = nil
  task.over = true
  if not fine then
    task.raised, task.has_raised = result, true
    note_raised(pool, result)
  elseif result == nil and not pool.failure then
    pool.failure = err
    pool.sources = {} -- what has begun goes on to its end, nothing new is begun
  end
  await.tell(task)
  await.tell(pool) -- who waits for this very task may wait for the pool
end

-- What a job yields to a scheduler above the pool is passed on to it, and what comes back to the job.
local function pass_on(pool, task, ...)
  if coroutine.isyieldable() then return pool:resume(task, coroutine.yield(...)) end
  coroutine.close(task.thread)
  return note_end(pool, task, false, "a task yielded to a scheduler that is not there")
end

-- A host's function was called for a task; that goes on with what came of it.
local function answer(pool, task, before, ...)
  await.serve(before)
  return pool:resume(task, ...)
end

local function look_at(pool, task, alive, first, second, ...)
  if not alive then return note_end(pool, task, false, first) end -- somebody has closed it
  if coroutine.status(task.thread) == "dead" then return note_end(pool, task, first, second, ...) end
  if first == await.CALL then
    return answer(pool, task, await.serve(task.thread), xpcall(await.call, explain, second, ...))
  end
  if first ~= await.WAIT then return pass_on(pool, task, first, second, ...) end
  pool.loop = second or pool.loop
end

--- Lets a task go on until it waits or ends.
-- @tparam table task
-- @param ... what it gets
function Pool:resume(task, ...)
  return look_at(self, task, coroutine.resume(task.thread, ...))
end

-- Of a pool whose jobs are let go on: when that is left in the middle, its jobs end too.
local Waiting = {}

function Waiting:__close()
  if self.pool then self.pool:abandon() end
end

-- What the coroutine of a task runs.
local function run(job, argument) return xpcall(job, explain, argument) end

local function begin(pool, task, job, argument)
  task.pool, task.thread = pool, coroutine.create(run)
  await.adopt(task.thread, task)
  pool.active = pool.active + 1
  pool.tasks[task] = true
  if pool.has_raised then await.cancel(task) end
  pool:resume(task, job, argument)
end

--- Begins a job at once, whatever the width.
-- @tparam function job
-- @tparam table task what is to be its task; its methods are the caller's affair
-- @treturn table the task
function Pool:begin(job, task)
  self.runner = self.runner or coroutine.running()
  local waiting <close> = setmetatable({ pool = self }, Waiting)
  begin(self, task, job)
  waiting.pool = nil
  return task
end

--- Says that a task can go on.
-- @tparam table task
function Pool:make_ready(task)
  self.last = self.last + 1
  self.ready[self.last] = task
end

--- Whether a task can go on.
-- @treturn boolean
function Pool:has_ready() return self.first <= self.last end

local function begin_jobs(pool)
  while pool.active < pool.width and not pool.failure do
    local job, argument = next_job(pool)
    if not job then return end
    begin(pool, { pool = pool, thread = false, waiter = false, transfer = false, over = false }, job, argument)
  end
end

local function resume_ready(pool)
  -- one by one: what a job does may make this go on from within
  for _ = pool.first, pool.last do
    if not pool:has_ready() then return end
    local task = pool.ready[pool.first]
    pool.ready[pool.first] = nil
    pool.first = pool.first + 1
    pool:resume(task)
  end
end

local function raise(pool)
  if not pool.has_raised then return end
  pool.has_raised = nil
  error(pool.raised, 0)
end

-- Waits until a job can go on, or it is time to tell the host.
local function wait(pool)
  if pool.tick and (not pool.bell or pool.bell.ready) then pool.bell = await.ring(pool, TICK) end
  await.pool(pool)
  if pool.tick and not await.cancelled() then pool.tick() end
end

--- Ends all jobs: what they wait for is cancelled, and nothing new is begun.
function Pool:abandon()
  self.sources = {}
  await.cancel_jobs(self)
  while self:has_ready() do resume_ready(self) end
  -- what waits for somebody else than us
  for task in pairs(self.tasks) do
    if coroutine.status(task.thread) == "suspended" then
      coroutine.close(task.thread)
      note_end(self, task, true, true)
    end
  end
end

--- Lets jobs go on without waiting.
function Pool:poke()
  self.runner = coroutine.running()
  local waiting <close> = setmetatable({ pool = self }, Waiting)
  begin_jobs(self)
  await.poke()
  resume_ready(self)
  begin_jobs(self)
  waiting.pool = nil
end

--- Waits until `enough()` is true or there is nothing left to do.
-- @tparam ?function enough nil: until all is done
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table the error of the first job that failed, when all that had begun are over
-- @raise what a job raised, with its traceback, when all others, which it cancelled, are over
function Pool:advance(enough)
  if not self.of_host then self.parent = await.task() end -- a writer's may be in use by another than who opened it
  self.runner = coroutine.running()
  local waiting <close> = setmetatable({ pool = self }, Waiting)
  begin_jobs(self)
  while self.active > 0 and not (enough and not self.failure and not self.has_raised and enough()) do
    wait(self)
    resume_ready(self)
    begin_jobs(self)
  end
  waiting.pool = nil
  raise(self)
  if self.failure then return nil, self.failure end
  return true
end

--- Waits until one task is over, where what runs is part of the pool itself and cannot yield: what a task raises is for
-- who waits for the whole.
-- @tparam table task
function Pool:finish(task)
  while not task.over and not await.cancelled() do
    wait(self)
    resume_ready(self)
    begin_jobs(self)
  end
end

--- How many bytes of uploads under way have left.
-- @treturn integer
function Pool:sent()
  local bytes = 0
  for task in pairs(self.tasks) do bytes = bytes + (task.transfer and task.transfer:sent() or 0) end
  return bytes
end

return { new = new }
