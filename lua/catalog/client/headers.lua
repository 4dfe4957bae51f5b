--- The headers of requests.
-- @module catalog.client.headers
local core = require "catalog.core"

local headers = {}

-- The headers of a request that needs no credentials.
local function anonymous(request)
  return core.client.headers { "accept: application/json", "content-type: " .. request.content_type }
end

-- Adds those that a request has of its own.
local function add_own(lines, request)
  if request.range then lines[#lines + 1] = "Content-Range: " .. request.range end
  for _, pair in ipairs(request.headers or {}) do
    local line, err = core.url.header(pair[1], pair[2], pair[1])
    if not line then return nil, err end
    lines[#lines + 1] = line
  end
  return true
end

-- Source: Adobe's batch ingestion guide; the order is the guide's. `own`: a request with headers of its own, or nil.
local function make(client, token, sandbox, content_type, own)
  local authorization, err = core.url.header("Authorization", "Bearer " .. token, "token")
  if not authorization then return nil, err end
  local named, wrong = core.url.header("x-sandbox-name", sandbox, "sandbox")
  if not named then return nil, wrong end
  local lines = { authorization, "x-api-key: " .. client.api_key, "x-gw-ims-org-id: " .. client.org, named }
  if own then
    local ok, unfit = add_own(lines, own)
    if not ok then return nil, unfit end
  end
  return core.client.headers {
    "accept: " .. (own and own.accept or "application/json"),
    content_type and "content-type: " .. content_type or "content-type:", lines,
  }
end

-- Makes the headers of all requests of a sandbox and a content type (false: none).
local function remember(client, token, sandbox, content_type)
  local list, err = make(client, token, sandbox, content_type)
  local known = client.known_headers[sandbox] or {}
  client.known_headers[sandbox], known[content_type] = known, list
  return list, err
end

--- The headers of a request. Those of requests without any of their own are made once for each token.
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
  local sandbox, content_type = request.sandbox or client.sandbox, request.content_type or false
  if request.range or request.headers or request.accept then
    return make(client, token, sandbox, content_type, request)
  end
  local known = client.known_headers[sandbox]
  local list = known and known[content_type]
  if list then return list end
  return remember(client, token, sandbox, content_type)
end

return headers
