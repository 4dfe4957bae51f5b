--- What fits a part of a schema that is neither an object nor an array.
-- @module catalog.query.schema_leaves
local core = require "catalog.core"
local regex = require "catalog.query.regex"

local leaves = {}

local NULL <const> = core.json.null
local find <const>, kind <const>, type <const> = string.find, math.type, type

-- How many of the values of an enum are told.
local MOST_TOLD <const> = 8

--- Takes any value.
function leaves.anything() end

local function kind_of(value)
  if value == NULL then return "null" end
  if type(value) == "table" then return value[1] ~= nil and "an array" or "an object" end
  return ({ string = "a text", number = "a number", boolean = "a boolean" })[type(value)] or type(value)
end

--- Says that a value is of another type.
-- @param value
-- @tparam string wanted
-- @treturn string
function leaves.wrong(value, wanted) return ("it is %s, and not %s"):format(kind_of(value), wanted) end

--- Whether a value is a whole number.
function leaves.is_integer(value)
  return math.type(value) == "integer" or math.type(value) == "float" and value == value // 1
end

-- --- checks of a value whose type fits: each gives what is wrong and how, or nil ---

local function shown(value)
  local text = core.json.encode(value) or tostring(value)
  return #text > 60 and text:sub(1, 57) .. "..." or text
end

