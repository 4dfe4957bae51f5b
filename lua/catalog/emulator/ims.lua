--- The identity service: tokens for an API key and its secret.
-- @module catalog.emulator.ims
local answers = require "catalog.emulator.answers"
local random = require "catalog.base.random"
local target = require "catalog.emulator.target"

local ims = {}

local SECONDS <const> = 86399

local function refuse(status, code, description)
  return answers.value(status, { error = code, error_description = description })
end

--- Answers a token call: `POST /ims/token/v3`, fields as a form, or in the query as some clients send them.
-- @tparam table service
-- @tparam table request
function ims.token(service, request)
  local fields = target.fields(request.body)
  for name, value in pairs(request.query) do fields[name] = fields[name] or value end
  if not fields.grant_type or not fields.client_id or not fields.client_secret then
    return refuse(400, "invalid_request", "grant_type, client_id and client_secret are required")
  end
  if fields.grant_type ~= "client_credentials" then
    return refuse(400, "unsupported_grant_type", "only client_credentials is supported")
  end
  if service.clients and service.clients[fields.client_id] ~= fields.client_secret then
    return refuse(401, "invalid_client", "invalid client_id or client_secret")
  end
  local token = random(24)
  service.gateway:issue(token, SECONDS)
  return answers.value(200, { access_token = token, token_type = "bearer", expires_in = SECONDS })
end

return ims
