--- Regular expressions, as filters of the catalog and schemas have them: the common ground of POSIX's extended ones and
-- Java's.
-- @module catalog.query.regex
local regex = {}

-- A pattern that takes for ever is given up after so many steps.
local MOST_STEPS <const> = 100000

local CLASSES <const> = { d = "%d", D = "%D", w = "[%w_]", W = "[^%w_]", s = "%s", S = "%S" }

-- Raises why a pattern is none, as it is.
local function check(fine, why)
  if not fine then error(why, 0) end
  return fine
end

-- Each of these reads a part of the pattern at `p.at`, and gives a matcher: a function of the text, a position and
-- what comes after it (a function of a position), which says whether all of it matches.
local read_choice

local function take(p, pattern)
  local found = p.text:match("^" .. pattern, p.at)
  if found then p.at = p.at + #found end
  return found
end

local function one(fits)
  return function(text, at, after) return at <= #text and fits(text:sub(at, at)) and after(at + 1) end
end

local function of_class(class)
  return one(function(char) return char:find(class) ~= nil end)
end

local function is(wanted)
  return one(function(char) return char == wanted end)
end

local function read_escape(p)
  local char = check(take(p, "."), "it ends in a backslash")
  if CLASSES[char] then return of_class(CLASSES[char]) end
  check(not char:find "%w", "\\" .. char .. " is not known")
  return is(char)
end

-- A bracket expression, as one of Lua's.
local function read_set(p)
  local parts = { "[", take(p, "%^") or "", take(p, "%]") and "%]" or "" }
  while not take(p, "%]") do
    local char = check(take(p, "."), "a bracket is not closed")
    check(char ~= "[", "there is a bracket within brackets")
    if char == "\\" then
      char = check(take(p, "."), "a bracket is not closed")
      parts[#parts + 1] = char == "w" and "%w_" or "%" .. char
    elseif char == "-" then
      parts[#parts + 1] = (parts[#parts] == "[" or p.text:sub(p.at, p.at) == "]") and "%-" or "-"
    else
      parts[#parts + 1] = char:find "%w" and char or "%" .. char
    end
  end
  return of_class(table.concat(parts) .. "]")
end

local function read_group(p)
  take(p, "%?:")
  local inner = read_choice(p)
  check(take(p, "%)"), "a parenthesis is not closed")
  return inner
end

local function read_atom(p)
  local char = take(p, ".")
  if char == "." then return of_class "." end
  if char == "\\" then return read_escape(p) end
  if char == "[" then return read_set(p) end
  if char == "(" then return read_group(p) end
  if char == "^" then return function(_, at, after) return at == 1 and after(at) end end
  if char == "$" then return function(text, at, after) return at == #text + 1 and after(at) end end
  check(not char:find "[*+?{]", "there is nothing before " .. char)
  return is(char)
end

-- How often the atom before may stand: least and most, or nil.
local function read_count(p)
  local mark = take(p, "[*+?]")
  if mark then return mark == "+" and 1 or 0, mark == "?" and 1 or math.huge end
  if not take(p, "{") then return nil end
  local least = check(take(p, "%d+"), "there is no number after {")
  local most = take(p, ",") and (take(p, "%d+") or math.huge) or least
  check(take(p, "}"), "a brace is not closed")
  return tonumber(least), tonumber(most)
end

local function repeated(p, atom, least, most)
  local function from(text, at, after, count)
    p.steps = p.steps + 1
    check(p.steps < MOST_STEPS, "it takes too long")
    if count < most and atom(text, at, function(next_at)
      return (next_at > at or count < least) and from(text, next_at, after, count + 1)
    end) then return true end
    return count >= least and after(at)
  end
  return function(text, at, after) return from(text, at, after, 0) end
end

local function both(first, second)
  return function(text, at, after)
    return first(text, at, function(next_at) return second(text, next_at, after) end)
  end
end

local function nothing(_, at, after) return after(at) end

local function read_sequence(p)
  local sequence = nothing
  while p.at <= #p.text and not p.text:find("^[|)]", p.at) do
    local atom = read_atom(p)
    local least, most = read_count(p)
    sequence = both(sequence, least and repeated(p, atom, least, most) or atom)
  end
  return sequence
end

function read_choice(p)
  local choices = {}
  repeat choices[#choices + 1] = read_sequence(p) until not take(p, "|")
  return function(text, at, after)
    for _, choice in ipairs(choices) do
      if choice(text, at, after) then return true end
    end
    return false
  end
end

--- Reads a pattern.
-- @tparam string pattern
-- @treturn[1] function says whether a text has a match in it; raises when that takes too long
-- @treturn[2] nil
-- @treturn[2] string why it is none
function regex.compile(pattern)
  local p = { text = pattern, at = 1, steps = 0 }
  local fine, matcher = pcall(function()
    local choice = read_choice(p)
    check(p.at > #pattern, "a parenthesis is closed that was not opened")
    return choice
  end)
  if not fine then return nil, matcher end
  return function(text)
    p.steps = 0
    for at = 1, #text + 1 do
      if matcher(text, at, function() return true end) then return true end
    end
    return false
  end
end

return regex
