-- A batch as a value: looked up, attached by its id, closed when its block is left.
local batches = require "support.batches"
local raw = require "support.raw"
local service = require "support.service"

local DATASET <const> = service.DATASET

local with_client <const> = batches.with_client

describe("a batch", function()
  it("that is left before it was completed is aborted, and only then", function()
    with_client({}, function(client)
      local id
      do
        local batch <close> = assert(client:create_batch { dataset = DATASET, format = "json" })
        id = batch.id
        assert(batch:upload("a", { data = "{}\n" }))
      end
      assert.equal("aborted", assert(client:batch(id):get()).status)
      local ok, message = pcall(function()
        local batch <close> = assert(client:create_batch { dataset = DATASET })
        id = batch.id
        error("the first error", 0)
      end)
      assert.is_false(ok)
      assert.equal("the first error", message)
      assert.equal("aborted", assert(client:batch(id):get()).status)
      do
        local batch <close> = assert(client:create_batch { dataset = DATASET, format = "json" })
        id = batch.id
        assert(batch:upload("a", { data = "{}\n" }))
        assert(batch:complete())
      end
      assert.equal("success", assert(client:batch(id):get()).status)
      local open = assert(client:create_batch { dataset = DATASET })
      do
        local attached <close> = client:batch(open.id)
        assert.equal(open.id, attached.id)
      end
      assert.equal("loading", assert(open:get()).status)
    end)
  end)

  it("is looked up as a fresh table, and the old one stays as it was", function()
    service.run({}, function(_, client)
      local batch = assert(client:create_batch { dataset = DATASET })
      local again = assert(batch:get())
      assert.equal(batch.id, again.id)
      assert.equal(batch.created, again.created)
      assert.is_false(rawequal(batch, again))
    end)
  end)

  it("is made from an id alone, which costs no call", function()
    service.run({}, function(_, client)
      local id = assert(client:create_batch { dataset = DATASET }).id
      local handle = client:batch(id)
      assert.is_nil(handle.status)
      assert.equal("batch " .. id .. " (not looked up)", tostring(handle))
      assert.equal("loading", assert(handle:get()).status)
    end)
  end)

  it("that the catalog does not know is an error when it is looked up", function()
    service.run({}, function(_, client)
      local batch, err = client:batch("nobody"):get()
      assert.is_nil(batch)
      assert.equal("http", err.kind)
      assert.equal(404, err.status)
      assert.is_nil(err.ambiguous)
    end)
  end)

  it("has its id encoded, and refused where it would change the path", function()
    local server <close> = raw.start { { { send = raw.answer("200 OK", '{"a/b ?":{}}') } } }
    local client = service.client(server.url)
    assert(client:batch("a/b ?"):get())
    for _, id in ipairs { "", ".", ".." } do
      local batch, err = client:batch(id):get()
      assert.is_nil(batch)
      assert.equal("data", err.kind)
    end
    local requests = server:stop()
    assert.equal(1, #requests)
    assert.matches("GET /data/foundation/catalog/batches/a%2Fb%20%3F HTTP/1.1", requests[1], 1, true)
  end)
end)

describe("the fields of the service", function()
  -- AEP.md's table, and the batch objects of Adobe's API descriptions.
  local FIELDS = {
    "id", "imsOrg", "created", "createdClient", "createdUser", "updated", "updatedUser", "status", "relatedObjects",
    "version", "tags", "externalId", "inputFormat", "replay", "started", "completed", "metrics", "errors", "recordCount",
    "failedRecordCount", "failedBatchLocation", "size", "sizeInBytes", "availableDates", "rows", "description", "code",
    "name", "predecessors", "predecessorsByExternalId", "predecessorListingType", "reason", "datasetId",
    "enableErrorDiagnostics", "partialIngestionPercent", "partialIngestionPercentage", "format", "isMultiLineJson",
  }

  it("share no name with a method", function()
    local methods = require("catalog.batch.batch").methods
    assert.is_function(methods.get)
    for _, field in ipairs(FIELDS) do assert.is_nil(methods[field], field) end
  end)
end)
