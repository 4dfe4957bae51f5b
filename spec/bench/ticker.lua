--- A process of its own: a loop with a timer of one millisecond, in which files are uploaded, or beside which curl
-- uploads them. Prints by how many seconds the timer was late: the 999th of a thousand, the most; and how often it rang.
-- Arguments: the loop, `ours` or `curl`, the base URL, a file, how many uploads at once, how many times, curl's settings.
local bare = require "bench.bare"
local catalog = require "catalog"
local hosts = require "spec.bench.hosts"

local name, side, base_url, path = arg[1], arg[2], arg[3], arg[4]
local width, rounds, settings = math.tointeger(arg[5]), math.tointeger(arg[6]), arg[7]
local host = hosts[name]

local lates, over = {}, false

local function heard(late)
  lates[#lates + 1] = late
  return over
end

local function upload_all()
  local client = assert(catalog.client {
    base_url = base_url, org = "ORG@AdobeOrg", api_key = "key", token = "token", loop = require("catalog.loop." .. name),
  })
  local batch, list = client:batch("b1", { dataset = "d1" }), {}
  for i = 1, width do list[i] = i end
  for _ = 1, rounds do
    assert(catalog.map(list, function(i)
      return batch:upload(("file%d"):format(i), { file = path })
    end, { parallel = width }))
  end
end

local function begin_curl()
  return bare.spawn("/usr/bin/env", "curl", "-K", settings)
end

-- Looks each time the timer rings whether curl is at its end, and begins it again.
local function beside_curl()
  local child, left = begin_curl(), rounds - 1
  return function(late)
    if bare.over(child) then
      over = left == 0
      if not over then child, left = begin_curl(), left - 1 end
    end
    return heard(late)
  end
end

host.run(function()
  if side == "ours" then
    host.tick(heard)
    upload_all()
    over = true
  else
    host.tick(beside_curl())
  end
end)
table.sort(lates)
print(lates[math.ceil(#lates * 0.999)], lates[#lates], #lates)
