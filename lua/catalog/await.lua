--- The one place that waits. Every call of the API that has to wait, for the network or for a time, comes through here.
--
-- What waits holds a waiter: a table that says by `ready` that it is over. Where it waits decides how: in a task
-- (`catalog.pool`) it yields to what runs the task; in a coroutine of a loop, by the loop's adapter (`catalog.loop`);
-- else it steps the engine in place. Whoever steps the engine tells every waiter whose transfer is done, not only its
-- own.
-- @module catalog.await
local core = require "catalog.core"
local new_pauses = require "catalog.pauses"

local await = {}

-- The engine returns when anything is done, so how long one step may last does not matter.
local A_WHILE <const> = 3600

local KEYS <const> = { __mode = "k" }

-- What a task yields to what runs it, for a wait or a call, to tell that from a yield that is meant for somebody else.
local WAIT <const>, CALL <const> = {}, {}
await.WAIT, await.CALL = WAIT, CALL

-- All are weak: who drops a coroutine is rid of what it waited for.
local waiters = setmetatable({}, KEYS) -- transfer -> waiter
local tasks = setmetatable({}, KEYS) -- thread -> task
local drivers = setmetatable({}, KEYS) -- loop -> who waits on the descriptor for all, and who for a word from there
local seats = setmetatable({}, KEYS) -- thread -> its seat among those of a driver
local sleepers = setmetatable({}, KEYS) -- waiters whose coroutines wait on the descriptor
local claims = setmetatable({}, KEYS) -- those of them that are over

local any_cancelled = false -- whether a task ever was: most programs cancel none

local pauses = new_pauses()

local get_engine <const>, this_thread <const> = core.engine.get, coroutine.running

-- One engine a state; made anew in a state whose engine was closed.
local function engine()
  local running, err = get_engine()
  return running or error(err, 0)
end

local roused = false -- whether the engine was told that there are claims
local claimed = 0 -- when the last was made

-- How long a claim is nothing but shown, and how often from then on it is shown at the least, in seconds.
local GRACE <const>, SHOWN_AGAIN <const> = 0.1, 0.02

local function rouse(running, on)
  if roused == on then return end
  roused = on
  running:rouse(on)
end

-- Brings the descriptor up to date for those who wait on it: who has stepped the engine may not wait again.
local function refresh()
  if not roused and not next(sleepers) then return end -- a claim is a sleeper's
  local running = engine()
  rouse(running, next(claims) ~= nil)
  if next(sleepers) then running:fd() end
end

local add_pause

-- What goes before a wait on the descriptor. It is readable until those who have a claim have gone on; and where their
-- loop does not turn, others who wait on it would spin. Then it is readable every other time only, and soon again.
local function show_claims(running)
  if not next(claims) or core.system.monotonic() - claimed < GRACE then return end
  rouse(running, not roused)
  if not roused then add_pause(SHOWN_AGAIN, {}) end
end

local wake

-- Tells all who listen to a pool or to a task.
local function wake_listeners(of)
  local listening = of.listening
  if not listening[1] then return end -- mostly nobody does
  of.listening = {}
  for _, waiter in ipairs(listening) do wake(waiter) end
end

-- Lets a coroutine of a loop go on, once for each time it was suspended.
local function unpark(waiter)
  local thread = waiter.thread
  if not thread then return end
  waiter.thread = nil
  waiter.driver.parked[waiter] = nil
  waiter.loop.resume(thread)
end

--- Says that a wait is over.
-- @tparam table waiter
function wake(waiter)
  if waiter.ready then return end
  waiter.ready = true
  if waiter.task then
    local pool = waiter.task.pool
    pool:make_ready(waiter.task)
    wake_listeners(pool)
  elseif waiter.of then
    wake_listeners(waiter.of)
  elseif sleepers[waiter] then
    claims[waiter], claimed = true, core.system.monotonic()
    refresh()
  else
    unpark(waiter)
  end
end

