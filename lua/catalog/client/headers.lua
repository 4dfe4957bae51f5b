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

-- The token a request is sent with. Whatever became of the fetching of one, the request itself was not sent.
local function token_of(client, request, deadline)
  local token, err = client.credentials:token(client, deadline)
  request.token = token
  if token then return token end
  err.ambiguous = nil
  return nil, err
end

-- One list for all requests of a sandbox and a content type, for as long as the token is the same.
local function common(client, token, sandbox, content_type)
  if token ~= client.headers_token then client.known_headers, client.headers_token = {}, token end
  local known = client.known_headers[sandbox]
  if not known then
    known = {}
    client.known_headers[sandbox] = known
  end
  local list = known[content_type or false]
  if list then return list end
  local made, err = make(client, token, sandbox, content_type)
  known[content_type or false] = made
  return made, err
end

--- The headers of a request. What is made of the token is made once for all requests with it.
-- @tparam catalog.client client
-- @tparam table request as in `client:send`; gets `token`, with which it is sent
-- @tparam number deadline when the call has to be over, in seconds on the monotonic clock
-- @treturn[1] userdata for `core.client.transfer`
-- @treturn[2] nil
-- @treturn[2] table error of kind `auth`, `config`, `timeout` or `cancelled`
function headers.of(client, request, deadline)
  if request.anonymous then return anonymous(request) end
  local token, err = token_of(client, request, deadline)
  if not token then return nil, err end
  local sandbox, content_type, range = request.sandbox or client.sandbox, request.content_type, request.range
  if range then return make(client, token, sandbox, content_type, range) end
  return common(client, token, sandbox, content_type)
end

return headers
