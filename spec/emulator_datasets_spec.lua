-- The emulator's data sets, as no client of ours asks for them.
local core = require "catalog.core"
local emulated = require "support.emulated"
local emulator = require "catalog.emulator"

local CATALOG <const> = "/data/foundation/catalog/"
local JSON <const> = { ["Content-Type"] = "application/json" }

local function ask(server, method, target, body, changes)
  local headers = { ["Content-Type"] = body and "application/json" }
  for name, value in pairs(changes or {}) do headers[name] = value end
  local status, answer, head = emulated.request(server, method, CATALOG .. target, body and assert(core.json.encode(body)),
    headers)
  return status, core.json.decode(answer), head
end

local function create(server, fields)
  local status, answer, head = ask(server, "POST", "dataSets", fields)
  assert.equal(201, status)
  local id = answer[1]:match "^@/dataSets/(%x+)$"
  assert.matches("[Ll]ocation: /data/foundation/catalog/dataSets/" .. id, head)
  return id
end

-- The tags of a data set without those that the service adds.
local function own(tags)
  local list = {}
  for name, value in pairs(tags) do list[name] = not name:find "^adobe/" and value or nil end
  return list
end

describe("the emulator's data sets", function()
  it("are created, looked up, and listed by their names", function()
    local server <close> = assert(emulator.start {})
    local id = create(server, { name = "Loyalty members", tags = { unifiedProfile = { "enabled:true" } } })
    local other = create(server, { name = "Loyalty events" })
    local status, found, head = ask(server, "GET", "dataSets/" .. id)
    assert.equal(200, status)
    assert.equal("Loyalty members", found[id].name)
    assert.same({ unifiedProfile = { "enabled:true" } }, own(found[id].tags))
    assert.same({ "loyalty_members", "parquet", "CUSTOMER" }, { found[id].tags["adobe/pqs/table"][1],
      found[id].tags["adobe/siphon/table/format"][1], found[id].classification.managedBy })
    assert.is_nil(found[id].id)
    assert.matches('[Ee][Tt]ag: "1.0.0"', head)
    for query, names in pairs {
      ["?name=Loyalty%20members"] = { "Loyalty members" }, ["?name=x"] = {},
      ["?property=name~%5ELoyal.%2A%24&orderBy=asc:name"] = { "Loyalty events", "Loyalty members" },
      ["?tags=unifiedProfile:enabled*"] = { "Loyalty members" },
    } do
      local _, list = ask(server, "GET", "dataSets" .. query)
      local known = {}
      for _, fields in pairs(list) do known[#known + 1] = fields.name end
      table.sort(known)
      assert.same(names, known, query)
    end
    local _, both = ask(server, "GET", ("dataSets/%s,%s?properties=name"):format(id, other))
    assert.same({ [id] = { name = "Loyalty members" }, [other] = { name = "Loyalty events" } }, both)
    assert.equal(404, (ask(server, "GET", "dataSets/nobody")))
    assert.equal(400, (ask(server, "POST", "dataSets", { description = "has no name" })))
  end)

  it("are changed by fields, deep fields, and JSON patches; not by who has not seen the last change", function()
    local server <close> = assert(emulator.start {})
    local id = create(server, { name = "a", tags = { one = { "1" }, two = { "2" } } })
    local at, deep = "dataSets/" .. id, "v2/dataSets/" .. id
    local function tags() return own(select(2, ask(server, "GET", at))[id].tags) end
    assert.equal(200, (ask(server, "PATCH", deep, { tags = { two = { "3" } } }, { ["If-Match"] = '"1.0.0"' })))
    assert.same({ one = { "1" }, two = { "3" } }, tags())
    local status, problem, head = ask(server, "PATCH", deep, { description = "x" }, { ["If-Match"] = '"1.0.0"' })
    assert.same({ 412, "PreconditionFailedError" }, { status, problem.title })
    assert.matches('[Ee][Tt]ag: "1.0.1"', head)
    assert.equal(412, (ask(server, "PATCH", at, { description = "x" }, { ["If-None-Match"] = "1.0.1" })))
    assert.equal(200, (ask(server, "PATCH", at, core.json.array {
      { op = "add", path = "/tags/unifiedProfile", value = { "enabled:true" } }, { op = "remove", path = "/tags/one" },
    }, { ["Content-Type"] = "application/json-patch+json" })))
    assert.same({ unifiedProfile = { "enabled:true" }, two = { "3" } }, tags())
    assert.equal(200, (ask(server, "PATCH", at, { tags = { three = { "3" } } })))
    assert.same({ three = { "3" } }, tags())
    for _, body in ipairs { { { op = "move", path = "/a" } }, { { op = "remove", path = "/nobody" } }, { { op = "add" } },
      { name = 5 } } do
      assert.equal(400, (ask(server, "PATCH", at, body)))
    end
    assert.equal(200, (ask(server, "PUT", at, { name = "b" })))
    assert.equal("b", select(2, ask(server, "GET", at))[id].name)
    assert.equal(200, (ask(server, "DELETE", at)))
    assert.equal(404, (ask(server, "GET", at)))
  end)

  it("are those that were given, or any once it was used", function()
    local server <close> = assert(emulator.start { datasets = { d = { name = "Given", tags = { a = { "b" } } } } })
    local _, given = ask(server, "GET", "dataSets")
    assert.same({ "Given", "b" }, { given.d.name, given.d.tags.a[1] })
    local _, answer = emulated.post(server, '{"datasetId":"e"}')
    assert.equal("Dataset e was not found", answer.detail)
    local open <close> = assert(emulator.start {})
    assert.equal(404, (ask(open, "GET", "dataSets/d")))
    emulated.create(open)
    assert.equal("d", select(2, ask(open, "GET", "dataSets/d")).d.name)
  end)

  it("have their last batches", function()
    local server <close> = assert(emulator.start {})
    local good, bad, last = emulated.create(server), emulated.create(server), emulated.create(server)
    emulated.put(server, good, "a", "{}\n")
    emulated.act(server, good, "COMPLETE")
    emulated.act(server, bad, "FAIL")
    local _, answer = ask(server, "GET", "lastBatches?dataSetId=d,nobody")
    assert.same({ last, "loading", good, bad }, {
      answer.d.lastBatchId, answer.d.lastBatchStatus, answer.d.lastSuccessfulBatchId, answer.d.lastFailedBatchId,
    })
    assert.is_nil(answer.nobody)
  end)

  it("have their files", function()
    local server <close> = assert(emulator.start {})
    local first, second = emulated.create(server), emulated.create(server)
    if second < first then first, second = second, first end -- of the same millisecond
    for i, id in ipairs { first, second } do emulated.put(server, id, "a", ("{}\n"):rep(i)) end
    local function ids(query)
      local list = {}
      for id, entry in pairs(select(2, ask(server, "GET", "dataSetFiles" .. query))) do
        list[#list + 1] = id
        assert.equal(entry.batchId .. "-1", id)
      end
      table.sort(list)
      return list
    end
    local both = { first .. "-1", second .. "-1" } -- which may be of the same millisecond
    table.sort(both)
    assert.same(both, ids "?dataSetId=d")
    assert.same({ second .. "-1" }, ids("?batch=" .. second))
    local last = ids "?limit=1&start=1"
    assert.equal(1, #last)
    assert.is_true(last[1] == both[1] or last[1] == both[2])
    assert.same({}, ids "?dataSetId=nobody")
    assert.equal(400, (ask(server, "GET", "dataSetFiles?limit=x")))
  end)

  it("are there again after a restart", function()
    emulated.with_server(function(server, directory)
      local id = create(server, { name = "kept", tags = { empty = core.json.array() } })
      ask(server, "PATCH", "dataSets/" .. id, { description = "x" }, JSON)
      server:stop()
      local again <close> = assert(emulator.start { data_dir = directory })
      local _, body = emulated.get(again, CATALOG .. "dataSets/" .. id)
      assert.matches('"empty":[]', body, 1, true)
      local fields = core.json.decode(body)[id]
      assert.same({ "kept", "x", "1.0.1" }, { fields.name, fields.description, fields.version })
    end)
  end)
end)
