--- A process of its own: calls that wait for a server which does not answer. Prints, twice, bytes of memory: before
-- there are any, while all wait (garbage included, and without), how much of that is Lua's, and what is left after all
-- were cancelled.
-- Arguments: the base URL of `silent.lua`, how many groups of calls, how many calls are a group.
local bare = require "bench.bare"
local catalog = require "catalog"

local base_url, groups, count = arg[1], math.tointeger(arg[2]), math.tointeger(arg[3])

local function allocated()
  collectgarbage()
  collectgarbage()
  bare.trim()
  return bare.allocated(), collectgarbage "count" * 1024 // 1 | 0
end

bare.descriptors()
local client = assert(catalog.client {
  base_url = base_url, org = "ORG@AdobeOrg", api_key = "key", token = "t", sandbox = "prod", timeout = 120, retry = false,
})

local function wait_for_ever()
  local _, err = client:batch("silent"):get()
  if err.kind ~= "cancelled" then error(err) end
end

-- One group after another, so that the server's queue of connections does not run over. The bell is answered when the
-- others of its group are there.
local function begin_all()
  local tasks = {}
  for _ = 1, groups do
    for _ = 2, count do tasks[#tasks + 1] = catalog.spawn(wait_for_ever) end
    assert(client:batch("bell"):get())
  end
  return tasks
end

local function wait_and_cancel(results)
  local tasks <const> = begin_all()
  results.dirty = bare.allocated()
  results.waiting, results.lua = allocated()
  for _, task in ipairs(tasks) do task:cancel() end
end

local function round()
  local results = {}
  local before, lua_before = allocated()
  catalog.run(wait_and_cancel, results)
  print(before, results.dirty, results.waiting, results.lua - lua_before, (allocated()))
end

round()
round()
