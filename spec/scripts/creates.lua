-- For the C host: creates batches, looks one up, and lets calls fail, at the server whose URL it is given.
return function(url)
  local catalog = require "catalog"
  if package.loaded.cjson then pin(package.searchpath("cjson", package.cpath)) end
  local settings = { base_url = url, org = "ORG@AdobeOrg", api_key = "key", token = "token", timeout = 20, retry = false }
  local client = assert(catalog.client(settings))

  local function create()
    local batch = assert(client:create_batch {
      dataset = "5c8c3c555033b814b69f947f", format = "json", tags = { source = { "spec" }, none = {} },
      extra = { inputFormat = { newer = 1.5 } },
    })
    assert(assert(client:batch(batch.id):get()).id == batch.id)
  end

  -- an error of memory must not make a URL look as if it had no such part
  local function refuse_urls()
    for _, other in ipairs { "https://user@h.example", "https://h.example/?q=1", "https://h.example/#f" } do
      assert(require("catalog.core").url.base(other, "base_url", false) == nil)
    end
    local refused = { org = "ORG@AdobeOrg", api_key = "key", token = "token", proxy = "ftp://me:password@127.0.0.1:1" }
    assert(catalog.client(refused) == nil)
  end

  local function fail()
    local unknown, why = client:batch("unknown"):get()
    assert(unknown == nil and why.status == 404, tostring(why))
    local refused, err = client:create_batch { dataset = "" }
    assert(refused == nil and err.kind == "data")
    assert(tostring(err):find "dataset is empty")
  end

  local function open_and_close()
    local other <close> = assert(catalog.client(settings))
    local nobody <close> = assert(catalog.client {
      base_url = "http://127.0.0.1:1", org = "ORG@AdobeOrg", api_key = "key", token = "token", retry = false,
      proxy = "http://me:password@127.0.0.1:1",
    })
    -- by way of the environment's proxy, where there is one
    assert(catalog.client { org = "ORG@AdobeOrg", api_key = "key", token = "token", proxy = true }):close()
    local batch, err = nobody:create_batch { dataset = "5c8c3c555033b814b69f947f" }
    assert(batch == nil and err.kind == "network", tostring(err))
    assert(other:create_batch { dataset = "5c8c3c555033b814b69f947f" })
  end

  return function()
    create()
    refuse_urls()
    fail()
    open_and_close()
    collectgarbage()
    return true
  end
end
