--- Records that a sink does not take, as lines of `rejected/records.jsonl`: each with the reason, and whole.
-- @module catalog.sink.rejected
local core = require "catalog.core"

local rejected = {}

local DEEPEST <const> = 20

-- What is kept of a value that has no JSON.
local SPECIAL <const> = { ["nil"] = true, ["function"] = true, userdata = true, thread = true }

-- The bytes of what is no UTF-8.
local function hex(text)
  return (text:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

-- Something that has JSON, of a value that may have none: it says what was there.
local function shown(value, depth)
  local kind = type(value)
  if value == core.json.null then return value end
  if SPECIAL[kind] or value ~= value or value == math.huge or value == -math.huge then return tostring(value) end
  if kind == "string" and not utf8.len(value) then return { hex = hex(value) } end
  if kind ~= "table" then return value end
  if depth > DEEPEST then return "..." end
  local copy = {}
  for key, field in next, value do
    local name = type(key) == "string" and utf8.len(key) and key or tostring(key)
    copy[core.failure.line(name)] = shown(field, depth + 1)
  end
  return copy
end

--- The line of a record that cannot be encoded.
-- @param record
-- @tparam string reason
-- @treturn string without a newline
function rejected.of_record(record, reason)
  return assert(core.json.encode { reason = reason, record = shown(record, 1) })
end

-- A record is kept whole up to so many bytes, and cut there.
local LONGEST <const> = 262144

--- The line of a text that is no JSON object.
-- @tparam string text
-- @tparam string reason
-- @tparam ?table where more that is told: `source`, `line`
-- @treturn string without a newline
function rejected.of_text(text, reason, where)
  local fields = { reason = reason }
  for name, value in pairs(where or {}) do fields[name] = value end
  if #text > LONGEST then
    fields.cut = ("the first %d of %d bytes"):format(LONGEST, #text)
    text = text:sub(1, LONGEST)
  end
  if utf8.len(text) then fields.text = text else fields.hex = hex(text) end
  return assert(core.json.encode(fields))
end

return rejected
