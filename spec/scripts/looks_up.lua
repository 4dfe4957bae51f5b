local in_flight = require "support.in_flight"
-- For the C host: begins a transfer to a host whose name has to be looked up, and leaves it in flight.
return function(url)
  local catalog = require "catalog"
  local client = assert(catalog.client {
    base_url = url, org = "ORG@AdobeOrg", api_key = "key", token = "token", insecure = true,
  })
  local transfer -- alive until lua_close, with this function
  return function()
    transfer = in_flight(client, { method = "GET", path = "/" })
    require("catalog.core").engine.get():step(0.05)
    assert(not transfer:done())
    return true
  end
end
