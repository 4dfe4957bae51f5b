--- Ids as the service makes them: ULIDs, which sort by the time they were made.
-- @module catalog.emulator.ulid
local core = require "catalog.core"

local DIGITS <const> = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

local function base32(value, count)
  local digits = {}
  for i = count, 1, -1 do
    local digit = value % 32
    digits[i] = DIGITS:sub(digit + 1, digit + 1)
    value = value // 32
  end
  return table.concat(digits)
end

--- A new id: 48 bits of time, 80 of chance.
-- @function ulid
-- @tparam integer milliseconds since the epoch
-- @treturn string 26 characters
return function(milliseconds)
  local high, low = string.unpack(">I5I5", core.system.random(10))
  return base32(milliseconds, 10) .. base32(high, 8) .. base32(low, 8)
end
