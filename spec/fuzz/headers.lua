-- Header lines: those we send, those that come back, and what a Retry-After asks for. The input is one of the first,
-- and the head of a reply as it goes over the wire.
local fuzz = ...

local scheduler = require "catalog.scheduler.scheduler"
local core = require "catalog.core"
local reply = require "catalog.client.reply"
local retry = require "catalog.client.retry"

local NOW <const> = 1552694873000
local NAMES <const> = { "retry-after", "X-Request-Id", "content-type", "location", "" }
local KINDS <const> = { network = true, timeout = true, tls = true, protocol = true, limit = true, cancelled = true }

local client <const> = assert(core.client.new { connect_timeout = 5, max_reply = 2048, user_agent = "fuzz" })
local headers <const> = core.client.headers { "Accept: application/json" }

local function check_after(text)
  local seconds = retry.after(text, NOW)
  assert(seconds == nil or type(seconds) == "number" and seconds >= 0 and seconds < math.huge, "retry.after")
end

local function check_header(data)
  local line, err = core.url.header("Authorization", "Bearer " .. data, "token")
  if line then
    assert(not line:find "%c", "a control character in a header")
    assert(line == "Authorization: Bearer " .. data)
    core.client.headers { line }
  else
    assert(err.kind == "config" and data:find "%c", err.message)
  end
end

local function check_reply(transfer, request)
  local status, body = transfer:reply()
  if not status then
    assert(KINDS[body.kind] and type(body.message) == "string" and tostring(body), body.kind)
    return
  end
  assert(math.type(status) == "integer" and type(body) == "string" and #body <= 2048)
  for _, name in ipairs(NAMES) do
    local value = transfer:header(name)
    assert(value == nil or type(value) == "string" and not value:find "[\r\n]", name)
  end
  check_after(transfer:header "retry-after")
  local err = reply.failure(request, status, body, transfer, { "s3cret/tok+en==" })
  assert(type(err.message) == "string" and type(tostring(err)) == "string")
  assert(not tostring(err):find "%c", "a control character is shown: " .. ("%q"):format(tostring(err)))
end

return function(data)
  check_after(data)
  check_header(data)
  local request = { method = "GET", url = ("http://127.0.0.1:%d/"):format(fuzz.serve(data)) }
  local transfer <close> = assert(core.transfer.start(client, request, headers, 5))
  scheduler.transfer(transfer)
  check_reply(transfer, request)
end
