-- Filters and orders of the emulator's listings. What they mean: Adobe's guide to filtering.
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local exchange = require "support.exchange"

local BATCHES <const> = "/data/foundation/import/batches"
local CATALOG <const> = "/data/foundation/catalog/batches"

local function request(server, method, target, body, changes)
  local headers = {
    Authorization = "Bearer token", ["x-api-key"] = "key", ["x-gw-ims-org-id"] = "ORG@AdobeOrg",
    ["x-sandbox-name"] = "prod", ["Content-Type"] = body and "application/json",
  }
  for name, value in pairs(changes or {}) do headers[name] = value end
  return exchange.request(server.port, method, target, headers, body)
end

-- Four batches, a millisecond or more apart, of which the third was completed with three rows, one of them bad, and the
-- fourth was aborted.
local function four(server)
  local made = {}
  for i, fields in ipairs {
    { datasetId = "d1", tags = { colour = { "red" }, size = { "large" } } },
    { datasetId = "d2", externalId = "e.2", tags = { colour = { "reddish", "w:x" } } },
    { datasetId = "d1", externalId = "e-3", tags = { note = {} }, partialIngestionPercent = 50,
      inputFormat = { format = "json" } },
    { datasetId = "d3", tags = { colour = { "r*d" } } },
  } do
    local _, answer = request(server, "POST", BATCHES, assert(core.json.encode(fields)))
    made[i] = assert(core.json.decode(answer))
    while core.system.now() <= made[i].created do end
  end
  request(server, "PUT", ("%s/%s/datasets/d1/files/a"):format(BATCHES, made[3].id), "{}\n{}\nx\n",
    { ["Content-Type"] = "application/octet-stream" })
  request(server, "POST", ("%s/%s?action=COMPLETE"):format(BATCHES, made[3].id), "")
  request(server, "POST", ("%s/%s?action=ABORT"):format(BATCHES, made[4].id), "")
  return made
end

