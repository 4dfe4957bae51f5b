--- What is checked of every request before a service sees it: token, API key, organisation.
-- @module catalog.emulator.gateway
local answers = require "catalog.emulator.answers"
local core = require "catalog.core"

-- The code of the refusal, or nil.
local function refusal(gateway, headers)
  local token = (headers.authorization or ""):match "^[Bb]earer +(%S+)%s*$"
  if not headers.authorization or headers.authorization:match "^[Bb]earer%s*$" then return "403010" end
  if not token or not gateway:valid(token) then return "401013" end
  local key, org = headers["x-api-key"], headers["x-gw-ims-org-id"]
  if not key or key == "" then return "403000" end
  if gateway.api_keys and not gateway.api_keys[key] then return "403003" end
  if not org or org == "" then return "400003" end
  if gateway.orgs and not gateway.orgs[org] then return "403025" end
end

local Gateway = {}
Gateway.__index = Gateway

local function new(settings)
  return setmetatable({
    tokens = settings.tokens, issued = {}, api_keys = settings.api_keys, orgs = settings.orgs,
    strict = settings.strict,
  }, Gateway)
end

--- Whether a token is good now. Without a list of tokens any is.
function Gateway:valid(token)
  local ends = self.issued[token] or self.tokens and self.tokens[token]
  if not ends then return self.tokens == nil end
  return core.system.now() < ends
end

--- Makes all tokens there are bad.
function Gateway:expire()
  self.issued = {}
  self.tokens = {}
end

--- Makes a token good for some seconds.
function Gateway:issue(token, seconds)
  self.issued[token] = core.system.now() + seconds * 1000
end

--- Checks a request.
-- @tparam table request
-- @treturn[1] nil the request may pass
-- @return[2] an answer: the refusal
function Gateway:check(request)
  local code = refusal(self, request.headers)
  if code then return answers.gateway(code) end
  if self.strict and not request.headers["x-sandbox-name"] then
    return answers.problem(400, "The header x-sandbox-name is required")
  end
end

return { new = new }
