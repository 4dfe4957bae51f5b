--- Where the access token comes from. No other part sees a token or a secret for longer than a call.
-- @module catalog.auth
local core = require "catalog.core"
local failure = require "catalog.failure"

local auth = {}

-- Seconds before its end at which a token is no longer used: a request takes a while to arrive.
local MARGIN <const> = 60

local function constant(token)
  return function() return token end
end

local function asked(source)
  return function()
    local ok, token = pcall(source)
    if not ok then return failure("auth", "the token function failed: %s", tostring(token)) end
    if type(token) ~= "string" then
      return failure("auth", "the token function gave a %s, and a string is needed", type(token))
    end
    return token
  end
end

local function form(fields)
  local parts = {}
  for _, field in ipairs(fields) do
    parts[#parts + 1] = field[1] .. "=" .. core.url.encode(field[2])
  end
  return table.concat(parts, "&")
end

local function scope_list(scopes)
  return type(scopes) == "table" and table.concat(scopes, ",") or scopes or ""
end

local function read_grant(body)
  local grant, err = core.json.decode(body)
  if err then return nil, err end
  if type(grant) == "table" and type(grant.access_token) == "string" then return grant end
  return failure("auth", "gave no access token")
end

-- Source: Adobe's OAuth server-to-server guide, POST /ims/token/v3.
local function request_of(settings)
  return {
    method = "POST", url = settings.ims_url .. "/ims/token/v3", anonymous = true,
    content_type = "application/x-www-form-urlencoded", read = read_grant,
    body = form {
      { "grant_type", "client_credentials" }, { "client_id", settings.api_key },
      { "client_secret", settings.client_secret }, { "scope", scope_list(settings.scopes) },
    },
  }
end

local function fetched(settings)
  local token, ends
  local request = request_of(settings)
  return function(client)
    if token and core.system.monotonic() < ends then return token end
    local grant, err = client:send(request)
    if not grant then return nil, err end
    token = grant.access_token
    ends = core.system.monotonic() + (tonumber(grant.expires_in) or 0) - MARGIN
    return token
  end
end

--- A source of tokens.
-- @tparam table settings those of the client: `token`, or `client_secret`, `scopes`, `api_key` and `ims_url`
-- @treturn[1] function called with the client, gives a token, or nil and an error
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`: there are no credentials
function auth.source(settings)
  if type(settings.token) == "string" then return constant(settings.token) end
  if settings.token ~= nil then return asked(settings.token) end
  if settings.client_secret then return fetched(settings) end
  return failure("config", "no credentials: set token (AEP_ACCESS_TOKEN), or client_secret (AEP_CLIENT_SECRET) and"
    .. " scopes (AEP_SCOPES)")
end

return auth
