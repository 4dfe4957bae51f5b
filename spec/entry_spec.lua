-- A batch as the catalog has it.
local core = require "catalog.core"
local entry = require "catalog.batch.entry"

describe("an entry of the catalog", function()
  it("is its fields, with the id it stands under", function()
    for _, fields in ipairs { { status = "loading" }, { status = "loading", id = "b1" },
      { status = "loading", id = core.json.null } } do
      local found = assert(entry.read("b1", fields))
      assert.equal(fields, found)
      assert.same({ id = "b1", status = "loading" }, found)
    end
  end)

  it("is none where there is no object, or one with another id", function()
    for _, case in ipairs { { 1, {} }, { "b1", "text" }, { "b1", core.json.null }, { "b1", false } } do
      local found, err = entry.read(case[1], case[2])
      assert.is_nil(found)
      assert.equal("protocol", err.kind)
      assert.matches("the reply has no batch", err.message, 1, true)
    end
    for _, id in ipairs { "b2", 1, {} } do
      local found, err = entry.read("b1", { id = id })
      assert.is_nil(found)
      assert.matches("the reply has another id under that of the batch b1", err.message, 1, true)
    end
  end)

  it("names its dataset, or none, whatever stands there", function()
    assert.equal("d", entry.dataset { relatedObjects = { 17, { type = "other", id = "o" }, { type = "dataSet", id = "d" } } })
    local odd = { core.json.null, "text", {}, { "text" }, { { type = "dataSet" } }, { { type = "dataSet", id = 1 } } }
    for _, objects in ipairs(odd) do
      assert.is_nil(entry.dataset { relatedObjects = objects })
    end
    assert.is_nil(entry.dataset {})
  end)
end)
