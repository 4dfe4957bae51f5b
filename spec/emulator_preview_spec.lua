-- The emulator's previews, as no client of ours asks for them.
local core = require "catalog.core"
local emulated = require "support.emulated"

local function preview(server, id, query)
  local target = ("/data/foundation/import/batches/%s/datasets/d/preview%s"):format(id, query or "")
  local status, answer = emulated.get(server, target)
  return status, core.json.decode(answer)
end

describe("the emulator's preview", function()
  it("has columns with numbers, and rows of them", function()
    emulated.with_server(function(server)
      local id = emulated.create(server)
      emulated.put(server, id, "a", '{"n":1,"p":{"name":"A"}}\nno json\n{"n":2}\n{"n":3}\n')
      local _, answer = preview(server, id, "?format=json&nrow=2")
      assert.same({
        columns = { { cid = "0", name = "n" }, { cid = "1", name = "p/name" } },
        rows = { { ["0"] = "1", ["1"] = "A" }, { ["0"] = "2" } },
      }, answer.preview)
      assert.equal("json", answer.formatParams.format)
      assert.equal(3, #select(2, preview(server, id)).preview.rows)
      assert.equal(400, (preview(server, id, "?nrow=10")))
      assert.equal(404, (preview(server, "nobody")))
    end)
  end)

  it("of a data set has what was ingested", function()
    emulated.with_server(function(server)
      local id = emulated.create(server)
      emulated.put(server, id, "a", '{"n":1}\n')
      emulated.act(server, id, "COMPLETE")
      local _, answer = emulated.get(server, "/data/foundation/export/datasets/d/preview")
      assert.same({ data = { { n = 1 } } }, core.json.decode(answer))
      assert.equal(404, (emulated.get(server, "/data/foundation/export/datasets/nobody/preview")))
    end)
  end)
end)
