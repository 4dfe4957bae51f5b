--- Waits for the first of several: input, a signal, the end of some time. Everything else goes on meanwhile.
-- @module catalog.cli.watch
local Group = require "catalog.scheduler.group"
local core = require "catalog.core"
local scheduler = require "catalog.scheduler.scheduler"

local Watch = {}
Watch.__index = Watch

local function wake(self)
  if self.operation then scheduler.complete(self.operation) end
end

local function wait_for(listener)
  return listener:start() and scheduler.transfer(listener)
end

-- Takes signals as they come: what one task does.
local function take_signals(self, listener)
  repeat
    local name = self.signals:take()
    while name do
      if name == "SIGHUP" then self.on_hangup() else self.stopped = name end
      name = self.signals:take()
    end
    if self.stopped then wake(self) end
  until not wait_for(listener)
end

--- Begins to wait for signals, which end nothing by themselves from now on.
-- @tparam function on_hangup called for each SIGHUP
-- @treturn[1] table `stopped`: the name of the signal that is to end the program, once it came
-- @treturn[2] nil
-- @treturn[2] table error of kind `limit`
function Watch.new(on_hangup)
  local signals, err = core.system.catch_signals()
  if not signals then return nil, err end
  local self = setmetatable({ signals = signals, on_hangup = on_hangup, group = Group.new "detached" }, Watch)
  self.listener = core.listener.new(signals:fd())
  scheduler.begin(self.group:new_task(take_signals, self, self.listener))
  return self
end

local function listen(self, input)
  wait_for(input)
  self.listening = false
  wake(self)
end

--- Waits.
-- @tparam number seconds at the most
-- @tparam ?listener input what is waited for beside
function Watch:wait(seconds, input)
  if self.stopped then return end
  local operation = scheduler.new_operation()
  scheduler.add_timer(operation, seconds)
  self.operation = operation
  if input and not self.listening then
    self.listening = true
    scheduler.begin(self.group:new_task(listen, self, input))
  end
  if not operation.over then scheduler.await(operation) end
  self.operation = nil
end

--- Waits for nothing any more; signals do again what they did before.
function Watch:close()
  self.listener:close()
  self.group:cancel()
  self.group:abandon()
  self.signals:close()
end
Watch.__close = Watch.close

return Watch
