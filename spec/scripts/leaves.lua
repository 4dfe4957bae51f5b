-- For the C host: leaves calls in the middle, in coroutines and tasks, with a server that does not answer soon.
return function(url)
  local catalog = require "catalog"
  pin(package.searchpath("cjson", package.cpath))
  local function client_with(loop)
    return assert(catalog.client {
      base_url = url, org = "ORG@AdobeOrg", api_key = "key", token = "token", timeout = 20, loop = loop,
    })
  end
  local function yield() coroutine.yield() end
  local held = {} -- alive until lua_close, with this function

  return function()
    local clients = {
      client_with { wait = yield },
      client_with { watch = function() end, suspend = yield, resume = function() end },
    }
    for i = 1, 10 do
      held[i] = coroutine.create(function() return clients[1 + i % 2]:create_batch { dataset = "d" } end)
      assert(coroutine.resume(held[i]))
    end
    held.task = catalog.spawn(clients[1].create_batch, clients[1], { dataset = "d" })
    return true
  end
end
