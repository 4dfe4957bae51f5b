--- What people write on a command line as values: sizes, times, counts.
-- @module catalog.cli.values
local moment = require "catalog.query.moment"
local shard = require "catalog.ingest.shard"

local values = {}

-- As dd, head and people write them: kB is 1000 bytes, K and KiB are 1024.
local SIZES <const> = {
  [""] = 1, B = 1, kB = 1000, KB = 1000, MB = 1000 ^ 2, GB = 1000 ^ 3, TB = 1000 ^ 4,
  K = 1024, M = 1024 ^ 2, G = 1024 ^ 3, T = 1024 ^ 4, KiB = 1024, MiB = 1024 ^ 2, GiB = 1024 ^ 3, TiB = 1024 ^ 4,
}
local SECONDS <const> = { [""] = 1, ms = 0.001, s = 1, m = 60, h = 3600, d = 86400 }

-- A number with a unit as a number; nil where it is none.
local function measured(text, units)
  local number, unit = text:match "^(%d+%.?%d*)(%a*)$"
  return number and units[unit] and tonumber(number) * units[unit]
end

local function check_range(number, text, option, least)
  if number < least or number > (option.most or math.huge) then
    local most = option.most and (" to %d"):format(option.most) or " or more"
    return nil, ("'%s' is not %d%s"):format(text, least, most)
  end
  return number
end

local KINDS <const> = {}

function KINDS.text(text)
  if text == "" then return nil, "it is empty" end
  return text
end

function KINDS.whole(text, option)
  local number = text:find "^%d+$" and math.tointeger(tonumber(text))
  if not number then return nil, ("'%s' is no whole number"):format(text) end
  return check_range(number, text, option, option.least or 0)
end

function KINDS.size(text, option)
  local bytes = measured(text, SIZES)
  if not bytes then return nil, ("'%s' is no size, such as 16MiB"):format(text) end
  return check_range(math.tointeger(bytes // 1) or math.maxinteger, text, option, option.least or 1)
end

function KINDS.time(text, option)
  local seconds = measured(text, SECONDS)
  if not seconds then return nil, ("'%s' is no time, such as 90s, 5m or 24h"):format(text) end
  if seconds <= 0 and seconds ~= option.least then return nil, ("'%s' is not more than 0"):format(text) end
  return seconds
end

function KINDS.percent(text)
  local number = tonumber((text:gsub("%%$", "")))
  if not number then return nil, ("'%s' is no number"):format(text) end
  if not (number >= 0 and number <= 100) then return nil, ("'%s' is no percentage, 0 to 100"):format(text) end
  return number
end

-- A moment, which is read where it is used.
function KINDS.moment(text)
  local at, err = moment(text, "it")
  if not at then return nil, (err.message:gsub("^it is ", "")) end
  return text
end

-- What is on a command line others see.
function KINDS.proxy(text)
  if text:find "^[^/]*/*[^/]*:[^/]*@" then
    return nil, "it has a password in it, which others can see there; set https_proxy instead"
  end
  return KINDS.text(text)
end

-- A data set of the emulator's: its id and its name.
function KINDS.dataset(text)
  local id, name = text:match "^([^=]+)=(.+)$"
  if not id and not text:find "^[^=]+$" then return nil, ("'%s' is neither ID nor ID=NAME"):format(text) end
  return { id or text, name or text }
end

-- Which of the shards of an ingest.
function KINDS.shard(text)
  local one, err = shard.read(text)
  if not one then return nil, err.message end
  return text
end

-- Where to listen, as catalog.serve.server has it.
function KINDS.listen(text)
  if text == "fd" then return { inherited = true } end
  local path = text:match "^unix:(.+)$"
  if path then return { path = path } end
  local address, port = text:match "^%[([%x:.]+)%]:(%d+)$"
  if not address then address, port = text:match "^([^:%[%]]+):(%d+)$" end
  if address == "localhost" then address = "127.0.0.1" end
  if address and tonumber(port) <= 65535 then return { address = address, port = math.tointeger(tonumber(port)) } end
  return nil, ("'%s' is neither ADDRESS:PORT nor unix:PATH nor fd"):format(text)
end

--- Reads a value.
-- @tparam string text
-- @tparam table option of `catalog.cli.options`: its `kind`, and the range `least` to `most`
-- @return[1] the value
-- @treturn[2] nil
-- @treturn[2] string why it is none
function values.read(text, option)
  return KINDS[option.kind or "text"](text, option)
end

return values