local function enum_of(node)
  local enum = node.const ~= nil and { node.const } or node.enum
  if type(enum) ~= "table" or #enum == 0 then return nil end
  local known, names = {}, {}
  for i, value in ipairs(enum) do
    if type(value) == "table" then return nil end -- nothing that can be told apart so
    known[value] = true
    if i <= MOST_TOLD then names[i] = shown(value) end
  end
  local list = table.concat(names, ", ") .. (#enum > MOST_TOLD and ", ..." or "")
  local what = node.const ~= nil and "is not" or "is none of"
  return function(value)
    if not known[value] then return "enum", ("%s %s %s"):format(shown(value), what, list) end
  end
end

local function in_range(text, first, last)
  local number = tonumber(text)
  return number >= first and number <= last
end

local function is_date(text)
  local month, day = text:match "^%d%d%d%d%-(%d%d)%-(%d%d)$"
  return month and in_range(month, 1, 12) and in_range(day, 1, 31)
end

-- Most are written so, and one look is enough for many of them: of the months those before October, and those after.
local USUAL_TIMES <const> = {
  "^%d%d%d%d%-0[1-9]%-[012][1-9]T[01]%d:[0-5]%d:[0-5]%d%.?%d*Z$",
  "^%d%d%d%d%-1[0-2]%-[012][1-9]T[01]%d:[0-5]%d:[0-5]%d%.?%d*Z$",
}

-- RFC 3339, which wants a zone.
local function is_date_time(text)
  if find(text, USUAL_TIMES[1]) or find(text, USUAL_TIMES[2]) then return true end
  local date, hour, minute, second, zone = text:match "^(%d%d%d%d%-%d%d%-%d%d)[Tt ](%d%d):(%d%d):(%d%d)%.?%d*(.*)$"
  return date and is_date(date) and in_range(hour, 0, 23) and in_range(minute, 0, 59) and in_range(second, 0, 60)
    and (zone:find "^[Zz]$" or zone:find "^[+-]%d%d:?%d%d$") ~= nil
end

local FORMATS <const> = {
  ["date-time"] = { is_date_time, "a date and a time with its zone, such as 2026-11-26T08:00:00Z" },
  date = { is_date, "a date, such as 2026-11-26" },
}

local function format_of(node)
  local format = FORMATS[node.format]
  if not format then return nil end
  local fits, what = table.unpack(format)
  return function(value)
    if not fits(value) then return "format", ("%s is not %s"):format(shown(value), what) end
  end
end

local function pattern_of(node)
  local matches = type(node.pattern) == "string" and regex.compile(node.pattern)
  if not matches then return nil end -- one that is not understood says nothing
  return function(value)
    local fine, found = pcall(matches, value)
    if fine and not found then return "pattern", ("%s does not match %s"):format(shown(value), node.pattern) end
  end
end

local function length_of(node)
  local least, most = tonumber(node.minLength), tonumber(node.maxLength)
  if not least and not most then return nil end
  return function(value)
    local length = utf8.len(value) or #value
    if least and length < least then return "length", ("it has %d characters, and needs %d"):format(length, least) end
    if most and length > most then return "length", ("it has %d characters, and may have %d"):format(length, most) end
  end
end

local function range_of(node)
  local least, most = tonumber(node.minimum), tonumber(node.maximum)
  local above = node.exclusiveMinimum == true and least or tonumber(node.exclusiveMinimum)
  local below = node.exclusiveMaximum == true and most or tonumber(node.exclusiveMaximum)
  if not (least or most or above or below) then return nil end
  return function(value)
    if least and value < least then return "range", ("%s is less than %s"):format(shown(value), shown(least)) end
    if most and value > most then return "range", ("%s is more than %s"):format(shown(value), shown(most)) end
    if above and value <= above then return "range", ("%s is not more than %s"):format(shown(value), shown(above)) end
    if below and value >= below then return "range", ("%s is not less than %s"):format(shown(value), shown(below)) end
  end
end

-- A check that finds nothing.
local function nothing() end

-- Checks as one: most values have one at the most.
local function joined(...)
  local checks = {}
  for i = 1, select("#", ...) do checks[#checks + 1] = (select(i, ...)) end
  if #checks < 2 then return checks[1] or nothing end
  return function(value)
    for i = 1, #checks do
      local problem, message = checks[i](value)
      if problem then return problem, message end
    end
  end
end

-- What checks a type is written out for each: it is done for every value there is.
local KINDS <const> = {
  string = function(node)
    local check = joined(enum_of(node), format_of(node), pattern_of(node), length_of(node))
    return function(value, state, depth)
      if type(value) ~= "string" then return state:add(depth, "type", leaves.wrong(value, "a text")) end
      local problem, message = check(value)
      if problem then state:add(depth, problem, message) end
    end
  end,
  number = function(node)
    local check = joined(enum_of(node), range_of(node))
    return function(value, state, depth)
      if type(value) ~= "number" then return state:add(depth, "type", leaves.wrong(value, "a number")) end
      local problem, message = check(value)
      if problem then state:add(depth, problem, message) end
    end
  end,
  integer = function(node)
    local check = joined(enum_of(node), range_of(node))
    return function(value, state, depth)
      if kind(value) ~= "integer" and not leaves.is_integer(value) then
        return state:add(depth, "type", leaves.wrong(value, "a whole number"))
      end
      local problem, message = check(value)
      if problem then state:add(depth, problem, message) end
    end
  end,
  boolean = function(node)
    local check = joined(enum_of(node))
    return function(value, state, depth)
      if type(value) ~= "boolean" then return state:add(depth, "type", leaves.wrong(value, "true or false")) end
      local problem, message = check(value)
      if problem then state:add(depth, problem, message) end
    end
  end,
  null = function()
    return function(value, state, depth)
      if value ~= NULL then state:add(depth, "type", leaves.wrong(value, "null")) end
    end
  end,
}

-- What fits a value of any kind: what is said of texts and numbers is about those.
local function of_any(node)
  local enum, range = enum_of(node), range_of(node)
  local text = joined(format_of(node), pattern_of(node), length_of(node))
  if not enum and not range and text == nothing then return leaves.anything end
  local checks = { string = joined(enum, text), number = joined(enum, range) }
  return function(value, state, depth)
    local problem, message = (checks[type(value)] or enum or nothing)(value)
    if problem then state:add(depth, problem, message) end
  end
end

--- What fits a kind of value.
-- @tparam ?string wanted `string`, `number`, `integer`, `boolean`, `null`; any other fits all
-- @tparam table node what the schema says of it
-- @treturn function called with a value, a state and a depth, as in `catalog.query.schema`
function leaves.of(wanted, node) return (KINDS[wanted] or of_any)(node) end

-- The keywords of a value that is no object and no array which are looked at here, where they can be.
local TOLD <const> = {
  enum = enum_of, const = enum_of, format = format_of, pattern = pattern_of, minLength = length_of,
  maxLength = length_of, minimum = range_of, maximum = range_of, exclusiveMinimum = range_of,
  exclusiveMaximum = range_of,
}

--- Whether all that a keyword says is looked at here.
-- @tparam string name
-- @tparam table node which has it
-- @treturn boolean
function leaves.knows(name, node) return TOLD[name] ~= nil and TOLD[name](node) ~= nil end

return leaves
