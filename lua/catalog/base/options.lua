--- The one check of option tables. An unknown option or a wrong type is a programming error: it raises.
-- @module catalog.base.options
local core = require "catalog.core"
local sorted = require "catalog.base.sorted"

local options = {}

-- Optimal string alignment distance: how many slips of the finger (a letter wrong, missing, too many, or two
-- swapped) lie between two words.
local function distance(a, b)
  local rows = { [0] = {} }
  for j = 0, #b do rows[0][j] = j end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      row[j] = math.min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], rows[i - 2][j - 2] + 1)
      end
    end
    rows[i] = row
  end
  return rows[#a][#b]
end

--- The known name that is nearest to a mistyped one.
-- @tparam string name what was written
-- @tparam table schema the known names, as keys
-- @treturn ?string the nearest, when it is near enough to be meant
function options.nearest(name, schema)
  local best, least = nil, math.max(2, #name // 2) + 1
  for _, known in ipairs(sorted(schema)) do
    local far = distance(name:lower(), known)
    if far < least then best, least = known, far end
  end
  return best
end

local function unknown(name, schema, call)
  if type(name) ~= "string" then
    return ("bad option for %s (names are strings, got the %s %s)"):format(call, type(name), tostring(name))
  end
  local nearest, shown = options.nearest(name, schema), core.failure.line(name)
  local hint = nearest and ("did you mean '%s'?"):format(nearest)
    or "the options are " .. table.concat(sorted(schema), ", ")
  return ("unknown option '%s' for %s (%s)"):format(shown, call, hint)
end

local function kind_of(value)
  if math.type(value) == "integer" then return "integer" end
  return type(value)
end

-- Whether a value is of one of the types in `wanted`, a string such as "string|function".
local function fits(value, wanted)
  local kind = kind_of(value)
  for name in wanted:gmatch("[%a_]+") do
    if name == "any" or name == kind or (name == "number" and kind == "integer") then return true end
    if name == "callable" then
      local meta = getmetatable(value)
      if kind == "function" or (type(meta) == "table" and meta.__call) then return true end
    end
  end
  return false
end

--- Checks a table of options against what a call knows.
-- @tparam ?table given the caller's table; nil stands for none
-- @tparam {[string]=string,...} schema name -> type, or types separated by `|`; besides Lua's own there are
--   `integer` (a number without a fraction, written so), `callable` and `any`
-- @tparam string call the name of the call, for the message
-- @tparam[opt=1] integer level who is to blame, as in `error`, seen from the caller of `check`
-- @treturn table the same table, or a new empty one
-- @raise `unknown option 'datset' for create_batch (did you mean 'dataset'?)`;
--   `bad option 'dataset' for create_batch (string expected, got number)`
function options.check(given, schema, call, level)
  level = (level or 1) + 1
  if given == nil then return {} end
  if type(given) ~= "table" then
    error(("bad argument to %s (a table of options expected, got %s)"):format(call, type(given)), level)
  end
  for name, value in pairs(given) do
    local wanted = schema[name]
    if not wanted then error(unknown(name, schema, call), level) end
    if type(value) ~= wanted and not fits(value, wanted) then -- most are of the one type wanted
      error(("bad option '%s' for %s (%s expected, got %s)"):format(name, call, wanted:gsub("|", " or "),
        type(value)), level)
    end
  end
  return given
end

return options
