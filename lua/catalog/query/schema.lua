--- A schema as a function that says what of a record does not fit it. Known are types, properties, required, enum,
-- const, format date-time and date, pattern, minimum, maximum, minLength, maxLength, arrays, maps, allOf, anyOf, oneOf,
-- if, not, and references within the schema. What is not known fits: nothing is called wrong that the service might
-- take.
-- @module catalog.query.schema
local conditions = require "catalog.query.schema_choices"
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local leaves = require "catalog.query.schema_leaves"
local options = require "catalog.base.options"
local parts = require "catalog.query.schema_parts"

local NULL <const> = core.json.null

-- Of more fields than that the nearest to a mistyped one is not looked for.
local MOST_NEAR <const> = 500

local compile

-- What fits a part of a schema. Each part is made once. Parts may contain themselves: one that is being made is called
-- by way of a function that finds it later.
local function child_of(part, all)
  if type(part) ~= "table" then return leaves.anything end
  local known = all.made[part]
  if known then return known end
  all.made[part] = function(value, state, depth) return all.made[part](value, state, depth) end
  all.made[part] = compile(part, all)
  return all.made[part]
end

local function is_object(value) return type(value) == "table" and value[1] == nil end
local function is_array(value) return type(value) == "table" and (value[1] ~= nil or next(value) == nil) end

local function unknown_message(name, children, count)
  local nearest = count <= MOST_NEAR and options.nearest(name, children)
  return "the schema has no such field" .. (nearest and ("; did you mean '%s'?"):format(nearest) or "")
end

local function object(node, all)
  local children, count, required = {}, 0, {}
  for name, part in pairs(node.properties or {}) do children[name], count = child_of(part, all), count + 1 end
  for _, name in ipairs(node.required or {}) do
    if type(name) == "string" then required[#required + 1] = name end
  end
  local others, more = parts.others(node, all)
  for name in pairs(more or {}) do
    children[name], count = children[name] or leaves.anything, count + (children[name] and 0 or 1)
  end
  local map = type(others) == "table" and child_of(others, all)
  return function(value, state, depth)
    if not is_object(value) then return state:add(depth, "type", leaves.wrong(value, "an object")) end
    local at, below = state.at, depth + 1
    for name, item in next, value do
      local child = children[name] or map
      at[depth] = name
      if child then
        if item ~= NULL then child(item, state, below) end
      elseif not others then
        state:add(depth + 1, "unknown", unknown_message, name, children, count)
      end
    end
    for i = 1, #required do
      local item = value[required[i]]
      if item == nil or item == NULL then
        at[depth] = required[i]
        state:add(depth + 1, "required", "it is missing")
      end
    end
  end
end

local function array(node, all)
  local child = child_of(node.items, all)
  return function(value, state, depth)
    if not is_array(value) then return state:add(depth, "type", leaves.wrong(value, "an array")) end
    for i = 1, #value do
      state.at[depth] = i
      if value[i] ~= NULL then child(value[i], state, depth + 1) end
    end
  end
end

local function of_kind(kind, node, all)
  if kind == "object" then return object(node, all) end
  if kind == "array" then return array(node, all) end
  return leaves.of(kind, node)
end

-- Which of several kinds a value is to fit.
local FITS <const> = {
  object = is_object, array = is_array, string = function(value) return type(value) == "string" end,
  number = function(value) return type(value) == "number" end, integer = leaves.is_integer,
  boolean = function(value) return type(value) == "boolean" end, null = function(value) return value == NULL end,
}

local function of_several(kinds, node, all)
  local choices, names = {}, {}
  for i, kind in ipairs(kinds) do
    choices[i] = { fits = FITS[kind] or function() return true end, check = of_kind(kind, node, all) }
    names[i] = tostring(kind)
  end
  return function(value, state, depth)
    for _, choice in ipairs(choices) do
      if choice.fits(value) then return choice.check(value, state, depth) end
    end
    return state:add(depth, "type", leaves.wrong(value, table.concat(names, " or ")))
  end
end

-- The same schema with all fields taken that a part does not name, as parts that are alternatives do.
local function lenient(all)
  if not all.is_lenient then
    all.lenient = all.lenient or { root = all.root, made = {}, is_lenient = true }
  end
  return all.lenient or all
end

function compile(part, all)
  local node = parts.gather(part, all)
  local make = type(node.type) == "table" and of_several or of_kind
  return conditions.with(make(node.type, node, all), node.conditions, {
    all = all, lenient = function(one) return child_of(one, lenient(all)) end,
  })
end

-- --- what is found ---

local State = {}
State.__index = State

local function path_of(at, depth)
  local names = {}
  for i = 1, depth - 1 do
    local name = at[i]
    if type(name) == "number" then
      names[i] = ("[%d]"):format(name)
    else
      names[i] = (i > 1 and "." or "") .. core.failure.line(name)
    end
  end
  return table.concat(names)
end

-- Takes note of a problem of the value at the path above `depth`. Messages that take work are made only where they are
-- kept.
function State:add(depth, problem, message, ...)
  self.count = self.count + 1
  if #self.found >= self.most then return end
  if type(message) == "function" then message = message(...) end
  self.found[#self.found + 1] = { path = path_of(self.at, depth), problem = problem, message = message }
end

--- Makes the function.
-- @function schema
-- @tparam table given a JSON schema, decoded
-- @treturn[1] function is given a record and how many problems are wanted; gives a list of them (`path`, such as
--   `person.list[2].name`, where the first of a list is 1; `problem`: `unknown`, `required`, `type`, `enum`, `format`,
--   `pattern`, `range`, `length` or `choice`; `message`), and how many there are
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`
return function(given)
  if type(given) ~= "table" or #given > 0 then return failure("data", "the schema is no object") end
  local check = child_of(given, { root = given, made = {} })
  -- used again as long as nothing is found
  local state = setmetatable({ at = {}, found = {}, count = 0, asked = {} }, State)
  return function(record, most)
    state.most = most or math.huge
    check(record, state, 1)
    local found, count = state.found, state.count
    if count == 0 then return {}, 0 end
    state.found, state.count = {}, 0
    return found, count
  end
end
