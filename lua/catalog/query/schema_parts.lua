--- What a part of a schema says of a value, wherever it says so.
-- @module catalog.query.schema_parts
local leaves = require "catalog.query.schema_leaves"

local parts = {}

-- What may say more of an object than its properties do.
local OPEN <const> = { "patternProperties", "propertyNames" }

-- What of a schema has to be a table to say anything.
local TABLES <const> = { properties = true, required = true, allOf = true, anyOf = true, oneOf = true }

-- What is true of a value under a condition: it is kept apart, and each of several holds.
local CONDITIONS <const> = { anyOf = true, oneOf = true, ["if"] = true, ["not"] = true }

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

-- Two parts that hold of one value, as one. Of the same parts it is always the same one, so that parts that contain
-- themselves come to an end.
local function both(one, other, all)
  if type(other) ~= "table" then return one end
  if type(one) ~= "table" then return other end
  all.joined = all.joined or { numbers = {}, members = {}, count = 0, by_key = {} }
  local joined, seen, list = all.joined, {}, {}
  for _, part in ipairs { one, other } do
    for _, member in ipairs(joined.members[part] or { part }) do
      if not seen[member] then list[#list + 1], seen[member] = member, true end
      if not joined.numbers[member] then
        joined.count = joined.count + 1
        joined.numbers[member] = joined.count
      end
    end
  end
  if #list == 1 then return one end
  table.sort(list, function(a, b) return joined.numbers[a] < joined.numbers[b] end)
  local numbers = {}
  for i, member in ipairs(list) do numbers[i] = joined.numbers[member] end
  local key = table.concat(numbers, " ")
  if not joined.by_key[key] then
    joined.by_key[key] = { allOf = list }
    joined.members[joined.by_key[key]] = list
  end
  return joined.by_key[key]
end

local function add_condition(into, condition)
  into.conditions = into.conditions or {}
  into.conditions[#into.conditions + 1] = condition
end

local gather

-- Adds what one keyword says to what others say of the same value.
local function add(into, part, name, value, all, on_way)
  if TABLES[name] and type(value) ~= "table" then
    into.open = true
  elseif name == "properties" then
    into.properties = into.properties or {}
    for field, schema in pairs(value) do into.properties[field] = both(into.properties[field], schema, all) end
  elseif name == "required" then
    into.required = into.required or {}
    for _, field in ipairs(value) do into.required[#into.required + 1] = field end
  elseif name == "$ref" and type(value) == "string" then
    local found = find(all.root, value)
    if found then gather(into, found, all, on_way) else into.open = true end
  elseif name == "allOf" then
    for _, one in ipairs(value) do gather(into, one, all, on_way) end
  elseif CONDITIONS[name] then
    add_condition(into, { kind = name, part = value, yes = part["then"], no = part["else"] })
  elseif into[name] == nil then
    into[name] = value
  elseif name == "items" then
    into.items = both(into.items, value, all)
  elseif into[name] ~= value and (name == "type" or leaves.knows(name, part)) then
    add_condition(into, { kind = "allOf", part = { [name] = value } })
  end
end

function gather(into, part, all, on_way)
  if type(part) ~= "table" or on_way[part] then return end
  on_way[part] = true
  for name, value in pairs(part) do add(into, part, name, value, all, on_way) end
  on_way[part] = nil
end

--- Gathers it.
-- @tparam table part
-- @tparam table all `root`, the schema that it is in; what else is noted in it is of this module
-- @treturn table the same with references and `allOf` resolved; `open` (true): not all of it is known; `type` is there
--   where it is clear; `conditions`, where there are any: each `kind` (`anyOf`, `oneOf`, `if`, `not`, `allOf`), `part`,
--   and of an `if` what holds then, `yes`, and else, `no`
function parts.gather(part, all)
  local node = {}
  gather(node, part, all, {})
  if node.type == nil then
    local is_object = node.properties or node.required and #node.required > 0
    node.type = is_object and "object" or node.items and "array" or nil
  end
  return node
end

-- The parts that a condition may let hold of the same value.
local function alternatives(condition)
  if condition.kind == "if" then return { condition.part, condition.yes, condition.no } end
  if condition.kind == "not" then return {} end
  return condition.kind == "allOf" and { condition.part } or condition.part
end

-- Adds the fields that a node names itself, or by what holds of it under a condition. False: it may have others.
local function add_fields(fields, node, all, on_way)
  if node.open then return false end
  for _, name in ipairs(OPEN) do
    if node[name] ~= nil then return false end
  end
  for name in pairs(node.properties or {}) do fields[name] = true end
  for _, condition in ipairs(node.conditions or {}) do
    for _, part in pairs(alternatives(condition)) do
      if type(part) == "table" and not on_way[part] then
        on_way[part] = true
        local one = parts.gather(part, all)
        if one.additionalProperties then return false end -- of any kind
        if not add_fields(fields, one, all, on_way) then return false end
      end
    end
  end
  return true
end

--- What fields there may be that are not among the properties.
-- @tparam table node as of `gather`
-- @tparam table all as of `gather`
-- @treturn boolean|table the schema of their values; false: none; true: any
-- @treturn ?{[string]=boolean,...} the names of those there are besides, where the first value is false
function parts.others(node, all)
  local more, fields = node.additionalProperties, {}
  if type(more) == "table" and next(more) then return more end
  if more ~= nil and more ~= false then return true end
  if not add_fields(fields, node, all, {}) then return true end
  if more == nil and (all.is_lenient or next(fields) == nil) then return true end
  if more == false and not node.properties then return true end
  return false, fields
end

-- What says nothing that a value could fail.
local SILENT <const> = {
  title = true, description = true, default = true, examples = true, definitions = true, ["$defs"] = true,
  ["$id"] = true, ["$schema"] = true, ["$comment"] = true, ["then"] = true, ["else"] = true, readOnly = true,
  type = true, required = true, -- which are looked at
}

local is_known

local function are_known(list, all, on_way)
  for _, one in pairs(list) do
    if not is_known(one, all, on_way) then return false end
  end
  return true
end

-- Whether all that a keyword says is looked at.
local function knows(name, value, part, all, on_way)
  if SILENT[name] or name:find "^meta:" or name:find "^xdm:" then return true end
  if leaves.knows(name, part) then return true end
  if name == "items" then return is_known(value, all, {}) end
  if name == "if" or name == "not" then return is_known(value, all, on_way) end
  if name == "$ref" then return is_known(type(value) == "string" and find(all.root, value) or nil, all, on_way) end
  if name == "additionalProperties" then return type(value) == "boolean" or is_known(value, all, {}) end
  return (TABLES[name] and type(value) == "table") and are_known(value, all, name == "properties" and {} or on_way)
end

function is_known(part, all, on_way)
  if type(part) ~= "table" then return part == true end
  if on_way[part] then return false end -- it would have to be known of the same value
  all.known = all.known or {}
  if all.known[part] ~= nil then return all.known[part] end
  all.known[part], on_way[part] = true, true -- the parts of a value may be what it is
  for name, value in pairs(part) do
    if type(name) ~= "string" or not knows(name, value, part, all, on_way) then
      all.known[part] = false
      break
    end
  end
  on_way[part] = nil
  return all.known[part]
end

--- Whether all that a part says is looked at: what fits then, surely fits.
-- @tparam table part
-- @tparam table all as of `gather`
-- @treturn boolean
function parts.is_known(part, all) return is_known(part, all, {}) end

return parts
