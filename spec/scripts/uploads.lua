-- For the C host: uploads, in one request and in parts, and a writer, at the server whose URL it is given.
return function(url, path)
  local catalog = require "catalog"
  pin(package.searchpath("cjson", package.cpath))
  local client = assert(catalog.client {
    base_url = url, org = "ORG@AdobeOrg", api_key = "key", token = "token", timeout = 20, retry = false,
  })
  local options = { part_size = 16, part_threshold = 10, parallel = 2 }

  return function()
    do
      local batch <close> = assert(client:create_batch { dataset = "d", format = "json" })
      assert(batch:upload("whole", { data = "{}\n" }))
      assert(batch:upload("parts", { file = path }, options))
      local out <close> = assert(batch:writer("records", { part_size = 16, parallel = 2 }))
      for i = 1, 3 do assert(out:write { a = i }) end
      assert(out:write { b = print } == nil)
      assert(out:close())
      assert(batch:complete())
      local done, err = batch:wait()
      assert(done and done.metrics.outputRecordCount == 7, tostring(err))
    end
    collectgarbage()
    return true
  end
end
