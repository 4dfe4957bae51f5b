--- Moments as people write them.
-- @module catalog.query.moment
local core = require "catalog.core"
local failure = require "catalog.base.failure"

local UNITS <const> = { s = 1000, m = 60000, h = 3600000, d = 86400000, w = 604800000 }

local DATE <const> = "^(%d%d%d%d)%-(%d%d)%-(%d%d)"

-- Days from 1970 to a day of the Gregorian calendar: a year begins in March, and leap days are at its end.
local function days_of(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 719469
end

local function fits(month, day, hour, minute, second)
  return month >= 1 and month <= 12 and day >= 1 and day <= 31 and hour <= 24 and minute <= 59 and second <= 60
end

-- How far a zone is ahead of UTC, in minutes; nil: it is none.
local function zone_of(text)
  if text == "" or text == "Z" then return 0 end
  local sign, hours, minutes = text:match "^([+-])(%d%d):?(%d%d)$"
  return hours and (sign == "-" and -1 or 1) * (tonumber(hours) * 60 + tonumber(minutes))
end

-- The time of day in milliseconds, and what follows it; nil: there is none.
local function time_of(text)
  local hour, minute, rest = text:match "^[T ](%d%d):(%d%d)(.*)$"
  if not hour then return nil end
  local second, fraction, after = rest:match "^:(%d%d)(%.?%d*)(.*)$"
  if second then rest = after else second, fraction = "0", "" end
  local parts = { tonumber(hour), tonumber(minute), tonumber(second) }
  local milliseconds = math.tointeger((tonumber("0" .. fraction) or 0) * 1000 // 1)
  return ((parts[1] * 60 + parts[2]) * 60 + parts[3]) * 1000 + milliseconds, rest, parts
end

local function from_date(text)
  local year, month, day = text:match(DATE)
  if not year then return nil end
  local rest, time, zone, parts = text:sub(11), 0, "", { 0, 0, 0 }
  if rest ~= "" then
    time, zone, parts = time_of(rest)
    if not time then return nil end
  end
  local ahead = zone_of(zone)
  if not ahead or not fits(tonumber(month), tonumber(day), table.unpack(parts)) then return nil end
  local days = days_of(tonumber(year), tonumber(month), tonumber(day))
  return days * UNITS.d + time - ahead * UNITS.m
end

--- Reads a moment.
-- @function moment
-- @tparam string|number given how long ago (`90s`, `30m`, `24h`, `7d`, `2w`); an ISO date, in UTC unless it names a
--   zone (`2026-11-26`, `2026-11-26T08:00:00+01:00`); or milliseconds since 1970, as the service writes them
-- @tparam string what what it is to the caller, for the message
-- @treturn[1] integer milliseconds since 1970
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
return function(given, what)
  if type(given) == "number" then
    local whole = math.tointeger(given)
    if whole and whole >= 0 then return whole end
    return failure("config", "%s is %s; as a number it is milliseconds since 1970", what, given)
  end
  local count, unit = given:match "^(%d+)([smhdw])$"
  if count and #count <= 9 then return math.max(0, core.system.now() - math.tointeger(count) * UNITS[unit]) end
  if given:find "^%d+$" and #given >= 10 and #given <= 15 then return math.tointeger(given) end -- 24 lacks its unit
  local date = from_date(given)
  if date then return date end
  return failure("config", "%s is '%s', which is no moment: write 24h or 7d, 2026-11-26 or 2026-11-26T08:00:00Z, or"
    .. " milliseconds since 1970", what, given)
end
