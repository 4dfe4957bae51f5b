-- A request on its way, without anybody who waits for it.
local core = require "catalog.core"
local headers = require "catalog.client.headers"

--- Submits a request, as `client:send` does, and gives its transfer.
return function(client, request)
  request.url = client.base_url .. request.path
  local list = assert(headers.of(client, request, math.huge))
  return assert(core.transfer.start(client.connection, request, list, request.timeout or client.timeout))
end
