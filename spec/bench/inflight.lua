--- Many creations at a time on one engine, without a loop or coroutines: what the core itself can do.
-- Each is all that `create_batch` does, from the options to the batch; only the waiting is shared.
local batch = require "catalog.batch.batch"
local creation = require "catalog.batch.creation"

--- Makes `count` creations, `width` of them at a time.
-- @tparam catalog.client client
-- @tparam integer count
-- @tparam integer width
local function inflight(client, count, width)
  local engine, requests = client.connection:engine(), {}
  local started, finished = 0, 0

  local function start()
    local request = assert(creation.request(creation.check({ dataset = "5c8c3c555033b814b69f947f" }, 2)))
    requests[assert(client:start(request, client:deadline()))] = request
    started = started + 1
  end

  local function finish(transfer)
    local request = requests[transfer]
    requests[transfer] = nil
    assert(batch.created(client, request, assert(client:finish(request, transfer))))
    finished = finished + 1
  end

  for _ = 1, math.min(width, count) do
    start()
  end
  while finished < count do
    engine:step(60)
    for transfer in engine.next_completed, engine do
      finish(transfer)
      if started < count then
        start()
      end
    end
  end
end

return inflight
