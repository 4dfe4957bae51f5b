--- Where the access token comes from. No other part sees a token or a secret for longer than a call.
-- @module catalog.client.auth
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local scheduler = require "catalog.scheduler.scheduler"

local auth = {}

-- Seconds before its end at which a token is no longer used: a request takes a while to arrive. Of a token that is good
-- for a short time only, half of that.
local MARGIN <const> = 60

-- Sources of tokens: `token(client, deadline)` gives one, or nil and an error; `renew(token)` is called with one that
-- the service does not take, and says whether another may be had.

-- `fixed`: it ends one day, and there will be no other.
local Constant = { fixed = true }
Constant.__index = Constant

function Constant:token() return self.value end

function Constant.renew() return false end

-- Reads a secret that a file holds.
local function read_secret(option, path)
  return require("catalog.client.secret_file").read(option, path) -- which most programs do without
end

-- A token that a file holds, which is read again when the service does not take it.
local Filed = {}
Filed.__index = Filed

-- A file that could be read once is being replaced, perhaps: it is looked at again, as long as the call is tried.
function Filed:token()
  if self.value then return self.value end
  local err
  self.value, err = read_secret("token_file", self.path)
  if err then err.retryable = true end
  return self.value, err
end

function Filed:renew(token)
  if token == self.value then self.value = read_secret("token_file", self.path) end
  return token ~= self.value
end

local function new_filed(path)
  local token, err = read_secret("token_file", path)
  if not token then return nil, err end
  return setmetatable({ path = path, value = token }, Filed)
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
local function request_of(settings, secret, deadline)
  return {
    method = "POST", url = settings.ims_url .. "/ims/token/v3", anonymous = true, deadline = deadline,
    content_type = "application/x-www-form-urlencoded", read = read_grant, repeatable = true,
    secrets = { secret, core.url.encode(secret) },
    body = form {
      { "grant_type", "client_credentials" }, { "client_id", settings.api_key },
      { "client_secret", secret }, { "scope", scope_list(settings.scopes) },
    },
  }
end

-- The client's secret as it is now.
local function secret_of(settings)
  if settings.client_secret then return settings.client_secret end
  return read_secret("client_secret_file", settings.client_secret_file)
end

-- Asks the host's function: gives a token and how many seconds it is good for, or nil and an error.
local function ask(self)
  local ok, token, seconds = pcall(self.ask)
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
local function request_grant(self, client, deadline)
  local secret, unread = secret_of(self.settings)
  if not secret then
    unread.retryable = true -- as of a token's file
    return nil, unread
  end
  local grant, err = client:send(request_of(self.settings, secret, deadline))
  if not grant then return nil, err end
  return grant.access_token, life_of(grant)
end

-- A source whose tokens are got by `obtain(self, client, deadline)`, and kept for as long as they are good.
local Obtained = {}
Obtained.__index = Obtained

local function fetch(self, client, deadline)
  local token, seconds = self.obtain(self, client, deadline)
  if not token then return nil, seconds end
  self.value = token
  self.expires = core.system.monotonic() + seconds - math.min(MARGIN, seconds / 2)
  return token
end

-- Begins a fetching, which is a task of its own: it goes on whatever becomes of the calls that wait for it.
local function begin(self, client)
  local group = require("catalog.scheduler.group").new "detached" -- a program with a token of its own does without
  self.fetching = group:new_task(function() return fetch(self, client, client:deadline()) end)
  scheduler.begin(self.fetching)
  return self.fetching
end

-- Waits for a fetching, as long as the call has time. What it failed for is told to each caller in an error of its own.
local function wait_for(task, client, deadline)
  if not task.done then
    task:wait(math.max(deadline - core.system.monotonic(), 0), client.loop, client)
    local cancelled = scheduler.cancelled()
    if cancelled then return nil, cancelled end
    if not task.done and client.closed then return failure("cancelled", "the client is closed; there is no token") end
    if not task.done then return failure("timeout", "the deadline of the call is over, and there is no token yet") end
  end
  local token, err = task:await()
  if token then return token end
  local copy = {}
  for name, value in pairs(err) do copy[name] = value end
  return nil, core.failure.new(copy)
end

-- One fetching for all calls that need a token. What is called within it, by a callback, cannot wait for it.
function Obtained:token(client, deadline)
  local fetching = self.fetching
  if fetching and not fetching.done and scheduler.is_own(fetching.group.process) then
    if fetching:is_around() then return fetch(self, client, deadline) end
    return wait_for(fetching, client, deadline)
  end
  if self.value and core.system.monotonic() < self.expires then return self.value end
  return wait_for(begin(self, client), client, deadline)
end

function Obtained:renew(token)
  if token == self.value then self.value = nil end
  return true
end

--- A source of tokens.
-- @tparam table settings those of the client: `token`, `token_file`, or `client_secret` or `client_secret_file`, and
--   `scopes`, `api_key` and `ims_url`
-- @treturn[1] table with `token(client, deadline)` (`deadline`: when the call has to be over) and `renew(token)`
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`: there are no credentials, or the file with them cannot be used
function auth.source(settings)
  if type(settings.token) == "string" then return setmetatable({ value = settings.token }, Constant) end
  if settings.token ~= nil then return setmetatable({ obtain = ask, ask = settings.token }, Obtained) end
  if settings.token_file then return new_filed(settings.token_file) end
  if settings.client_secret or settings.client_secret_file then
    local secret, err = secret_of(settings)
    if not secret then return nil, err end
    return setmetatable({ obtain = request_grant, settings = settings }, Obtained)
  end
  return failure("config", "no credentials: set token (AEP_ACCESS_TOKEN) or token_file (AEP_ACCESS_TOKEN_FILE), or"
    .. " client_secret (AEP_CLIENT_SECRET) or client_secret_file (AEP_CLIENT_SECRET_FILE) and scopes (AEP_SCOPES)")
end

return auth
