--- What a reply that is no success means. The service answers faults in three shapes (gateway, service, and
-- whatever lies in between); callers see one error table.
-- @module catalog.client.reply
local core = require "catalog.core"

local reply = {}

-- What the gateway's codes ask of the reader. Source: Adobe's API troubleshooting guide.
local ADVICE <const> = {
  ["403010"] = "set token, or AEP_ACCESS_TOKEN",
  ["401013"] = "the token is wrong or has expired; get a new one",
  ["403000"] = "set api_key, or AEP_API_KEY",
  ["403003"] = "check api_key, or AEP_API_KEY",
  ["400003"] = "set org, or AEP_ORG",
  ["403025"] = "check org, or ask for access to it",
}

-- Statuses that ask for other credentials; 407 those of a proxy.
local REFUSALS <const> = { [401] = true, [403] = true, [407] = true }

-- Statuses after which the same request may succeed a little later.
local PASSING <const> = {
  [408] = true, [425] = true, [429] = true, [500] = true, [502] = true, [503] = true, [504] = true,
}

local PROXY_ADVICE <const> = "the proxy wants a user and a password that it knows; put them into proxy, as"
  .. " http://USER:PASSWORD@HOST:PORT"

local LONGEST_EXCERPT <const>, SHORTEST_SECRET <const> = 160, 8

-- How each gzip file begins.
local GZIP <const> = "\x1f\x8b"

-- What a reader would see of a page.
local function without_markup(body)
  return body:gsub("<!%-%-.-%-%->", " "):gsub("<[hH][eE][aA][dD].-</[hH][eE][aA][dD]>", " ")
    :gsub("<[sS][cC][rR][iI][pP][tT].-</[sS][cC][rR][iI][pP][tT]>", " "):gsub("<[^>]*>", " ")
    :gsub("[%c%s]+", " "):match("^ ?(.-) ?$")
end

