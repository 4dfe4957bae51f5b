-- What `require "catalog"` gives.
local batches = require "support.batches"
local catalog = require "catalog"
local core = require "catalog.core"
local service = require "support.service"

local DATASET <const> = service.DATASET

local with_client <const> = batches.with_client

describe("the module catalog", function()
  it("has a version, null and arrays", function()
    assert.equal("catalog " .. require "catalog.base.version", catalog._VERSION)
    assert.equal("[]", core.json.encode(catalog.array {}))
    assert.equal("[]", core.json.encode(catalog.empty_array))
    assert.equal('[9007199254740993,[]]', core.json.encode(assert(catalog.decode "[9007199254740993, []]")))
    assert.equal("null", core.json.encode(catalog.null))
  end)

  it("creates with the client that configure made", function()
    service.run({}, function(server)
      assert(catalog.configure(service.settings(server.url)))
      local batch = assert(catalog.create_batch { dataset = DATASET })
      assert.equal(batch.id, assert(catalog.batch(batch.id):get()).id)
    end)
  end)

  it("has the methods of batches for its default client too", function()
    with_client({}, function(_, server)
      assert(catalog.configure(service.settings(server.url)))
      local batch = assert(catalog.create_batch { dataset = DATASET, format = "json" })
      assert(catalog.batch(batch.id):upload("a", { data = "{}\n" }))
      assert(catalog.batch(batch.id):complete())
      assert.equal("success", assert(catalog.batch(batch.id):wait()).status)
    end)
  end)
end)
