--- A spool as the coroutines of this process see it: what its thread is asked for is waited for as everything else is.
-- @module catalog.sink.spool
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local scheduler = require "catalog.scheduler.scheduler"

local Spool = {}
Spool.__index = Spool

--- Opens a spool, which is made where there is none.
-- @tparam table given as of `core.spool.open`
-- @tparam ?table loop the adapter of the client
-- @treturn[1] table
-- @treturn[1] table what its journal says: key -> value
-- @treturn[2] nil
-- @treturn[2] table error of kind `config` or `conflict`
function Spool.open(given, loop)
  local opened, text = core.spool.open(given)
  if not opened then return nil, text end
  local state, err = core.json.decode(text)
  if not state then
    opened:close()
    return nil, err
  end
  local self = setmetatable({
    core = opened, loop = loop, path = given.path, listener = core.listener.new(opened:fd()), jobs = {}, watchers = {},
    closed = false,
  }, Spool)
  return self, state
end

local function wake(operations)
  for operation in pairs(operations) do scheduler.complete(operation) end
end

-- Waits for an operation that an event ends. Gives an error when the wait was ended by something else.
local function await(operation)
  scheduler.await(operation)
  return scheduler.cancelled() or not operation.over and scheduler.left_behind() or nil
end

--- Waits until something has happened to the spool, or some seconds are over.
-- @tparam ?number seconds nil: for ever
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `cancelled`
function Spool:wait(seconds)
  local operation = scheduler.new_operation(self.loop)
  if seconds then scheduler.add_timer(operation, seconds) end
  self.watchers[operation] = true
  local err = await(operation)
  self.watchers[operation] = nil
  if err then return nil, err end
  return true
end

--- Wakes who waits by `wait`.
function Spool:announce() wake(self.watchers) end

--- Asks the thread for something, and waits until it is done.
-- @tparam string name that of a job: `sync`, `note`, `remove`, ... of `core.spool`
-- @param ... its arguments
-- @return[1] what it gives; true when that is nothing
-- @treturn[2] nil
-- @treturn[2] table error
function Spool:job(name, ...)
  return self:finish(nil, self.core[name](self.core, ...))
end

-- Waits for a job, some seconds at the most.
function Spool:finish(seconds, ticket, refused)
  if not ticket then return nil, refused end
  local operation = scheduler.new_operation(self.loop)
  if seconds then scheduler.add_timer(operation, seconds) end
  self.jobs[ticket] = operation
  local err = await(operation)
  self.jobs[ticket] = nil
  if err then return nil, err end
  if operation.failed then return nil, operation.failed end
  if not operation.ended then
    return failure("timeout", "the disk of the spool %s has not answered in %g seconds", self.path, seconds)
  end
  if operation.value == nil then return true end
  return operation.value
end

--- Waits until everything that was written is on the disk.
-- @tparam ?number seconds how long at the most
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function Spool:sync(seconds) return self:finish(seconds, self.core:sync()) end

--- Notes something in the journal; it is on disk when this returns.
-- @tparam {[string]=any,...} keys to their values; `core.json.null` deletes one
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function Spool:note(keys)
  local text, err = core.json.encode(keys)
  if not text then return nil, err end
  return self:job("note", text)
end

local EVENTS <const> = {}

function EVENTS.job(self, _, ticket, err, value)
  local operation = self.jobs[ticket]
  if not operation then return end -- whoever asked for it was cancelled
  operation.failed, operation.value, operation.ended = err, value, true
  scheduler.complete(operation)
end

function EVENTS.segment(_, store, segment) store:add(segment) end
function EVENTS.due(_, store, number) store:set_due(number) end

--- Hands out what the thread has to say.
-- @tparam table store is told of segments by `add`
function Spool:take(store)
  local function handle(name, ...)
    if not name then return false end
    EVENTS[name](self, store, ...)
    return true
  end
  while handle(self.core:take()) do end
  self:announce() -- also where there is room again, which has no event
end

--- Hands out what the thread has to say, until the spool is closed: what one task does.
-- @tparam table store
function Spool:listen(store)
  while not self.closed do
    if not self.listener:start() then return end
    self:take(store) -- what came before the start
    if not scheduler.transfer(self.listener, self.loop) then return end
  end
end

--- Ends the thread, once what it has taken is on disk.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error: how many records are lost
function Spool:close()
  if self.closed then return true end
  self.closed = true
  self.listener:close()
  local done, err = self.core:close()
  for _, operation in pairs(self.jobs) do
    operation.failed = select(2, failure("cancelled", "the sink of %s was closed", self.path))
    operation.ended = true
    scheduler.complete(operation)
  end
  self:announce()
  return done, err
end

return Spool
