--- Where the access token comes from. No other part sees a token or a secret for longer than a call.
-- @module catalog.auth
local await = require "catalog.await"
local core = require "catalog.core"
local failure = require "catalog.failure"

local auth = {}

-- Seconds before its end at which a token is no longer used: a request takes a while to arrive.
local MARGIN <const> = 60

-- How often one who waits for another's fetching looks, in seconds.
local WAIT <const> = 0.01

-- Sources of tokens: `token(client)` gives one, or nil and an error; `renew(token)` is told that the service does not
-- take it, and says whether another may be had.

local Constant = {}
Constant.__index = Constant

function Constant:token() return self.value end

function Constant.renew() return false end

local Asked = {}
Asked.__index = Asked

function Asked:token()
  local ok, token = pcall(self.ask)
  if not ok then return failure("auth", "the token function failed: %s", tostring(token)) end
  if type(token) ~= "string" then
    return failure("auth", "the token function gave a %s, and a string is needed", type(token))
  end
  return token
end

function Asked.renew() return true end

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
    content_type = "application/x-www-form-urlencoded", read = read_grant, repeatable = true,
    secrets = { settings.client_secret, core.url.encode(settings.client_secret) },
    body = form {
      { "grant_type", "client_credentials" }, { "client_id", settings.api_key },
      { "client_secret", settings.client_secret }, { "scope", scope_list(settings.scopes) },
    },
  }
end

local Fetched = {}
Fetched.__index = Fetched

-- One fetches, the others wait for it; unless its coroutine is dropped, and it never comes back.
local function fetch(self, client, ends)
  self.fetching[1] = coroutine.running()
  local grant, err = client:send(setmetatable({ ends = ends }, self.request))
  self.fetching[1] = nil
  if not grant then return nil, err end
  self.value = grant.access_token
  self.ends = core.system.monotonic() + (tonumber(grant.expires_in) or 0) - MARGIN
  return self.value
end

function Fetched:token(client, ends)
  while self.fetching[1] do
    local paused, stopped = await.pause(WAIT, client.loop, client)
    if not paused then return nil, stopped end
  end
  if self.value and core.system.monotonic() < self.ends then return self.value end
  return fetch(self, client, ends)
end

function Fetched:renew(token)
  if token == self.value then self.value = nil end
  return true
end

--- A source of tokens.
-- @tparam table settings those of the client: `token`, or `client_secret`, `scopes`, `api_key` and `ims_url`
-- @treturn[1] table with `token(client, ends)` (`ends`: when the call has to be over) and `renew(token)`
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`: there are no credentials
function auth.source(settings)
  if type(settings.token) == "string" then return setmetatable({ value = settings.token }, Constant) end
  if settings.token ~= nil then return setmetatable({ ask = settings.token }, Asked) end
  if settings.client_secret then
    local fetching = setmetatable({}, { __mode = "v" })
    return setmetatable({ request = { __index = request_of(settings) }, fetching = fetching }, Fetched)
  end
  return failure("config", "no credentials: set token (AEP_ACCESS_TOKEN), or client_secret (AEP_CLIENT_SECRET) and"
    .. " scopes (AEP_SCOPES)")
end

return auth
