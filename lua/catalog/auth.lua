--- Where the access token comes from. No other part sees a token or a secret for longer than a call.
-- @module catalog.auth
local await = require "catalog.await"
local core = require "catalog.core"
local failure = require "catalog.failure"

local auth = {}

-- Seconds before its end at which a token is no longer used: a request takes a while to arrive. Of a token that is good
-- for a short time only, half of that.
local MARGIN <const> = 60

-- How long one waits for another's fetching before fetching itself where nobody else can go on, in seconds.
local PATIENCE <const> = 1

-- Sources of tokens: `token(client, ends)` gives one, or nil and an error; `renew(token)` is told that the service does
-- not take it, and says whether another may be had.

local Constant = {}
Constant.__index = Constant

function Constant:token() return self.value end

function Constant.renew() return false end

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

-- What of a token can stand in a header: a token without a character is none.
local TOKEN <const> = "^[\33-\126]+$"

local function read_grant(body)
  local grant, err = core.json.decode(body)
  if err then return nil, err end
  local token = type(grant) == "table" and grant.access_token
  if type(token) == "string" and token:find(TOKEN) then return grant end
  return failure("auth", "the identity service gave no access token that can be used")
end

-- How many seconds a token is good for. Where nobody says so, the service says when it has ended.
local function life_of(grant)
  local seconds = tonumber(grant.expires_in)
  return seconds and seconds > 0 and seconds or math.huge
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

-- Asks the host's function: gives a token and how many seconds it is good for, or nil and an error.
local function ask(self)
  local ok, token, seconds = pcall(await.call, self.ask)
  if not ok then
    local message = tostring(token) -- one line of it is enough
    return failure("auth", "the token function failed: %s", message:match "^(.-)\nstack traceback:" or message)
  end
  if type(token) ~= "string" then
    return failure("auth", "the token function gave a %s, and a string is needed", type(token))
  end
  if token == "" then return failure("auth", "the token function gave an empty string, and a token is needed") end
  return token, type(seconds) == "number" and seconds or 0 -- else nobody knows
end

-- Asks the identity service, likewise.
local function request_grant(self, client, ends)
  local grant, err = client:send(setmetatable({ ends = ends }, self.request))
  if not grant then return nil, err end
  return grant.access_token, life_of(grant)
end

-- A source whose tokens are got by `obtain(self, client, ends)`, and kept for as long as they are good.
local Obtained = {}
Obtained.__index = Obtained

-- A fetching under way, which others wait for. However it ends, they hear of it.
local Fetching = {}

function Fetching:__close()
  if self.source.fetching == self then self.source.fetching = nil end
  await.tell(self)
end

-- Whose each is. Weak: one whose coroutine was dropped is nobody's.
local fetchers = setmetatable({}, { __mode = "kv" })

local function fetch(self, client, ends)
  local mine <close> = setmetatable({ source = self, listening = {}, ends = ends }, Fetching)
  self.fetching, fetchers[mine] = mine, coroutine.running()
  local token, seconds = self.obtain(self, client, ends)
  if not token then
    mine.failure = seconds
    return nil, seconds
  end
  mine.token, self.value = token, token
  self.ends = core.system.monotonic() + seconds - math.min(MARGIN, seconds / 2)
  return token
end

-- How long another's fetching is waited for, in seconds: as long as a try of it may take, as long as it can go on.
local function patience_of(other, client)
  local fetcher = fetchers[other]
  if not fetcher or not await.lets_go_on(fetcher, client.loop) then return PATIENCE end
  return client.timeout + client.policy.cap
end

-- Whether what another's fetching failed for holds for this call too. That it was cancelled does not, nor that it had
-- less time.
local function concerns(other, ends)
  local kind = other.failure.kind
  return kind ~= "cancelled" and (kind ~= "timeout" or other.ends >= ends)
end

-- Waits for another's fetching. Gives its token, or nil and its failure, or that of the wait; nothing when this call
-- has to fetch one itself.
local function wait_for(other, client, ends)
  local left = math.max(ends - core.engine.now(), 0)
  local heard, err = await.hear(other, math.min(patience_of(other, client), left), client.loop, client)
  if not heard then return nil, err end
  if other.token or not other.failure or not concerns(other, ends) then return other.token end
  local copy = {}
  for name, value in pairs(other.failure) do copy[name] = value end
  return nil, core.failure.new(copy)
end

-- The fetching of another; nil when there is none. Who is called within it, by a callback, cannot wait for it.
local function other_fetching(self)
  local fetcher = fetchers[self.fetching]
  return fetcher and not await.serves(fetcher) and self.fetching or nil
end

-- One fetches, the others wait for it.
function Obtained:token(client, ends)
  local other = other_fetching(self)
  if other then
    local token, err = wait_for(other, client, ends)
    if token or err then return token, err end
    if self.fetching and self.fetching ~= other then return self:token(client, ends) end
  end
  if self.value and core.system.monotonic() < self.ends then return self.value end
  return fetch(self, client, ends)
end

function Obtained:renew(token)
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
  if settings.token ~= nil then return setmetatable({ obtain = ask, ask = settings.token }, Obtained) end
  if settings.client_secret then
    return setmetatable({ obtain = request_grant, request = { __index = request_of(settings) } }, Obtained)
  end
  return failure("config", "no credentials: set token (AEP_ACCESS_TOKEN), or client_secret (AEP_CLIENT_SECRET) and"
    .. " scopes (AEP_SCOPES)")
end

return auth
