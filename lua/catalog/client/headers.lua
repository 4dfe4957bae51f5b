--- The headers of requests.
-- @module catalog.client.headers
local core = require "catalog.core"

local headers = {}

-- The headers of a request that needs no credentials.
local function anonymous(request)
  return core.client.headers { "accept: application/json", "content-type: " .. request.content_type }
end

-- Source: Adobe's batch ingestion guide; the order is the guide's.
local function make(client, token, sandbox, content_type, range)
  local authorization, err = core.url.header("Authorization", "Bearer " .. token, "token")
  if not authorization then return nil, err end
  local named, wrong = core.url.header("x-sandbox-name", sandbox, "sandbox")
  if not named then return nil, wrong end
  return core.client.headers {
    "accept: application/json", content_type and "content-type: " .. content_type or "content-type:",
    {
      authorization, "x-api-key: " .. client.api_key, "x-gw-ims-org-id: " .. client.org, named,
      range and "Content-Range: " .. range,
    },
  }
end

-- Makes the headers of all requests of a sandbox and a content type (false: none).
local function remember(client, token, sandbox, content_type)
  local list, err = make(client, token, sandbox, content_type)
  local known = client.known_headers[sandbox] or {}
  client.known_headers[sandbox], known[content_type] = known, list
  return list, err
end

--- The headers of a request. Those without a range are made once for each token.
-- @tparam catalog.client client
-- @tparam table request as in `client:send`; gets `token`, with which it is sent
-- @tparam number deadline when the call has to be over, in seconds on the monotonic clock
-- @treturn[1] userdata for `core.transfer.start`
-- @treturn[2] nil
-- @treturn[2] table error of kind `auth`, `config`, `timeout` or `cancelled`
function headers.of(client, request, deadline)
  if request.anonymous then return anonymous(request) end
  local token, err = client.credentials:token(client, deadline)
  if not token then
    err.ambiguous = nil -- whatever became of fetching one, the request itself was not sent
    return nil, err
  end
  request.token = token
  if token ~= client.headers_token then client.known_headers, client.headers_token = {}, token end
  local sandbox, content_type, range = request.sandbox or client.sandbox, request.content_type or false, request.range
  if range then return make(client, token, sandbox, content_type, range) end
  local known = client.known_headers[sandbox]
  local list = known and known[content_type]
  if list then return list end
  return remember(client, token, sandbox, content_type)
end

return headers
