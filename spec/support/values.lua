-- Random values that JSON can hold, from a seed.
local core = require "catalog.core"

local values = {}

local LETTERS <const> = { "a", "Z", " ", "\"", "\\", "/", "\n", "\t", "\1", "\127", "ä", "€", "𝄞", "\u{2028}", "0", "'" }

local function integer()
  local shift = math.random(0, 63)
  local value = math.random(0) >> shift
  return math.random(2) == 1 and value or -value
end

-- Floats of all kinds: any bits, decimals with few places, neighbours of powers of two and ten.
local function float()
  local kind = math.random(5)
  local value
  if kind == 1 then
    value = string.unpack("d", string.pack("i8", math.random(0)))
  elseif kind == 2 then
    value = math.random(-10 ^ 9 // 1, 10 ^ 9 // 1) / 10.0 ^ math.random(0, 9)
  elseif kind == 3 then
    local bits = string.unpack("i8", string.pack("d", 2.0 ^ math.random(-1074, 1023)))
    value = string.unpack("d", string.pack("i8", bits + math.random(-1, 1)))
  elseif kind == 4 then
    value = math.random() * 10.0 ^ math.random(-20, 20)
  else
    value = 10.0 ^ math.random(-300, 300)
  end
  if value ~= value or value == math.huge or value == -math.huge then return 0.5 end
  return value
end

local function text()
  local parts = {}
  for i = 1, math.random(0, 12) do parts[i] = LETTERS[math.random(#LETTERS)] end
  return table.concat(parts)
end

local SCALARS <const> = {
  integer, float, text, function() return math.random(2) == 1 end, function() return core.json.null end,
}

--- A random value, at most `depth` tables deep.
function values.random(depth)
  local kind = math.random(depth > 0 and 8 or 5)
  if kind <= 5 then return SCALARS[kind]() end
  local result = {}
  local count = math.random(0, 5)
  if kind == 6 then
    for i = 1, count do result[i] = values.random(depth - 1) end
    return core.json.array(result)
  end
  for _ = 1, count do result[text()] = values.random(depth - 1) end
  return result
end

--- Whether what was sent came back: whole numbers by value, beyond 2^53 as the nearest float; others by bits.
function values.same(sent, back)
  if type(sent) ~= type(back) then return false end
  if type(sent) == "number" then
    if math.type(sent) == "integer" then return sent == back or sent + 0.0 == back end
    return string.pack("d", sent) == string.pack("d", back)
  end
  if type(sent) ~= "table" then return sent == back end
  for key, value in pairs(sent) do
    if not values.same(value, back[key]) then return false end
  end
  for key in pairs(back) do
    if sent[key] == nil then return false end
  end
  return true
end

return values
