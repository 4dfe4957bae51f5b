--- A process of its own that looks, fetches or checks, by our side or by another. Prints wall seconds, CPU seconds, by how
-- many bytes its memory grew at the most, and what it counted.
-- Arguments: how, the base URL, and what that takes.
local bare = require "bench.bare"
local catalog = require "catalog"
local cjson = require "cjson"
local core = require "catalog.core"

local function peak()
  for line in io.lines "/proc/self/status" do
    local kilobytes = line:match "^VmHWM:%s+(%d+)"
    if kilobytes then return math.tointeger(kilobytes) * 1024 end
  end
end

local ways = {}

-- After how many batches memory is looked at, which has garbage of some pages then.
local SOME <const> = 1000

-- Its memory is that from the tenth page on.
function ways.list(client)
  local count, early = 0, nil
  for _ in client:batches { since = 1 } do
    count = count + 1
    if count == SOME then early = peak() end
  end
  return count, early
end

-- The same pages by libcurl and lua-cjson alone: a list of their URLs.
function ways.pages(_, path)
  local getter = bare.getter {
    "Authorization: Bearer token", "x-api-key: key", "x-gw-ims-org-id: ORG@AdobeOrg", "x-sandbox-name: prod",
  }
  local count = 0
  for url in io.lines(path) do
    for _ in pairs(cjson.decode(getter:get(url))) do count = count + 1 end
  end
  return count
end

-- What two decoded pages take of memory, bytes.
function ways.two(_, url)
  local getter = bare.getter {}
  local text = getter:get(url)
  collectgarbage()
  local before = collectgarbage "count"
  local one, other = core.json.decode(text), core.json.decode(text)
  local taken = collectgarbage "count" - before
  assert(one and other)
  return math.ceil(taken * 1024) + 2 * #text
end

function ways.download(client, to)
  return assert(client:batch("b"):download { to = to, parallel = 8 }).bytes
end

function ways.check(client, path)
  local schema <close> = assert(io.open(path .. ".schema"))
  return assert(client:check { schema = core.json.decode(schema:read "a"), file = path }).bad
end

local way, base_url = arg[1], arg[2]
local client = assert(catalog.client { base_url = base_url, org = "ORG@AdobeOrg", api_key = "key", token = "token" })
local idle, cpu, wall = peak(), os.clock(), core.system.monotonic()
local count, early = ways[way](client, arg[3])
print(core.system.monotonic() - wall, os.clock() - cpu, peak() - (early or idle), count)