-- Tells everyone whose transfer is done, or whose pause is over.
local function tell(running)
  for transfer in running.collect, running do
    local waiter = waiters[transfer]
    waiters[transfer] = nil
    if waiter then wake(waiter) end
  end
  local soonest = pauses:soonest()
  local now = soonest and core.system.monotonic()
  if not soonest or soonest > now then return end
  local over = {}
  repeat
    over[#over + 1] = pauses:take()
    soonest = pauses:soonest()
  until not soonest or soonest > now
  running:alarm(soonest)
  for _, waiter in ipairs(over) do wake(waiter) end
end

--- Lets transfers go on without waiting.
function await.poke()
  local running = engine()
  running:step(0)
  tell(running)
  refresh()
end

-- Steps the engine in place until the wait is over.
local function block(waiter)
  local running = engine()
  while not waiter.ready do
    running:step(A_WHILE)
    tell(running)
  end
  refresh()
end

-- Steps the engine in place until a transfer is done: most calls of most programs.
local function block_on(transfer)
  local running = engine()
  while not transfer:done() do
    running:step(A_WHILE)
    if next(waiters) or pauses:soonest() then tell(running) end
  end
  refresh()
  return true
end

-- Waits on the descriptor, until a waiter is ready, by the adapter of a loop.
local function watch(waiter, loop)
  local running = engine()
  while not waiter.ready do
    sleepers[waiter] = true
    show_claims(running)
    loop.wait(running:fd(), A_WHILE)
    sleepers[waiter] = nil
    running:step(0)
    tell(running)
  end
end

-- One waits on the descriptor no more, and leaves it as the others need it.
local function settle(waiter)
  sleepers[waiter], claims[waiter] = nil, nil
  refresh()
end

-- A seat of a coroutine among those that wait in a loop; who leaves it, however, leaves it to another.
local Seat = {}

function Seat:__close()
  local driver, waiter = self.driver, self.waiter
  self.waiter = nil
  driver.parked[waiter], driver.driving[waiter], waiter.thread = nil, nil, nil
  settle(waiter)
  if not next(driver.driving) then
    local other = next(driver.parked)
    if other then
      unpark(other)
      engine():fd() -- it waits already, though it goes on only when the loop turns
    end
  end
end

-- A driver that was dropped leaves its seat when it is collected. At the end of a state nobody is there to hear of it.
function Seat:__gc()
  if self.waiter then pcall(Seat.__close, self) end
end

-- The seat of a coroutine, which it takes again and again: finalizers are dear.
local function take_seat(driver, waiter)
  local thread = this_thread()
  local seat = seats[thread]
  if not seat or seat.waiter then
    seat = setmetatable({}, Seat)
    seats[thread] = seat
  end
  seat.driver, seat.waiter = driver, waiter
  return seat
end

-- Waits for a word from who drives.
local function park(driver, waiter, loop)
  engine():fd() -- what this one has begun is waited for by the one who drives
  waiter.loop, waiter.driver, waiter.thread = loop, driver, this_thread()
  driver.parked[waiter] = true
  loop.suspend()
  driver.parked[waiter], waiter.thread = nil, nil -- also where nobody has resumed it
end

-- In a loop that can wake one of many: one waits for all.
local function take_turns(waiter, loop)
  local key = loop.current and loop.current() or loop
  local driver = drivers[key]
  if not driver then
    -- nobody else may hold who is parked: a loop knows only of what waits for one of its own things
    driver = { parked = {}, driving = setmetatable({}, KEYS) }
    drivers[key] = driver
  end
  local _ <close> = take_seat(driver, waiter)
  while not waiter.ready do
    if next(driver.driving) then
      park(driver, waiter, loop)
    else
      driver.driving[waiter] = true
      watch(waiter, loop)
    end
  end
end

local Claim = {}

function Claim:__close() settle(self.waiter) end

-- In a loop that can only wait, each waits on the descriptor. It stays readable until all who are to go on have.
local function poll(waiter, loop)
  local _ <close> = setmetatable({ waiter = waiter }, Claim)
  watch(waiter, loop)
end

--- Whether what runs is the loop's, as far as the loop can tell.
-- @tparam table loop an adapter
-- @treturn boolean
function await.is_in(loop)
  return not loop.yieldable or loop.yieldable()
end

-- Whether the running coroutine can wait in a loop.
local function fits(loop)
  return loop and coroutine.isyieldable() and await.is_in(loop)
end

-- Waits until a waiter is ready.
local function wait(waiter, loop)
  if waiter.ready then return end
  local task = tasks[this_thread()]
  if task and coroutine.isyieldable() then
    waiter.task, task.waiter = task, waiter
    coroutine.yield(WAIT, loop)
    task.waiter = nil
  elseif not fits(loop) then
    block(waiter)
  elseif loop.suspend then
    take_turns(waiter, loop)
  else
    poll(waiter, loop)
  end
end

--- Whether a wait here would block, and nobody else could go on.
-- @tparam ?table loop an adapter
-- @treturn boolean
function await.blocks(loop)
  if tasks[this_thread()] and coroutine.isyieldable() then return false end
  return not fits(loop)
end

--- Makes a coroutine a task's: what it waits for is the pool's to wait for.
-- @tparam thread thread
-- @tparam table task
function await.adopt(thread, task)
  tasks[thread] = task
end

--- The task that runs, or nil.
function await.task()
  return tasks[this_thread()]
end

local function results(fine, ...)
  if not fine then error(..., 0) end
  return ...
end

--- Calls a host's function, on the coroutine of the host's that called the API: what runs may be a job of ours.
-- @tparam function callback
-- @param ... its arguments
-- @return what it returns
-- @raise what it raises
function await.call(callback, ...)
  local task = tasks[this_thread()]
  if not task or task.pool.of_host or not coroutine.isyieldable() then return callback(...) end
  return results(coroutine.yield(CALL, callback, ...))
end

local served = setmetatable({}, KEYS) -- thread -> the one for which it calls a host's function

--- Says for which coroutine the running one calls a host's function from now on.
-- @tparam ?thread thread nil: for none
-- @treturn ?thread for which it did before
function await.serve(thread)
  local me = this_thread()
  local before = served[me]
  served[me] = thread
  return before
end

-- What runs a task's coroutine, or nil.
local function runner_of(thread)
  return tasks[thread] and tasks[thread].pool.runner
end

-- Whether a coroutine goes on only after another: it runs that, or that calls a host's function for it.
local function goes_on_after(thread, other, seen)
  if thread == other then return true end
  if not other or seen[other] then return false end
  seen[other] = true
  return goes_on_after(thread, served[other], seen) or goes_on_after(thread, runner_of(other), seen)
end

--- Whether a coroutine waits for what runs to return: that was called by it, as a host's function.
-- @tparam thread thread
-- @treturn boolean
function await.serves(thread)
  return goes_on_after(thread, this_thread(), {})
end

local function outermost(thread)
  local seen = {}
  while runner_of(thread) and not seen[thread] do
    seen[thread] = true
    thread = runner_of(thread)
  end
  return thread
end

--- Whether another coroutine can go on while what runs waits.
-- @tparam thread thread
-- @tparam ?table loop the adapter of the client
-- @treturn boolean
function await.lets_go_on(thread, loop)
  if await.blocks(loop) then return false end
  local mine = outermost(this_thread())
  return mine == outermost(thread) or coroutine.isyieldable(mine)
end

--- Whether what runs was cancelled: its task, or one that this one is part of.
-- @treturn[1] nil it was not
-- @treturn[2] table error of kind `cancelled`
function await.cancelled()
  if not any_cancelled then return nil end
  local task = tasks[this_thread()]
  while task do
    if task.cancelled then
      return core.failure.new { kind = "cancelled", message = "the task was cancelled" }
    end
    task = task.pool.parent
  end
end

-- Goes on, unless what runs was cancelled.
local function unless_cancelled()
  local err = await.cancelled()
  if err then return nil, err end
  return true
end

-- A waiter that hears of something.
local function listen(of)
  local waiter = {}
  of.listening[#of.listening + 1] = waiter
  return waiter
end

--- Cancels the jobs of a pool.
-- @tparam table pool
function await.cancel_jobs(pool)
  for task in pairs(pool.tasks) do await.cancel(task) end
end

--- Ends what a task waits for, and all it will wait for.
-- @tparam table task
function await.cancel(task)
  task.cancelled, any_cancelled = true, true
  if task.within then
    await.cancel_jobs(task.within)
  elseif task.waiter then
    wake(task.waiter)
  end
end

--- Runs a transfer to its end, with all others of the engine.
-- @tparam transfer transfer one in flight
-- @tparam ?table loop the adapter of the client
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `cancelled`
function await.transfer(transfer, loop)
  if transfer:done() then return true end
  local task = tasks[this_thread()]
  if not task and not fits(loop) then return block_on(transfer) end
  local waiter = { ready = false, task = false } -- where it cannot yield, its task has nothing to hear
  waiters[transfer] = waiter
  if task then task.transfer = transfer end
  wait(waiter, loop)
  if task then task.transfer = nil end
  if transfer:done() then return true end
  waiters[transfer] = nil
  return nil, await.cancelled()
end

function add_pause(seconds, waiter)
  pauses:add(core.system.monotonic() + seconds, waiter)
  engine():alarm(pauses:soonest())
end

--- Lets some time pass, in which transfers go on.
-- @tparam number seconds
-- @tparam ?table loop the adapter of the client
-- @tparam ?table owner whose call this is: `await.interrupt(owner)` ends it
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `cancelled`
function await.pause(seconds, loop, owner)
  if seconds <= 0 or owner and owner.closed then return true end
  local ok, err = unless_cancelled()
  if not ok then return nil, err end
  local waiter = { owner = owner }
  add_pause(seconds, waiter)
  wait(waiter, loop)
  return unless_cancelled()
end

--- Ends the pauses of an owner, and tells those whose transfers it has ended.
-- @tparam table owner
function await.interrupt(owner)
  pauses:each(function(waiter)
    if waiter.owner == owner then wake(waiter) end
  end)
  tell(engine())
end

-- Whether a task is one of a pool's, or part of one.
local function is_part_of(task, pool)
  while task do
    if task.pool == pool then return true end
    task = task.pool.parent
  end
  return false
end

--- Waits until a job of a pool can go on. What is cancelled meanwhile ends the jobs of a pool that it runs; those of a
-- pool that it is part of are not its own.
-- @tparam table pool
function await.pool(pool)
  local task = await.task()
  local runs = not is_part_of(task, pool)
  if runs and await.cancelled() then await.cancel_jobs(pool) end
  if pool:has_ready() then return end
  local waiter = listen(pool)
  if task then task.within, task.waiter = runs and pool or nil, waiter end
  wait(waiter, pool.loop)
  if task then task.within, task.waiter = nil, nil end
end

--- Waits until a task that others run is over.
-- @tparam table task
-- @treturn ?boolean true; nil when who waits was cancelled
function await.over(task)
  if await.cancelled() then return nil end
  wait(listen(task), task.pool.loop)
  return task.over
end

--- Waits until somebody tells of something, or some seconds are over.
-- @tparam table of its `listening` is a list
-- @tparam number seconds
-- @tparam ?table loop the adapter of the client
-- @tparam ?table owner whose call this is: `await.interrupt(owner)` ends it
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `cancelled`
function await.hear(of, seconds, loop, owner)
  local waiter = listen(of)
  waiter.owner = owner
  add_pause(seconds, waiter)
  wait(waiter, loop)
  return unless_cancelled()
end

--- Tells those who wait to hear of something.
-- @tparam table of `listening`, when it can be waited for
function await.tell(of)
  if of.listening then wake_listeners(of) end
end

--- Wakes who waits for a pool, as if one of its jobs could go on, after some seconds.
-- @tparam table pool
-- @tparam number seconds
-- @treturn table `ready` says that it was
function await.ring(pool, seconds)
  local waiter = { of = pool }
  add_pause(seconds, waiter)
  return waiter
end

return await
