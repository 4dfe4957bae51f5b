--- A process of its own: prints its resident memory, in bytes, after some creations and after many.
-- Arguments: the base URL, some, many.
local catalog = require "catalog"

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

local client = catalog.client {
  base_url = base_url, org = "ORG@AdobeOrg", api_key = "key", token = "t", sandbox = "prod",
}

local function create(count)
  for _ = 1, count do
    assert(client:create_batch { dataset = "5c8c3c555033b814b69f947f" })
  end
end

create(some)
local after_some = resident()
create(many - some)
print(after_some, resident())
