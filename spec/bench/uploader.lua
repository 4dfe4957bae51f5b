--- A process of its own that sends something to a server which takes anything. Prints wall seconds, CPU seconds, and by
-- how many bytes its memory grew at the most beyond that of the idle process.
-- Arguments: how, the base URL, and what that takes.
local catalog = require "catalog"
local core = require "catalog.core"
local parts = require "catalog.batch.parts"
local writer = require "catalog.batch.writer"

local CHUNK <const> = 65536 -- what a reader gives at a time

local function peak()
  for line in io.lines "/proc/self/status" do
    local kilobytes = line:match "^VmHWM:%s+(%d+)"
    if kilobytes then return math.tointeger(kilobytes) * 1024 end
  end
end

local ways = {}

-- One request, however large: the limit is the service's, not the sink's.
function ways.put(batch, path)
  local target = assert(parts.target(batch))
  local file <close> = assert(core.file.open(path))
  assert(parts.send_whole(target, "/file", file, 0, file:size()))
end

function ways.file(batch, path)
  assert(batch:upload("file", { file = path }))
end

function ways.reader(batch, bytes)
  local chunk, left = ("x"):rep(CHUNK), tonumber(bytes) // CHUNK
  assert(batch:upload("file", { reader = function()
    left = left - 1
    return left >= 0 and chunk or nil
  end }))
end

local function record_of(record, i)
  record.id, record.points = i, i * 17
  return record
end

local RECORD <const> = {
  id = 0, points = 0, name = "event", email = "customer@example.com", latitude = 51.5074,
  consents = { email = true, sms = false }, tags = { "a", "b" },
}

function ways.writer(batch, count)
  local out = assert(writer.open(batch, "events.json", {}))
  for i = 1, tonumber(count) do assert(out:write(record_of(RECORD, i))) end
  assert(out:close())
end

-- The same tables, encoded to nowhere.
function ways.encode(_, count)
  local buffer = core.buffer.new(parts.STREAM_PART)
  for i = 1, tonumber(count) do
    if not buffer:encode(record_of(RECORD, i), i, parts.STREAM_PART) then buffer:reset() end
  end
end

local way, base_url = arg[1], arg[2]
local client = assert(catalog.client { base_url = base_url, org = "ORG@AdobeOrg", api_key = "key", token = "token" })
local batch = client:batch("b1", { dataset = "d1" })
local idle, cpu, wall = peak(), os.clock(), core.system.monotonic()
ways[way](batch, arg[3])
print(core.system.monotonic() - wall, os.clock() - cpu, peak() - idle)
