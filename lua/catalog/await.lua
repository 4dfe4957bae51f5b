--- The one place that waits. Every call of the API that has to wait for the network comes through here.
-- @module catalog.await
local core = require "catalog.core"

local await = {}

-- The engine returns when anything is done, so how long one step may last does not matter.
local A_WHILE <const> = 3600

-- The coroutines of pools: what waits in one of them hands its transfer to the pool (`catalog.pool`).
local pooled = setmetatable({}, { __mode = "k" })

--- Says that a coroutine is a pool's: waiting in it yields the transfer.
-- @tparam thread thread
function await.adopt(thread)
  pooled[thread] = true
end

--- Runs a transfer to its end, with all others of the engine.
-- @tparam transfer transfer one in flight
-- @tparam engine engine the engine it is in
function await.transfer(transfer, engine)
  if transfer:done() then return end
  if pooled[coroutine.running()] then
    coroutine.yield(transfer)
  else
    while not transfer:done() do engine:step(A_WHILE) end
  end
end

-- A pause, which a pool waits for as for a transfer.
local Pause = {}
Pause.__index = Pause

function Pause:done() return core.system.monotonic() >= self.ends end

function Pause.sent() return 0 end

--- Lets some time pass, in which transfers go on.
-- @tparam engine engine
-- @tparam number seconds
function await.pause(engine, seconds)
  local ends = core.system.monotonic() + seconds
  if pooled[coroutine.running()] then
    coroutine.yield(setmetatable({ ends = ends }, Pause))
    return
  end
  local left = seconds
  while left > 0 do
    engine:step(left)
    left = ends - core.system.monotonic()
  end
end

return await
