-- The emulator's ids that are made of names.
local core = require "catalog.core"
local emulated = require "support.emulated"
local emulator = require "catalog.emulator"

local BATCHES <const> = "/data/foundation/import/batches"
local request <const> = emulated.request

describe("the emulator", function()
  it("tells the id of the sandbox: one for each, and the same after a restart", function()
    local ids = {}
    for i = 1, 2 do
      local server <close> = assert(emulator.start {})
      for _, changes in ipairs { {}, { ["x-sandbox-name"] = "dev" }, { ["x-gw-ims-org-id"] = "OTHER@AdobeOrg" } } do
        local _, answer = request(server, "POST", BATCHES, '{"datasetId":"d"}', changes)
        local id = core.json.decode(answer).sandboxId
        assert.matches("^%x%x%x%x%x%x%x%x%-%x%x%x%x%-4%x%x%x%-8%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$", id)
        ids[id] = (ids[id] or 0) + i
      end
    end
    local times = {}
    for _, count in pairs(ids) do times[#times + 1] = count end
    assert.same({ 3, 3, 3 }, times)
  end)
end)
