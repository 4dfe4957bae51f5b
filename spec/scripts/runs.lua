-- For the C host: many calls at once, and cancelled ones, at the server whose URL it is given.
return function(url)
  local catalog = require "catalog"
  local scheduler = require "catalog.scheduler.scheduler"
  pin(package.searchpath("cjson", package.cpath))
  local client = assert(catalog.client {
    base_url = url, org = "ORG@AdobeOrg", api_key = "key", token = "token", timeout = 20, retry = false,
  })

  local function create() return assert(client:create_batch { dataset = "d", format = "json" }).id end

  return function()
    assert(scheduler.queue.depth == 0) -- outside of tasks, whatever became of those before
    assert(#assert(catalog.map({ 1, 2, 3 }, create, { parallel = 2 })) == 3)
    catalog.run(function()
      local one, two = catalog.spawn(create), catalog.spawn(client.create_batch, client, { dataset = "d" })
      two:cancel()
      assert(type(one:await()) == "string")
      local batch, err = two:await()
      assert(batch == nil and err.kind == "cancelled", tostring(err))
    end)
    collectgarbage()
    return true
  end
end
