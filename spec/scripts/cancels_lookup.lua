-- For the C host: begins a call to a host whose name has to be looked up, and cancels it meanwhile.
return function(url)
  local scheduler = require "catalog.scheduler.scheduler"
  local catalog = require "catalog"
  local client = assert(catalog.client {
    base_url = url, org = "ORG@AdobeOrg", api_key = "key", token = "token", insecure = true,
  })
  return function()
    catalog.run(function()
      local task = catalog.spawn(client.create_batch, client, { dataset = "d" })
      scheduler.sleep(0.05) -- the look-up has begun
      task:cancel()
      local batch, err = task:await()
      assert(batch == nil and err.kind == "cancelled", tostring(err))
    end)
    return true
  end
end
