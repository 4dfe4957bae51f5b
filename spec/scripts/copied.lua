local in_flight = require "support.in_flight"
-- For the C host: what a forked child has copies of, an engine in the middle of a transfer and an emulator with a request
-- that waits, is still the parent's. Called before the fork, beside the child, and after its end.
return function()
  local catalog = require "catalog"
  local emulator = require "catalog.emulator"
  local readable = require "support.poll"
  local silent, server = assert(emulator.start { latency_ms = 60000 }), assert(emulator.start { latency_ms = 700 })

  local function client_of(url)
    return assert(catalog.client { base_url = url, org = "ORG@AdobeOrg", api_key = "key", token = "token", retry = false })
  end

  local function get(client)
    local path = "/data/foundation/catalog/batches"
    return in_flight(client, { method = "GET", path = path, content_type = "application/json" })
  end

  local client, other = client_of(silent.url), client_of(server.url)
  local engine = require("catalog.core").engine.get()
  local dropped, waiting
  local steps = {
    function()
      dropped, waiting = get(client), get(other)
      for _ = 1, 20 do engine:step(0.01) end
    end,
    function()
      dropped:close()
      while not waiting:done() do engine:step(1) end
      waiting:reply()
      waiting:close()
      silent:stop() -- its end of the connection closes: nobody is to hear of it
      assert(not readable(engine:fd(), 0.1), "the descriptor of a transfer that was closed is watched")
      waiting = get(other)
    end,
    function()
      while not waiting:done() do engine:step(1) end
      assert(waiting:reply() == 200)
      assert(other:create_batch { dataset = "5c8c3c555033b814b69f947f" })
      server:stop()
    end,
  }
  return function()
    table.remove(steps, 1)()
    return true
  end
end
