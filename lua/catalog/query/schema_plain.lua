--- A schema for `catalog.core.fits`, which knows the plain part of it, and is fast.
-- @module catalog.query.schema_plain
local core = require "catalog.core"
local leaves = require "catalog.query.schema_leaves"
local parts = require "catalog.query.schema_parts"
local sets_of = require "catalog.query.schema_pattern"

-- How many fields an object may need, and from how many on it is not looked at.
local MOST_NEEDED <const> = 64

local FORMATS <const> = { ["date-time"] = ("t"):byte(), date = ("d"):byte() }

local LEAST <const>, MOST <const> = -2 ^ 53, 2 ^ 53

local LONGEST <const> = 1 << 31 -- of a text

local UNSURE <const> = "unsure"

local number_of

-- What an enum is for the core; nil: nothing of it.
local function words_of(node)
  local words = {}
  if type(node.enum) ~= "table" or #node.enum == 0 then return words, false end
  for i, value in ipairs(node.enum) do
    if type(value) ~= "string" then return nil end
    words[i] = { value, 1, 0 }
  end
  return words, true
end

local function within(length) return math.min(math.max(length, 0), LONGEST) end

local function of_string(node)
  local words, is_enum = words_of(node)
  local shortest, longest = tonumber(node.minLength), tonumber(node.maxLength)
  local sets, is_open
  if type(node.pattern) == "string" then sets, is_open = sets_of(node.pattern) end
  if not words or node.pattern ~= nil and not sets then return { kind = UNSURE, words = {} } end
  return {
    sets = sets, sets_open = is_open,
    kind = "string", words = words, enum = is_enum, format = FORMATS[node.format],
    length = shortest ~= nil or longest ~= nil, shortest = math.ceil(within(shortest or 0)),
    longest = math.floor(within(longest or LONGEST)),
  }
end

-- Where a bound itself does not fit, what is one away surely does.
local function of_number(node)
  if node.enum ~= nil then return { kind = UNSURE, words = {} } end
  local least, most = tonumber(node.minimum) or LEAST, tonumber(node.maximum) or MOST
  if node.exclusiveMinimum then least = math.max(least, tonumber(node.exclusiveMinimum) or least) + 1 end
  if node.exclusiveMaximum then most = math.min(most, tonumber(node.exclusiveMaximum) or most) - 1 end
  return { kind = node.type, words = {}, range = least > LEAST or most < MOST, least = least, most = most }
end

local function of_object(node, all)
  local made, numbers, others = { kind = "object", words = {}, needed = 0 }, {}, parts.others(node, all)
  for _, name in ipairs(node.required or {}) do
    if type(name) == "string" and not numbers[name] then
      made.needed = made.needed + 1
      numbers[name] = made.needed
    end
  end
  if made.needed > MOST_NEEDED then return { kind = UNSURE, words = {} } end
  for name, part in pairs(node.properties or {}) do
    if type(name) ~= "string" then return { kind = UNSURE, words = {} } end
    made.words[#made.words + 1] = { name, number_of(part, all), numbers[name] or 0 }
    numbers[name] = nil
  end
  made.open = others ~= false
  made.others = number_of(type(others) == "table" and others or nil, all)
  for name, number in pairs(numbers) do made.words[#made.words + 1] = { name, made.others, number } end
  if next(numbers) and not made.open then return { kind = UNSURE, words = {} } end
  return made
end

local KINDS <const> = {
  string = of_string, number = of_number, integer = of_number, object = of_object,
  array = function(node, all) return { kind = "array", words = {}, others = number_of(node.items, all) } end,
  boolean = function(node) return { kind = node.enum == nil and "boolean" or UNSURE, words = {} } end,
}

local function node_of(part, all)
  local node = parts.gather(part, all)
  if node.conditions or node.const ~= nil then return { kind = UNSURE, words = {} } end
  local make = KINDS[node.type]
  if make then return make(node, all) end
  local is_any = leaves.of(node.type, node) == leaves.anything
  return { kind = is_any and "any" or UNSURE, words = {} }
end

-- The number of the node of a part; parts may contain themselves. What is no part fits anything.
function number_of(part, all)
  local key = type(part) == "table" and part or all
  if all.numbers[key] then return all.numbers[key] end
  local number = #all.nodes + 1
  all.numbers[key], all.nodes[number] = number, false
  all.nodes[number] = key == all and { kind = "any", words = {} } or node_of(part, all)
  return number
end

--- Makes what tells whether a line surely fits.
-- @function schema_plain
-- @tparam table given a JSON schema, decoded
-- @treturn fits of the core
return function(given)
  local all = { root = given, nodes = {}, numbers = {} }
  number_of(given, all)
  return core.fits.new(all.nodes)
end
