--- A process of its own with a sink. Prints what was asked for; see below.
-- Arguments: what to do, the base URL, the spool, and more.
local catalog = require "catalog"
local core = require "catalog.core"
local sinks = require "spec.bench.sinks"

local ways = {}

-- The kernel keeps the exact figure in smaps_rollup; statm may be some pages behind.
local function resident()
  collectgarbage()
  collectgarbage()
  local file <close> = assert(io.open "/proc/self/smaps_rollup")
  return tonumber(file:read("a"):match "Rss:%s*(%d+) kB") * 1024
end

local function peak()
  local file <close> = assert(io.open "/proc/self/status")
  return tonumber(file:read("a"):match "VmHWM:%s*(%d+) kB") * 1024
end

-- How far memory grows, in bytes, above a client that has done something, while what is in the spool is sent, and some
-- more is written.
function ways.memory(base_url, spool, line)
  local client = assert(catalog.client { base_url = base_url, org = "ORG@AdobeOrg", api_key = "key", token = "token" })
  assert(client:create_batch { dataset = "d1" })
  local idle = resident()
  local sink = sinks.open(spool, nil, base_url)
  local piece = (line .. "\n"):rep(64)
  for _ = 1, 1000 do assert(sink:write_lines(piece)) end
  assert(sink:flush())
  print(peak() - idle, sink:metrics().batches.success)
  assert(sink:close())
end

-- How many seconds it takes until a record was taken.
function ways.restart(_, spool, options)
  local given = core.json.decode(options)
  local began = core.system.monotonic()
  local sink = sinks.open(spool, given)
  assert(sink:write { n = 1 })
  print(core.system.monotonic() - began)
  assert(sink:close())
end

ways[arg[1]](table.unpack(arg, 2))
