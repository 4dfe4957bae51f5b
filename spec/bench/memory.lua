--- A process of its own: prints its resident memory, in bytes, after some creations and after many.
-- Arguments: the base URL, some, many.
local ways = require "spec.bench.ways"

local base_url, some, many = arg[1], math.tointeger(arg[2]), math.tointeger(arg[3])

-- The kernel keeps the exact figure in smaps_rollup; statm may be some pages behind.
local function resident()
  collectgarbage()
  collectgarbage()
  local file = assert(io.open("/proc/self/smaps_rollup"))
  local kilobytes = file:read("a"):match("Rss:%s*(%d+) kB")
  file:close()
  return math.tointeger(kilobytes) * 1024
end

local create = ways.sequential(base_url)
create(some)
local after_some = resident()
create(many - some)
print(after_some, resident())
