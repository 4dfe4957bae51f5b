-- What the emulator keeps of batches, and how it begins again with that.
local core = require "catalog.core"
local emulated = require "support.emulated"
local emulator = require "catalog.emulator"
local shell = require "support.shell"

local CATALOG <const> = "/data/foundation/catalog/batches"
local get <const>, post <const>, start_beside <const> = emulated.get, emulated.post, emulated.start_beside

describe("the emulator's store", function()
  it("lets the catalog lag behind when told to", function()
    local server <close> = assert(emulator.start { catalog_lag_ms = 200 })
    local _, batch = post(server)
    assert.equal(404, (get(server, CATALOG .. "/" .. batch.id)))
    assert.equal("{}", (select(2, get(server, CATALOG))))
    while core.system.now() < batch.created + 200 do end
    assert.equal(200, (get(server, CATALOG .. "/" .. batch.id)))
  end)

  it("is there again after a stop, when it has a directory", function()
    shell.with_directory(function(directory)
      local first = assert(emulator.start { data_dir = directory .. "/data" })
      local _, batch = post(first, '{"datasetId":"d","externalId":"kept","tags":{"a":[]}}')
      first:stop()
      local second <close> = assert(emulator.start { data_dir = directory .. "/data", unique_ids = true })
      local _, answer = get(second, CATALOG .. "/" .. batch.id)
      assert.same({ [batch.id] = batch }, core.json.decode(answer))
      assert.matches('"a":[]', answer, 1, true)
      assert.equal(409, (post(second, '{"datasetId":"d","externalId":"kept"}')))
    end)
  end)

  it("leaves alone what is no batch in its directory, says so, and has the others", function()
    shell.with_directory(function(directory)
      local first = assert(emulator.start { data_dir = directory .. "/data" })
      local _, batch = post(first)
      first:stop()
      shell.write(directory .. "/data/torn.json", '{"batch":')
      local second <close>, said = start_beside(directory .. "/data")
      assert.equal(("emulator: %s/data/torn.json is no batch, and is left alone"):format(directory), said)
      assert.equal(200, (get(second, CATALOG .. "/" .. batch.id)))
    end)
  end)
end)
