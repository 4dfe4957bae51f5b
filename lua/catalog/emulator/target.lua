--- Request targets: paths and queries.
-- @module catalog.emulator.target
local target = {}

local function decode(text)
  return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

--- The fields of a query or a form, in their order.
-- @tparam string text `a=b&c=d`
-- @treturn {table,...} pairs of a name and a value
function target.list(text)
  local list = {}
  for name, value in text:gsub("%+", " "):gmatch "([^&=]+)=?([^&]*)" do
    list[#list + 1] = { decode(name), decode(value) }
  end
  return list
end

--- The fields of a query or a form.
-- @tparam string text `a=b&c=d`
-- @treturn table name -> value; of a name that stands twice, the last
function target.fields(text)
  local fields = {}
  for _, pair in ipairs(target.list(text)) do fields[pair[1]] = pair[2] end
  return fields
end

--- Splits a target.
-- @tparam string text as sent
-- @treturn {string,...} the segments of the path, decoded
-- @treturn table the fields of the query
function target.split(text)
  local path, query = text:match "^([^?]*)%??(.*)$"
  local segments = {}
  for segment in path:gmatch "[^/]+" do segments[#segments + 1] = decode(segment) end
  return segments, target.fields(query)
end

return target