local function shorten(text)
  if #text > LONGEST_EXCERPT then
    local cut = text:sub(1, LONGEST_EXCERPT)
    -- not in the middle of a character
    text = cut:sub(1, utf8.len(cut) and #cut or (select(2, utf8.len(cut)) or 1) - 1) .. "..."
  end
  return text
end

local function text_of(value)
  if type(value) == "string" and value ~= "" then return value end
  if type(value) == "number" then return ("%.14g"):format(value) end
end

-- code, message and detail of a body, whichever shape it has. No message: the body is not one of them.
local function read(body)
  local fields = core.json.decode(body)
  if type(fields) ~= "table" then return end
  if text_of(fields.error_code) then
    return text_of(fields.error_code), text_of(fields.message)
  elseif text_of(fields.title) or text_of(fields.detail) then
    return nil, text_of(fields.title), text_of(fields.detail)
  elseif text_of(fields.error) then
    return text_of(fields.error), text_of(fields.error_description)
  end
  return nil, text_of(fields.message)
end

local function is_json(body)
  return core.json.decode(body) ~= nil
end

-- Whether a request that was sent may have been acted on: nobody who knows has answered.
local function unknown_outcome(request, status, body)
  if request.method == "GET" or request.method == "HEAD" or status < 500 then return false end
  return status == 502 or status == 504 or not is_json(body)
end

local function describe(status, code, message, detail, seen)
  if status == 407 then return PROXY_ADVICE end
  if status >= 300 and status < 400 then
    return ("the server answered %d, a redirect, which is not followed; check base_url"):format(status)
  end
  local said = message and detail and message ~= detail and message .. ": " .. detail or detail or message
  if not said then
    said = seen ~= "" and "not the service's own answer: " .. seen or "no explanation"
  end
  local advice = ADVICE[code]
  -- the codes of the gateway are digits; IMS's are words, and say something
  local named = code and not code:find "^%d+$" and code .. ": " or ""
  return ("the server answered %d: %s%s%s"):format(status, named, said, advice and " (" .. advice .. ")" or "")
end

-- A server made for debugging may repeat the request, token and all. What is too short to be a secret is a word.
local function redact(text, secrets)
  for _, secret in ipairs(secrets) do
    if #secret >= SHORTEST_SECRET then text = text:gsub(secret:gsub("%p", "%%%0"), "***") end
  end
  return text
end

-- Whether a text shows a secret to who leaves its white space out.
local function shows(text, secrets)
  local dense = text:gsub("%s+", "")
  for _, secret in ipairs(secrets) do
    if #secret >= SHORTEST_SECRET and dense:find(secret:gsub("%s+", ""), 1, true) then return true end
  end
  return false
end

--- What of a text the server sent may be shown.
-- @tparam ?string text
-- @tparam {string,...} secrets
-- @treturn ?string one line, and no secret in it
function reply.line(text, secrets)
  if not text then return nil end
  local line = redact(text, secrets):gsub("[%c%s]+", " ")
  return shows(line, secrets) and "***" or line
end

-- How a body is encoded, which nobody has asked for; nil when it is not.
local function encoding_of(body, transfer)
  local named = transfer:header "content-encoding"
  if named and named:lower() ~= "identity" then return named end
  return body:sub(1, #GZIP) == GZIP and "gzip" or nil
end

-- What of a body of unknown shape may be shown. JSON has more than one way to write a secret, and markup can hide one.
local function seen_of(body, transfer, secrets)
  local encoding = encoding_of(body, transfer)
  if encoding then return ("a body encoded as %s, which was not asked for"):format(reply.line(encoding, secrets)) end
  local value = core.json.decode(body)
  return shorten(reply.line(without_markup(value ~= nil and core.json.encode(value) or body), secrets))
end

--- The error a reply stands for.
-- @tparam table request what was sent: `method`, `url`
-- @tparam integer status the HTTP status, not a success
-- @tparam string body
-- @tparam transfer transfer the exchange, for the headers of the reply
-- @tparam {string,...} secrets what must not be in the error, whatever the server says
-- @treturn table error of kind `auth` or `http`, with `status`, and `code`, `detail`, `request_id`, `retry_after`
--   (as sent: seconds or a date), `retryable`, `ambiguous` where they apply
function reply.failure(request, status, body, transfer, secrets)
  local code, message, detail = read(body)
  -- after the body was read: JSON has more than one way to write a secret
  code, message, detail = reply.line(code, secrets), reply.line(message, secrets), reply.line(detail, secrets)
  local refused = REFUSALS[status] or ADVICE[code] ~= nil or code == "invalid_client"
  local said = describe(status, code, message, detail, seen_of(body, transfer, secrets))
  return core.failure.new {
    kind = refused and "auth" or "http", message = ("%s %s: %s"):format(request.method, request.url, said),
    status = status, code = code, detail = detail, request_id = reply.line(transfer:header "x-request-id", secrets),
    retry_after = reply.line(transfer:header "retry-after", secrets),
    retryable = PASSING[status], ambiguous = unknown_outcome(request, status, body) or nil,
    method = request.method, url = request.url,
  }
end

--- Completes an error about the body of a success.
-- @tparam table request what was sent: `method`, `url`
-- @tparam integer status
-- @tparam string body
-- @tparam transfer transfer the exchange, for the headers of the reply
-- @tparam table err the error, which gets `status` unless it has one, `request_id`, `method`, `url`, and `ambiguous`
--   when the request was not a mere question
-- @tparam {string,...} secrets what must not be in it
-- @treturn table err
function reply.unreadable(request, status, body, transfer, err, secrets)
  err.message = ("%s %s: the server answered %d, but %s"):format(request.method, request.url, status, err.message)
  -- never of what answers a call without credentials: a part of a token may be in it
  local seen = err.kind == "protocol" and not request.anonymous and seen_of(body, transfer, secrets) or ""
  if seen ~= "" then err.message = ("%s; it is: %s"):format(err.message, seen) end
  err.status, err.request_id = err.status or status, reply.line(transfer:header "x-request-id", secrets)
  err.method, err.url = request.method, request.url
  err.ambiguous = request.method ~= "GET" and request.method ~= "HEAD" or nil
  -- what cannot be read may have been cut short, in the headers even; asking again does no harm where it is repeatable
  err.retryable = request.repeatable and err.kind == "protocol" or nil
  return err
end

return reply
