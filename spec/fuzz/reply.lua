-- What a service answers: JSON, batches, and whatever stands in an answer that is no success.
local core = require "catalog.core"
local reply = require "catalog.client.reply"

local SECRET <const> = "s3cret/tok+en=="
local REQUEST <const> = { method = "POST", url = "http://127.0.0.1/data/foundation/import/batches" }
local STATUSES <const> = { 400, 401, 429, 502 }

-- The reply's headers, which are whatever the server sends: here, the body's bytes that may stand in one.
local function stub(data)
  local value = data:gsub("[%c]", ""):sub(1, 60)
  return { header = function(_, name) return name == "x-request-id" and value or nil end }
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b and math.type(a) == math.type(b) end
  for key, value in pairs(a) do
    if not same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local function check_error(err)
  assert(type(err) == "table" and type(err.kind) == "string" and type(err.message) == "string", "no error table")
  assert(type(tostring(err)) == "string")
  return err
end

local function check_json(data)
  local value, err = core.json.decode(data)
  if value == nil then return check_error(err) end
  assert(not data:find("\0", 1, true), "what follows a zero byte is overlooked")
  local text, unfit = core.json.encode(value)
  -- what lua-cjson takes, and JSON cannot hold: no UTF-8, 1e999
  if not text then return check_error(unfit) end
  assert(same(value, core.json.decode(text)), "it is not what was encoded: " .. text)
  assert(core.json.encode(core.json.decode(text)), "it cannot be encoded again")
end

local function check_failure(data, status)
  local err = check_error(reply.failure(REQUEST, status, data, stub(data), { SECRET }))
  local shown = tostring(err)
  assert(err.status == status and (err.kind == "auth" or err.kind == "http"), "kind or status")
  assert(not shown:find(SECRET, 1, true), "the secret is shown: " .. shown)
  for name, value in pairs(err) do
    assert(type(value) ~= "string" or not value:find(SECRET, 1, true), "the secret is in " .. name)
  end
  assert(not shown:find "%c", "a control character is shown: " .. ("%q"):format(shown))
end

return function(data)
  check_json(data)
  local batch, err = core.batch.parse(data)
  if batch then assert(type(batch.id) == "string" and batch.id ~= "") else check_error(err) end
  for _, status in ipairs(STATUSES) do check_failure(data, status) end
end
