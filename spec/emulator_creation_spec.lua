-- Creating batches at the emulator.
local emulated = require "support.emulated"
local emulator = require "catalog.emulator"

local CATALOG <const> = "/data/foundation/catalog/batches"
local BODY <const> = '{"datasetId":"5c8c3c555033b814b69f947f"}'
local get <const>, post <const> = emulated.get, emulated.post

describe("the emulator's creation", function()
  it("refuses a payload that is none, with the reason", function()
    local server <close> = assert(emulator.start {})
    for _, case in ipairs {
      { "", "The request body is not a JSON object" }, { "[1]", "The request body is not a JSON object" },
      { "{", "The request body is not a JSON object" }, { "{}", "datasetId is required" },
      { '{"datasetId":17}', "datasetId is required" },
      { '{"datasetId":"d","inputFormat":{"format":"avro"}}', "inputFormat.format is one of json, parquet and csv" },
      { '{"datasetId":"d","partialIngestionPercent":101}', "partialIngestionPercent is a number from 0 to 100" },
      { '{"datasetId":"d","enableErrorDiagnostics":"yes"}', "enableErrorDiagnostics is true or false" },
      { '{"datasetId":"d","tags":{"a":"b"}}', "tags.a is not an array of strings" },
      { '{"datasetId":"d","replay":{"predecessors":"b"}}', "replay.predecessors is not an array of strings" },
      { '{"datasetId":"d","externalId":17}', "externalId is a string" },
    } do
      local status, answer = post(server, case[1])
      assert.equal(400, status)
      assert.equal(400, answer.status)
      assert.equal("BadRequestError", answer.title)
      assert.equal(case[2], answer.detail:sub(1, #case[2]))
    end
  end)

  it("wants JSON to be called so", function()
    local server <close> = assert(emulator.start {})
    local status, answer = post(server, BODY, { ["Content-Type"] = "text/plain" })
    assert.equal(415, status)
    assert.equal("Content-Type is text/plain; application/json is needed", answer.detail)
    assert.equal(201, (post(server, BODY, { ["Content-Type"] = "application/json; charset=utf-8" })))
  end)

  it("takes JSON without a type, as a curl of the guide sends it, but not under strict", function()
    local curls = { false, "application/x-www-form-urlencoded" }
    local body = '{"datasetId":"d","inputFormat":{"format":"json"}}'
    local server <close> = assert(emulator.start {})
    local strict <close> = assert(emulator.start { strict = true })
    for _, media in ipairs(curls) do
      assert.equal(201, (post(server, body, { ["Content-Type"] = media })))
      local status, answer = post(strict, body, { ["Content-Type"] = media })
      assert.equal(415, status)
      assert.equal(("Content-Type is %s; application/json is needed"):format(media or "missing"), answer.detail)
    end
  end)

  it("takes a second batch with an external id, as no guide says that the service does not", function()
    local server <close> = assert(emulator.start { unique_ids = false })
    local body = '{"datasetId":"d","externalId":"mine"}'
    local _, first = post(server, body)
    local status, second = post(server, body)
    assert.equal(201, status)
    assert.not_equal(first.id, second.id)
    local _, answer = get(server, CATALOG .. "?limit=100&externalId=mine")
    assert.matches(first.id, answer, 1, true)
    assert.matches(second.id, answer, 1, true)
  end)

  it("refuses a second batch with an external id when told to, in the same organisation only", function()
    local server <close> = assert(emulator.start { unique_ids = true })
    local body = '{"datasetId":"d","externalId":"mine"}'
    local _, first = post(server, body)
    local status, answer = post(server, body)
    assert.equal(409, status)
    assert.equal("A batch with the externalId mine exists already: " .. first.id, answer.detail)
    assert.equal(201, (post(server, body, { ["x-gw-ims-org-id"] = "OTHER@AdobeOrg" })))
  end)

  it("refuses datasets that are not known, when some are", function()
    local server <close> = assert(emulator.start { datasets = { "known" } })
    local status, answer = post(server)
    assert.equal(400, status)
    assert.equal("Dataset 5c8c3c555033b814b69f947f was not found", answer.detail)
    assert.equal(201, (post(server, '{"datasetId":"known"}')))
  end)

  it("knows datasets by a map from ids to names, and all of them when none is named", function()
    local server <close> = assert(emulator.start { datasets = { known = "A name" } })
    assert.equal(400, (post(server)))
    assert.equal(201, (post(server, '{"datasetId":"known"}')))
    local open <close> = assert(emulator.start { datasets = {} })
    assert.equal(201, (post(open)))
    assert.error_matches(function() emulator.start { datasets = { 17 } } end, "bad option 'datasets' for emulator.start", 1, true)
  end)
end)
