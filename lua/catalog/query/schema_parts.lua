--- What a part of a schema says of a value, wherever it says so.
-- @module catalog.query.schema_parts
local parts = {}

-- What may say more of an object than its properties do.
local OPEN <const> = { "anyOf", "oneOf", "if", "patternProperties", "propertyNames", "not" }

-- The part of a schema that a reference within it names; nil: there is none.
local function find(root, reference)
  local path = reference:match "^#(.*)$"
  if not path then return nil end
  local at = root
  for part in path:gmatch "[^/]+" do
    part = part:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end)
    part = part:gsub("~1", "/"):gsub("~0", "~")
    at = type(at) == "table" and (at[part] or at[math.tointeger(tonumber(part)) and tonumber(part) + 1]) or nil
  end
  return type(at) == "table" and at or nil
end

-- What of a schema has to be a table to say anything.
local TABLES <const> = { properties = true, required = true, allOf = true }

-- Adds what a part of a schema says to what others say of the same value.
local function gather(into, part, root, on_way)
  if type(part) ~= "table" or on_way[part] then return end
  on_way[part] = true
  for name, value in pairs(part) do
    if TABLES[name] and type(value) ~= "table" then
      into.open = true
    elseif name == "properties" then
      into.properties = into.properties or {}
      for field, schema in pairs(value) do into.properties[field] = into.properties[field] or schema end
    elseif name == "required" then
      into.required = into.required or {}
      for _, field in ipairs(value) do into.required[#into.required + 1] = field end
    elseif name == "$ref" and type(value) == "string" then
      local found = find(root, value)
      if found then gather(into, found, root, on_way) else into.open = true end
    elseif name == "allOf" then
      for _, one in ipairs(value) do gather(into, one, root, on_way) end
    elseif into[name] == nil then
      into[name] = value
    end
  end
  on_way[part] = nil
end

--- Gathers it.
-- @tparam table part
-- @tparam table root the schema that it is in
-- @treturn table the same with references and `allOf` resolved; `open` (true): not all of it is known; `type` is there
--   where it is clear
function parts.gather(part, root)
  local node = {}
  gather(node, part, root, {})
  if node.type == nil then node.type = node.properties and "object" or node.items and "array" or nil end
  return node
end

--- What fields there may be that are not among the properties.
-- @tparam table node as of `gather`
-- @treturn boolean|table the schema of their values; false: none; true: any
function parts.others(node)
  local more = node.additionalProperties
  if type(more) == "table" and next(more) then return more end
  if more ~= nil and more ~= false or node.open or not node.properties then return true end
  for _, name in ipairs(OPEN) do
    if node[name] then return true end
  end
  return false
end

return parts
