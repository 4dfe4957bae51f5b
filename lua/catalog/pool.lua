--- A bounded number of requests in flight. Jobs are functions in plain sequential Lua, each in a coroutine of its own;
-- where one waits for the network the others go on.
-- @module catalog.pool
local await = require "catalog.await"
local core = require "catalog.core"

local Pool = {}
Pool.__index = Pool

-- How often a host hears of progress, in seconds.
local TICK <const> = 0.1

--- A pool.
-- @tparam engine engine
-- @tparam integer width how many jobs are under way at the most
-- @tparam ?function tick called about ten times a second while the pool waits
-- @treturn pool
local function new(engine, width, tick)
  return setmetatable({ engine = engine, width = width, tick = tick, sources = {}, waiting = {}, active = 0 }, Pool)
end

--- Adds jobs. Those that were added last are begun first: the parts of a file before the next file.
-- @tparam function source gives a job each time it is called, nil when there are no more
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
    local job = pool.sources[#pool.sources]()
    if job then return job end
    table.remove(pool.sources)
  end
end

-- Lets a job go on until it waits or ends. One that raises ends the pool; the traceback is that of its own.
local function resume(pool, thread)
  local alive, result, err = coroutine.resume(thread)
  if not alive then
    pool.sources, pool.waiting, pool.active = {}, {}, 0
    error(type(result) == "string" and debug.traceback(thread, result) or result, 0)
  end
  if coroutine.status(thread) == "suspended" then
    pool.waiting[result] = thread
    return
  end
  pool.active = pool.active - 1
  if result == nil and not pool.failure then
    pool.failure = err
    pool.sources = {} -- what has begun goes on to its end, nothing new is begun
  end
end

local function begin_jobs(pool)
  while pool.active < pool.width and not pool.failure do
    local job = next_job(pool)
    if not job then return end
    local thread = coroutine.create(job)
    await.adopt(thread)
    pool.active = pool.active + 1
    resume(pool, thread)
  end
end

local function resume_done(pool)
  local done = {}
  for transfer, thread in pairs(pool.waiting) do
    if transfer:done() then done[#done + 1] = { transfer, thread } end
  end
  for _, pair in ipairs(done) do
    pool.waiting[pair[1]] = nil
    resume(pool, pair[2])
  end
end

--- Lets jobs go on without waiting.
function Pool:poke()
  begin_jobs(self)
  self.engine:step(0)
  resume_done(self)
  begin_jobs(self)
end

-- How long a step may last: something else than a transfer may be due.
local function longest_step(pool)
  local longest = pool.tick and TICK or 3600
  for waited in pairs(pool.waiting) do
    if type(waited) == "table" then longest = math.min(longest, waited.ends - core.system.monotonic()) end
  end
  return math.max(longest, 0)
end

--- Waits until `enough()` is true or there is nothing left to do.
-- @tparam ?function enough nil: until all is done
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table the error of the first job that failed, when all that had begun are over
function Pool:advance(enough)
  begin_jobs(self)
  while self.active > 0 and not (enough and not self.failure and enough()) do
    self.engine:step(longest_step(self))
    resume_done(self)
    if self.tick then self.tick() end
    begin_jobs(self)
  end
  if self.failure then return nil, self.failure end
  return true
end

--- How many bytes of uploads under way have left.
-- @treturn integer
function Pool:sent()
  local bytes = 0
  for transfer in pairs(self.waiting) do bytes = bytes + transfer:sent() end
  return bytes
end

return { new = new }
