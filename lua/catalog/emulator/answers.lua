--- The shapes of the service's answers. An answer is a status, a table of headers, and a body.
-- @module catalog.emulator.answers
local core = require "catalog.core"

local answers = {}

-- The gateway's codes, each with its status and message. Source: Adobe's API troubleshooting guide.
local CODES <const> = {
  ["403010"] = { 403, "Oauth token is missing." },
  ["401013"] = { 401, "Oauth token is not valid" },
  ["403000"] = { 403, "Api Key is required" },
  ["403003"] = { 403, "Api Key is invalid" },
  ["400003"] = { 400, "Missing header: x-gw-ims-org-id" },
  ["403025"] = { 403, "The user is not entitled for this organization" },
}

local TITLES <const> = {
  [400] = "BadRequestError", [404] = "NotFoundError", [405] = "MethodNotAllowedError", [409] = "ConflictError",
  [412] = "PreconditionFailedError",
  [413] = "PayloadTooLargeError", [414] = "UriTooLongError", [415] = "UnsupportedMediaTypeError",
  [416] = "RangeNotSatisfiableError",
  [507] = "InsufficientStorageError",
}

--- An answer without a body, which has no type either.
function answers.empty(status)
  return status, {}, ""
end

--- Text that is JSON already.
function answers.text(status, body)
  return status, { ["content-type"] = "application/json" }, body
end

--- A value.
function answers.value(status, value)
  return answers.text(status, assert(core.json.encode(value)))
end

--- A refusal by the gateway.
-- @tparam string code
function answers.gateway(code)
  local status, message = table.unpack(CODES[code])
  return answers.text(status, ('{"error_code":"%s","message":"%s"}'):format(code, message))
end

--- Text as it can stand in JSON: what is no UTF-8 becomes question marks.
-- @tparam string text
-- @treturn string
function answers.shown(text)
  return utf8.len(text) and text or (text:gsub("[\128-\255]", "?"))
end

--- A refusal by the service (RFC 7807).
function answers.problem(status, format, ...)
  local headers = { ["content-type"] = "application/problem+json" }
  return status, headers, assert(core.json.encode {
    type = "http://ns.adobe.com/aep/errors/" .. status, status = status, title = TITLES[status],
    detail = answers.shown(format:format(...)),
  })
end

return answers
