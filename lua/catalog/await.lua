--- The one place that waits. Every call of the API that has to wait for the network comes through here.
-- @module catalog.await

-- The engine returns when anything is done, so how long one step may last does not matter.
local A_WHILE <const> = 3600

--- Runs a transfer to its end, with all others of the engine.
-- @function await
-- @tparam transfer transfer one in flight
-- @tparam engine engine the engine it is in
return function(transfer, engine)
  while not transfer:done() do engine:step(A_WHILE) end
end