-- Which of the batches an answer has, in its order.
local function numbers_in(answer, made)
  local numbers = {}
  for id in answer:gmatch '"(%w+)":{' do
    for i, batch in ipairs(made) do
      if batch.id == id then numbers[#numbers + 1] = i end
    end
  end
  return numbers
end

local function encoded(query)
  return (query:gsub("[^%w=&!,:._~*-]", function(char) return ("%%%02X"):format(char:byte()) end))
end

describe("the emulator's catalog", function()
  it("filters by what a batch has, one of several values, or none of them", function()
    local server <close> = assert(emulator.start {})
    local made = four(server)
    for query, expected in pairs {
      ["status=loading"] = { 2, 1 }, ["status=!loading"] = { 4, 3 }, ["status=success,aborted"] = { 4, 3 },
      ["status=!success,aborted"] = { 2, 1 }, ["status=loading&status=!loading"] = {}, ["status=retrying"] = {},
      ["dataSet=d1"] = { 3, 1 }, ["dataSet=!d1"] = { 4, 2 }, ["dataSet=d2,d3"] = { 4, 2 },
      ["batch=" .. made[2].id .. "," .. made[4].id] = { 4, 2 }, ["batch=!" .. made[2].id] = { 4, 3, 1 },
      ["externalId=e.2,e-3"] = { 3, 2 }, ["created=" .. made[2].created] = { 2 }, ["created=!" .. made[2].created] = { 4, 3, 1 },
      ["createdClient=key"] = { 4, 3, 2, 1 }, ["createdClient=!key"] = {}, ["version=1.0.0&dataSet=d3"] = { 4 },
      ["recordCount=3"] = { 3 }, ["failedRecordCount=1"] = { 3 }, ["size=8"] = { 3 }, ["completed=1"] = {},
      ["imsOrg=ORG@AdobeOrg&status=aborted"] = { 4 }, ["startAfter=1"] = {}, ["endBefore=1"] = {},
      ["sandboxId=" .. made[1].sandboxId .. "&status=success"] = { 3 },
    } do
      local status, answer = request(server, "GET", CATALOG .. "?" .. encoded(query))
      assert.equal(200, status, query)
      assert.same(expected, numbers_in(answer, made), query)
    end
  end)

  it("filters by tags, all of those that are asked for, with wildcards", function()
    local server <close> = assert(emulator.start {})
    local made = four(server)
    for query, expected in pairs {
      ["colour:red"] = { 1 }, ["colour:red*"] = { 2, 1 }, ["colour:*"] = { 4, 2, 1 }, ["note:*"] = { 3 }, ["note:x"] = {},
      ["colour:*dd*"] = { 2 }, ["colour:w:x"] = { 2 }, ["colour:r**d"] = { 4 }, ["colour:r*d"] = { 4, 1 },
      ["colour:red,size:*"] = { 1 }, ["colour:*,size:small"] = {}, ["none:*"] = {}, ["colour:r.d"] = {},
      ["acp_partialIngestionPercent:50"] = { 3 },
    } do
      local status, answer = request(server, "GET", CATALOG .. "?tags=" .. encoded(query))
      assert.equal(200, status, query)
      assert.same(expected, numbers_in(answer, made), query)
    end
  end)

  it("filters by conditions on properties", function()
    local server <close> = assert(emulator.start {})
    local made = four(server)
    for query, expected in pairs {
      ["metrics"] = { 3 }, ["!metrics"] = { 4, 2, 1 }, ["status==loading"] = { 2, 1 }, ["status!=loading"] = { 4, 3 },
      ["status~^(abort|succ)"] = { 4, 3 }, ["status~d$"] = { 4 }, ["externalId~^e[.-]\\d$"] = { 3, 2 }, ["metrics~x"] = {},
      ["version>1.0.0"] = {}, ["version>=1.0.0"] = { 4, 3, 2, 1 }, ["version<1.0.10"] = { 4, 3, 2, 1 }, ["version<=0.9"] = {},
      ["created>" .. made[2].created] = { 4, 3 }, ["created>=" .. made[2].created] = { 4, 3, 2 },
      ["created==" .. made[2].created] = { 2 }, ["completed>0"] = { 3 }, ["completed!=0"] = { 4, 3, 2, 1 },
      ["created>0&property=!metrics&property=status==loading"] = { 2, 1 },
    } do
      local target = encoded(query):gsub("%%26", "&"):gsub("%%3D", "=")
      local status, answer = request(server, "GET", CATALOG .. "?property=" .. target)
      assert.equal(200, status, query)
      assert.same(expected, numbers_in(answer, made), query)
    end
  end)

  it("sorts by several properties, and by each in its direction", function()
    local server <close> = assert(emulator.start {})
    local made = four(server)
    for query, expected in pairs {
      ["desc:created"] = { 4, 3, 2, 1 }, ["created"] = { 1, 2, 3, 4 }, ["asc:created,updated"] = { 1, 2, 3, 4 },
      ["status,desc:created"] = { 4, 2, 1, 3 }, ["desc:dataSet,asc:created"] = { 4, 2, 1, 3 },
      ["dataSet,desc:created"] = { 3, 1, 2, 4 }, ["completed,created"] = { 1, 2, 4, 3 }, ["desc:id"] = { 4, 3, 2, 1 },
    } do
      local status, answer = request(server, "GET", CATALOG .. "?orderBy=" .. query)
      assert.equal(200, status, query)
      assert.same(expected, numbers_in(answer, made), query)
      local _, page = request(server, "GET", CATALOG .. "?start=1&limit=2&orderBy=" .. query)
      assert.same({ expected[2], expected[3] }, numbers_in(page, made), query)
    end
  end)

  it("refuses a filter or an order that is none, and passes over none of them", function()
    local server <close> = assert(emulator.start {})
    four(server)
    for _, query in ipairs {
      "status=", "status=!", "status=a,,b", "created=x", "created=1,x", "recordCount=1.5", "createdAfter=", "startAfter=x",
      "tags=", "tags=colour", "tags=:x", "tags=colour:", "tags=a:b,c", "property=", "property=!", "property=a b", "property==x",
      "property=status==", "property=status=x", "property=status~(", "property=status~*", "property=status~[a",
      "property=created>x", "property=created!=x", "orderBy=", "orderBy=up:created", "orderBy=asc:colour", "orderBy=created,",
      "limit=0", "start=x", "property=status!x",
    } do
      local status, answer = request(server, "GET", CATALOG .. "?" .. encoded(query))
      assert.equal(400, status, query)
      assert.is_string(core.json.decode(answer).detail, query)
    end
  end)

  it("gives several batches by their ids, those there are", function()
    local server <close> = assert(emulator.start {})
    local made = four(server)
    local function look_up(ids)
      local status, answer = request(server, "GET", CATALOG .. "/" .. ids)
      return status, numbers_in(answer, made)
    end
    local one, three = made[1].id, made[3].id
    assert.same({ 200, { 1, 3 } }, { look_up(one .. "," .. three) })
    assert.same({ 200, { 3, 1 } }, { look_up(three .. "%2C" .. one) })
    assert.same({ 200, { 3 } }, { look_up("nobody," .. three) })
    assert.equal(404, (look_up("nobody,none")))
    local _, shown = request(server, "GET", ("%s/%s,%s?properties=status"):format(CATALOG, one, three))
    assert.same({ [one] = { status = "loading" }, [three] = { status = "success" } }, core.json.decode(shown))
  end)
end)
