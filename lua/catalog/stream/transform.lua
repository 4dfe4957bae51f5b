--- A function of the user's that changes the records of a stream on their way: it drops one, makes several of it, or
-- another.
-- @module catalog.stream.transform
local core = require "catalog.core"

local Transform = {}
Transform.__index = Transform

--- @tparam function change `change(record, message)` gives nil (it is dropped), a list (`#t > 0`: several) or a record
-- @tparam integer record_bytes the longest record
-- @tparam ?table given `raw` (true: what it is given is the text itself, which may be no JSON), `refusal(record, line)`
--   (an error where a record that was made does not fit)
-- @treturn table
function Transform.new(change, record_bytes, given)
  given = given or {}
  return setmetatable({
    change = change, record_bytes = record_bytes, raw = given.raw or false, refusal = given.refusal or false,
  }, Transform)
end

-- A record as a line; nil and why it is none.
local function line_of(self, record)
  if type(record) ~= "table" then return nil, ("the transform gave a %s; a record is a table"):format(type(record)) end
  local line, err = core.json.encode(record)
  if not line then return nil, "the transform gave what cannot be encoded: " .. err.message end
  if line:byte() ~= 0x7B then return nil, "the transform gave a list in a list; a record is an object" end
  if #line > self.record_bytes then
    return nil, ("it has %d bytes after the transform; record_bytes is %d"):format(#line, self.record_bytes)
  end
  local unfit = self.refusal and self.refusal(record, line)
  if unfit then return nil, unfit.message end
  return line
end

local function lines_of(self, result)
  if result == nil then return {} end
  if type(result) ~= "table" or #result == 0 then
    local line, why = line_of(self, result)
    if line then return { line } end
    return nil, why
  end
  local lines = {}
  for i, record in ipairs(result) do
    local line, why = line_of(self, record)
    if not line then return nil, why end
    lines[i] = line
  end
  return lines
end

--- Changes a record.
-- @tparam ?string text JSON, or any bytes where it is `raw`; nil where a message has no value
-- @tparam ?table message where it comes from
-- @treturn[1] {string,...} the lines of what it has become; none: it is dropped
-- @treturn[2] nil
-- @treturn[2] string why it is rejected
function Transform:lines(text, message)
  local record, err = text, nil
  if text and not self.raw then record, err = core.json.decode_exact(text) end
  if err then return nil, err.message end
  local fine, result = pcall(self.change, record, message)
  if not fine then return nil, "the transform raised: " .. core.failure.line(tostring(result)) end
  return lines_of(self, result)
end

return Transform
