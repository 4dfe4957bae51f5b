-- The seeds of the fuzz targets, what fuzzing has found among them: each target takes all of its own.
local core = require "catalog.core"
local raw = require "support.raw"
local shell = require "support.shell"
local socket = require "cqueues.socket"

local QUIET <const> = 0.02 -- seconds

local function read_some(connection, seconds)
  local ok, text, why = pcall(connection.xread, connection, -65536, "b", seconds)
  return ok and text or nil, why
end

-- What spec/fuzz/fuzz.c has in C: bytes to a port, what comes back, and whether the server closed.
local function exchange(port, bytes, milliseconds)
  local connection = socket.connect("127.0.0.1", port)
  connection:setmode("b", "bn")
  connection:onerror(function(_, _, why) return why end)
  local parts, patience, closed = {}, QUIET
  connection:xwrite(bytes, "bn", milliseconds / 1000)
  while true do
    local text, why = read_some(connection, patience)
    if text then
      parts[#parts + 1] = text
    elseif why == nil or patience ~= QUIET then
      closed = why == nil
      break
    else
      connection:clearerr()
      connection:shutdown "w"
      patience = milliseconds / 1000
    end
  end
  connection:close()
  return table.concat(parts), closed
end

-- Calls `body` with the target of a name, and with a list of its seeds.
local function with_target(name, body)
  local serving
  local function serve(bytes)
    if serving then serving:stop() end
    serving = raw.start { { { send = bytes, close = true } } }
    return serving.port
  end
  local target = assert(loadfile("spec/fuzz/" .. name .. ".lua"))({ exchange = exchange, serve = serve })
  for _, seed in ipairs(assert(core.fs.list("spec/fuzz/corpus/" .. name))) do
    body(target, seed, shell.read(("spec/fuzz/corpus/%s/%s"):format(name, seed)))
  end
  if serving then serving:stop() end
end

describe("the fuzz target", function()
  for _, name in ipairs { "emulator", "headers", "journal", "lines", "percent", "reply" } do
    it(name .. " takes its seeds", function()
      with_target(name, function(target, seed, text)
        local ok, why = pcall(target, text)
        assert(ok, seed .. ": " .. tostring(why))
      end)
    end)
  end
end)
