--- Regular expressions that are a row of sets of characters, as most in schemas are, such as `^[A-Z]{2}$`, for
-- `catalog.core.fits`. A set may have fewer characters than the expression takes: what fits then, surely fits.
-- @module catalog.query.schema_pattern

-- The most that a set may be repeated, which is no limit; and the characters that are looked at.
local UNLIMITED <const> = 65535
local FIRST <const>, LAST <const> = 0x20, 0x7E

local SPECIAL <const> = "[%^%$%*%+%?%(%)%[%{\\|]"

local function set_of(class)
  local set = {}
  for byte = FIRST, LAST do set[byte] = string.char(byte):find(class) ~= nil or nil end
  return set
end

local CLASSES <const> = { d = set_of "%d", w = set_of "[%w_]", s = set_of " " }

local function add(set, other)
  for byte in pairs(other) do set[byte] = true end
end

-- What a backslash and a character stand for; nil: something else than a set.
local function escaped(char)
  if CLASSES[char] then return CLASSES[char] end
  return char:find "^%p$" and { [char:byte()] = true } or nil
end

local function inverted(set)
  local other = {}
  for byte = FIRST, LAST do other[byte] = not set[byte] or nil end
  return other
end

-- One that is written in brackets. Gives the set, and where the rest begins.
local function bracketed(text, at)
  local set, is_inverted = {}, text:sub(at, at) == "^"
  if is_inverted then at = at + 1 end
  if text:find("^%]", at) or text:find("&&", at, true) then return nil end -- which not all understand alike
  repeat
    local char, last = text:match("^([\32-\126])%-([^%]\\\128-\255])", at)
    if char and char ~= "\\" and char ~= "[" and last ~= "[" then
      for byte = char:byte(), last:byte() do set[byte] = true end
      at = at + 3
    else
      char = text:sub(at, at)
      local known = char == "\\" and escaped(text:sub(at + 1, at + 1))
        or char:find "^[^%[\\\128-\255]$" and { [char:byte()] = true }
      if not known then return nil end
      add(set, known)
      at = at + (char == "\\" and 2 or 1)
    end
  until text:sub(at, at) == "]" or at > #text
  return text:sub(at, at) == "]" and (is_inverted and inverted(set) or set) or nil, at + 1
end

-- The set at a place, and where the rest begins; nil: none is there.
local function read_set(text, at)
  local char = text:sub(at, at)
  if char == "[" then return bracketed(text, at + 1) end
  if char == "\\" then return escaped(text:sub(at + 1, at + 1)), at + 2 end
  if char == "." then return set_of ".", at + 1 end
  if char:find(SPECIAL) or not char:find "^[\32-\126]$" then return nil end
  return { [char:byte()] = true }, at + 1
end

local SIGNS <const> = { ["*"] = { 0, UNLIMITED }, ["+"] = { 1, UNLIMITED }, ["?"] = { 0, 1 } }

-- How often the set before a place is repeated, and where the rest begins; nil: nobody knows.
local function read_count(text, at)
  local sign = SIGNS[text:sub(at, at)]
  local least, most, behind = 1, 1, at
  if sign then least, most, behind = sign[1], sign[2], at + 1 end
  local few, comma, many, rest = text:match("^{(%d+)(,?)(%d*)}()", at)
  if few then
    least, behind = math.tointeger(tonumber(few)), rest
    most = many ~= "" and math.tointeger(tonumber(many)) or comma == "" and least or UNLIMITED
  end
  if behind > at and text:find("^[?+*{]", behind) or behind == at and text:find("^{", at) then return nil end
  if not least or not most or least >= UNLIMITED or most > UNLIMITED or least > most then return nil end
  return least, most, behind
end

local function packed(set, least, most)
  local bytes = {}
  for i = 0, 15 do
    local bits = 0
    for k = 0, 7 do bits = set[i * 8 + k] and bits | 1 << k or bits end
    bytes[i + 1] = string.char(bits)
  end
  return table.concat(bytes) .. string.pack("<I2I2", least, most)
end

--- Makes sets of an expression.
-- @function schema_pattern
-- @tparam string pattern
-- @treturn ?string the sets, as the core takes them; nil: it is no row of them
-- @treturn boolean whether anything may follow
return function(pattern)
  if pattern:sub(1, 1) ~= "^" then return nil end
  local sets, at = {}, 2
  while at <= #pattern do
    if pattern:sub(at) == "$" then return table.concat(sets), false end
    local set, behind = read_set(pattern, at)
    if not set then return nil end
    local least, most, rest = read_count(pattern, behind)
    if not least then return nil end
    sets[#sets + 1], at = packed(set, least, most), rest
  end
  return table.concat(sets), true
end
