local catalog = require "catalog"
local core = require "catalog.core"
local raw = require "support.raw"
local service = require "support.service"
local version = require "catalog.base.version"

local DATASET <const> = service.DATASET

-- Creates with the options and gives the request as the server saw it, and what the call gave.
local function request_of(options, changes)
  local server <close> = raw.start { { { send = raw.answer("201 Created", '{"id":"b1"}') } } }
  local batch, err = service.client(server.url, changes):create_batch(options)
  return server:stop()[1], batch, err
end

local function body_of(options)
  local request, _, err = request_of(options)
  assert.is_nil(err)
  return request:match "\r\n\r\n(.*)"
end

local function payload_of(options)
  return core.json.decode(body_of(options))
end

-- Creates against an answer of the server's and gives what the call gave.
local function answered(text)
  local server <close> = raw.start { { { send = text, close = true } } }
  return service.client(server.url):create_batch { dataset = DATASET }
end

describe("create_batch", function()
  it("gives the batch the service made, integers as integers", function()
    service.run({}, function(_, client)
      local before = core.system.now()
      local batch = assert(client:create_batch { dataset = DATASET })
      assert.matches("^%w+$", batch.id)
      assert.equal("loading", batch.status)
      assert.equal("integer", math.type(batch.created))
      assert.is_true(batch.created >= before and batch.created <= core.system.now())
      assert.equal("ORG@AdobeOrg", batch.imsOrg)
      assert.same({ { type = "dataSet", id = DATASET } }, batch.relatedObjects)
      assert.equal(batch.id, batch.externalId)
      assert.same({ format = "parquet" }, batch.inputFormat)
      assert.equal("1.0.0", batch.version)
    end)
  end)

  it("shows with pairs what the service sent and nothing else", function()
    local batch = answered(raw.answer("201 Created", '{"id":"b1","status":"loading","created":1552694873602,"tags":{}}'))
    local seen = {}
    for name, value in pairs(batch) do seen[name] = value end
    assert.same({ id = "b1", status = "loading", created = 1552694873602, tags = {} }, seen)
  end)

  it("gives a batch that is short as text", function()
    assert.equal("batch b1 (loading)", tostring(answered(raw.answer("201 Created", '{"id":"b1","status":"loading"}'))))
  end)

  it("keeps JSON's null apart from what is absent", function()
    local batch = answered(raw.answer("201 Created", '{"id":"b1","updatedUser":null}'))
    assert.equal(catalog.null, batch.updatedUser)
    assert.is_nil(batch.createdUser)
  end)

  it("sends with only a dataset exactly the body and the headers of the guide", function()
    local request = request_of { dataset = DATASET }
    local head, body = request:match "^(.-\r\n)\r\n(.*)$"
    assert.equal('{"datasetId":"5c8c3c555033b814b69f947f"}', body)
    assert.equal("POST /data/foundation/import/batches HTTP/1.1", head:match "^[^\r]*")
    local names = {}
    for name, value in head:gmatch "\n([^:\r\n]+): ([^\r\n]*)" do names[#names + 1] = name .. "=" .. value end
    table.remove(names, 1) -- Host, with the port
    assert.same({
      "User-Agent=catalog-lua/" .. version, "accept=application/json", "content-type=application/json",
      "Authorization=Bearer token", "x-api-key=key", "x-gw-ims-org-id=ORG@AdobeOrg", "x-sandbox-name=prod",
      "Content-Length=" .. #body,
    }, names)
  end)

  it("sends a format only when the caller named one, in the guide's spelling", function()
    assert.same({ format = "json" }, payload_of({ dataset = DATASET, format = "json" }).inputFormat)
    assert.same({ format = "json", isMultiLineJson = true },
      payload_of({ dataset = DATASET, format = "json", multiline = true }).inputFormat)
    assert.same({ format = "json", isMultiLineJson = true }, payload_of({ dataset = DATASET, multiline = true }).inputFormat)
    assert.is_nil(payload_of({ dataset = DATASET }).inputFormat)
  end)

  it("sends the CSV options under the service's names", function()
    assert.same({
      format = "csv", delimiter = ";", quote = "'", escape = "\\", charset = "UTF-8", header = "a,b", nullMarker = "NULL",
    }, payload_of({
      dataset = DATASET, format = "csv",
      csv = { delimiter = ";", quote = "'", escape = "\\", charset = "UTF-8", header = "a,b", null_marker = "NULL" },
    }).inputFormat)
  end)

  it("sends replays, the ids of batches exactly as given, external ones with a $", function()
    assert.same({ predecessors = { "a", "b" }, reason = "replace" },
      payload_of({ dataset = DATASET, replay = { predecessors = { "a", "b" }, reason = "replace" } }).replay)
    local ids <const> = { "x", "$y", "z$" }
    assert.same({ predecessorsByExternalId = { "$x", "$y", "$z$" } },
      payload_of({ dataset = DATASET, replay = { predecessors_by_external_id = ids } }).replay)
    assert.same({ "x", "$y", "z$" }, ids)
    assert.equal('{"predecessorsByExternalId":[]}',
      body_of({ dataset = DATASET, replay = { predecessors_by_external_id = {} } }):match '"replay":(%b{})')
  end)

  it("sends an empty list as a list", function()
    assert.equal('{"a":[]}', body_of({ dataset = DATASET, tags = { a = {} } }):match '"tags":(%b{})')
    assert.equal('[]', body_of({ dataset = DATASET, replay = { predecessors = {} } }):match '"predecessors":(%b[])')
  end)

  it("sends tags, the external id, diagnostics and partial ingestion", function()
    assert.same({
      datasetId = DATASET, externalId = "mine", enableErrorDiagnostics = true, partialIngestionPercent = 5,
      tags = { source = { "crm", "nightly" } },
    }, payload_of {
      dataset = DATASET, external_id = "mine", error_diagnostics = true, partial_ingestion = 5,
      tags = { source = { "crm", "nightly" } },
    })
  end)

  it("refuses a tag's name that would be cut", function()
    local payload, err = require("catalog.core").batch.payload { dataset = "d", tags = { ["a\0b"] = { "x" } } }
    assert.is_nil(payload)
    assert.equal("data", err.kind)
  end)

  it("merges extra into the payload as it is", function()
    assert.same({
      datasetId = DATASET, inputFormat = { format = "avro", newer = { 1, 2 } }, list = { "c" },
      replay = { predecessors = { "z" } },
    }, payload_of {
      dataset = DATASET, format = "json", replay = { predecessors = { "a", "b" } },
      extra = { inputFormat = { format = "avro", newer = { 1, 2 } }, list = { "c" }, replay = { predecessors = { "z" } } },
    })
  end)

  it("leaves the caller's tables as they were", function()
    local options = { dataset = DATASET, tags = { a = {} }, extra = { tags = { b = catalog.array {} } } }
    body_of(options)
    assert.is_nil(getmetatable(options.tags.a))
    assert.is_nil(options.extra.tags.a)
  end)

  it("uses a sandbox for the call and for all that is done with the batch", function()
    local server <close> = raw.start { {
      { send = raw.answer("201 Created", '{"id":"b1"}') }, { send = raw.answer("200 OK", '{"b1":{"status":"loading"}}') },
      { send = raw.answer("201 Created", '{"id":"b2"}') },
    } }
    local client = service.client(server.url)
    assert(assert(client:create_batch { dataset = DATASET, sandbox = "dev" }):get())
    assert(client:create_batch { dataset = DATASET })
    local sandboxes = {}
    for _, request in ipairs(server:stop()) do sandboxes[#sandboxes + 1] = request:match "x%-sandbox%-name: (%w+)" end
    assert.same({ "dev", "dev", "prod" }, sandboxes)
  end)

  it("says so where the service refuses a second batch with the same external id", function()
    service.run({ unique_ids = true }, function(_, client)
      assert(client:create_batch { dataset = DATASET, external_id = "once" })
      local batch, err = client:create_batch { dataset = DATASET, external_id = "once" }
      assert.is_nil(batch)
      assert.equal("http", err.kind)
      assert.matches("once", err.message, 1, true)
      assert.is_nil(err.ambiguous)
    end)
  end)
end)

describe("a reply to a creation that is no batch", function()
  for what, case in pairs {
    ["cut short"] = { '{"id":"5d01230f', "not JSON" },
    ["no JSON"] = { "created", "not JSON" },
    ["no object"] = { '"5d01230f"', "not a batch" },
    ["a null"] = { "null", "not a batch" },
    ["empty"] = { "", "not JSON" },
    ["without an id"] = { '{"status":"loading"}', "no batch id" },
    ["with an id that is no string"] = { '{"id":17}', "no batch id" },
    ["with an empty id"] = { '{"id":""}', "no batch id" },
  } do
    it("is an error when it is " .. what, function()
      local batch, err = answered(raw.answer("201 Created", case[1], "x-request-id: r-1\r\n"))
      assert.is_nil(batch)
      assert.equal("protocol", err.kind)
      assert.equal(201, err.status)
      assert.equal("r-1", err.request_id)
      assert.is_true(err.ambiguous)
      assert.matches(case[2], err.message, 1, true)
    end)
  end

  it("is an error when the connection closes in the middle of the body", function()
    local batch, err = answered("HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\n{\"id\":\"b1\"}")
    assert.is_nil(batch)
    assert.equal("protocol", err.kind)
    assert.matches("cut short", err.message, 1, true)
    assert.is_true(err.ambiguous)
  end)

  it("is an error when the connection closes in the middle of the headers", function()
    local batch, err = answered("HTTP/1.1 201 Created\r\ncontent-le")
    assert.is_nil(batch)
    assert.is_true(err.kind == "protocol" or err.kind == "network")
    assert.is_true(err.ambiguous)
  end)

  it("is an error when it is nested ten thousand deep", function()
    local deep = '{"id":"b1","tags":' .. ("["):rep(10000) .. ("]"):rep(10000) .. "}"
    local batch, err = answered(raw.answer("201 Created", deep))
    assert.is_nil(batch)
    assert.equal("protocol", err.kind)
    assert.matches("nested", err.message, 1, true)
    assert.is_true(err.ambiguous)
  end)
end)
