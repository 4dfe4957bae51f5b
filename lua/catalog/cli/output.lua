--- What the program prints. A result goes to standard output, notes and progress to standard error.
-- @module catalog.cli.output
local core = require "catalog.core"

local output = {}

-- Standard output cannot be written: nothing else that is printed would be.
local function fail(why, code)
  error({ unwritten = why, broken_pipe = code == 32 }, 0) -- EPIPE
end

-- Whether the cursor of the terminal is behind something that was drawn.
local is_drawn = false

--- Draws a line over the one that was drawn last, on a terminal that is standard error.
-- @tparam string text
function output.draw(text)
  io.stderr:write("\r", text, "\27[K")
  is_drawn = true
end

--- Lets what was drawn stand.
function output.keep()
  if is_drawn then io.stderr:write "\n" end
  is_drawn = false
end

--- Prints a line of the result.
-- @tparam string text
-- @raise `{ unwritten = why }`: it cannot be written
function output.line(text)
  output.keep()
  local ok, why, code = io.stdout:write(text, "\n")
  if not ok then fail(why, code) end
end

--- Prints a part of the result as it is.
-- @tparam string bytes
-- @raise as `line`
function output.text(bytes)
  local ok, why, code = io.stdout:write(bytes)
  if not ok then fail(why, code) end
end

--- Lets go of all that was printed.
-- @raise as `line`
function output.flush()
  local ok, why, code = io.stdout:flush()
  if not ok then fail(why, code) end
end

--- Says something on standard error. That nobody reads it changes nothing.
-- @tparam string text
function output.note(text)
  output.keep()
  io.stderr:write(text, "\n")
end

--- A value of the service's as one line.
-- @param value
-- @treturn string
function output.plain(value)
  if type(value) == "string" then return core.failure.line(value) end
  return core.json.encode(value) or tostring(value)
end

--- A number of bytes for people.
-- @tparam number bytes
-- @treturn string
function output.size(bytes)
  local units = { "B", "kB", "MB", "GB", "TB" }
  local unit = 1
  while bytes >= 1000 and unit < #units do bytes, unit = bytes / 1000, unit + 1 end
  return ("%.3g %s"):format(bytes, units[unit])
end

--- A number of things.
-- @tparam integer count
-- @tparam string one what one of them is called, without its plural s
-- @treturn string
function output.count(count, one)
  return ("%d %s%s"):format(count, one, count == 1 and "" or "s")
end

--- A moment for people.
-- @param milliseconds since the epoch, as the service sends it
-- @treturn ?string nil: it is none
function output.moment(milliseconds)
  local seconds = math.type(milliseconds) == "integer" and milliseconds // 1000
  if not seconds or seconds < 0 or seconds > 253402300799 then return nil end -- the year 9999
  return os.date("!%Y-%m-%d %H:%M:%S UTC", seconds)
end

--- A length of time for people.
-- @tparam number seconds
-- @treturn string
function output.duration(seconds)
  if seconds < 60 then return ("%.3g s"):format(seconds) end
  local minutes = math.tointeger(seconds // 60)
  if minutes < 60 then return ("%d min %d s"):format(minutes, math.tointeger(seconds // 1) % 60) end
  if minutes < 1440 then return ("%d h %d min"):format(minutes // 60, minutes % 60) end
  return ("%d d %d h"):format(minutes // 1440, minutes // 60 % 24)
end

--- Prints a value as JSON: a number too large for JSON can be read, and not written.
-- @param value
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`
function output.json(value)
  local text, err = core.json.encode(value)
  if not text then return nil, err end
  output.line(text)
  return true
end

return output
