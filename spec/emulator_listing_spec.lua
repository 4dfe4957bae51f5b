-- Listings of the emulator's catalog.
local core = require "catalog.core"
local emulated = require "support.emulated"
local emulator = require "catalog.emulator"

local CATALOG <const> = "/data/foundation/catalog/batches"
local get <const>, post <const> = emulated.get, emulated.post

describe("the emulator's catalog", function()
  local function ids_in(text)
    local ids = {}
    for id in text:gmatch '"(%w+)":{' do ids[#ids + 1] = #id == 26 and id or nil end
    return ids
  end

  -- Five batches, a millisecond or more apart; gives them.
  local function five(server)
    local made = {}
    for i = 1, 5 do
      local _, batch = post(server, ('{"datasetId":"d%d","externalId":"e%d"}'):format(i % 2, i))
      made[i] = batch
      while core.system.now() <= batch.created do end
    end
    return made
  end

  it("lists newest first, and by the query", function()
    local server <close> = assert(emulator.start {})
    local made = five(server)
    local function list(query)
      local status, answer = get(server, CATALOG .. query)
      assert.equal(200, status, answer)
      local numbers = {}
      for _, id in ipairs(ids_in(answer)) do
        for i, batch in ipairs(made) do
          if batch.id == id then numbers[#numbers + 1] = i end
        end
      end
      return numbers
    end
    assert.same({ 5, 4, 3, 2, 1 }, list "")
    assert.same({ 5, 4 }, list "?limit=2")
    assert.same({ 3, 2 }, list "?limit=2&start=2")
    assert.same({ 1, 2, 3, 4, 5 }, list "?orderBy=asc:created")
    assert.same({ 5, 3, 1 }, list "?dataSet=d1")
    assert.same({ 4 }, list "?externalId=e4")
    assert.same({ 5, 4, 3, 2, 1 }, list "?status=loading")
    assert.same({}, list "?status=success")
    assert.same({ 5, 4 }, list("?createdAfter=" .. made[3].created))
    assert.same({ 2, 1 }, list("?createdBefore=" .. made[3].created))
  end)

  it("shows only the properties that are asked for", function()
    local server <close> = assert(emulator.start {})
    local _, batch = post(server)
    local _, answer = get(server, CATALOG .. "?properties=status,created")
    assert.same({ [batch.id] = { status = "loading", created = batch.created } }, core.json.decode(answer))
  end)

  it("gives twenty unless told otherwise, and a hundred at the most", function()
    local server <close> = assert(emulator.start {})
    for _ = 1, 25 do post(server) end
    assert.equal(20, #ids_in((select(2, get(server, CATALOG)))))
    assert.equal(25, #ids_in((select(2, get(server, CATALOG .. "?limit=100")))))
    for _, query in ipairs { "?limit=0", "?limit=101", "?limit=x", "?start=-1", "?createdAfter=x", "?orderBy=up:created" } do
      assert.equal(400, (get(server, CATALOG .. query)), query)
    end
  end)

  it("keeps organisations and sandboxes apart", function()
    local server <close> = assert(emulator.start {})
    local _, batch = post(server)
    assert.equal(200, (get(server, CATALOG .. "/" .. batch.id)))
    for _, changes in ipairs { { ["x-gw-ims-org-id"] = "OTHER@AdobeOrg" }, { ["x-sandbox-name"] = "dev" } } do
      local status, answer = get(server, CATALOG .. "/" .. batch.id, changes)
      assert.equal(404, status)
      assert.equal(("The batch %s was not found"):format(batch.id), core.json.decode(answer).detail)
      assert.equal("{}", (select(2, get(server, CATALOG, changes))))
    end
  end)
end)
