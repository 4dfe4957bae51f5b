-- What is checked of every request to the emulator.
local emulated = require "support.emulated"
local emulator = require "catalog.emulator"

local BODY <const> = '{"datasetId":"5c8c3c555033b814b69f947f"}'
local post <const> = emulated.post

describe("the emulator's gateway", function()
  it("refuses what the service's gateway refuses, with its codes", function()
    local server <close> = assert(emulator.start { tokens = { "token" }, api_keys = { "key" }, orgs = { "ORG@AdobeOrg" } })
    for _, case in ipairs {
      { { Authorization = false }, 403, "403010", "Oauth token is missing." },
      { { Authorization = "Bearer " }, 403, "403010", "Oauth token is missing." },
      { { Authorization = "Bearer another" }, 401, "401013", "Oauth token is not valid" },
      { { Authorization = "Basic token" }, 401, "401013", "Oauth token is not valid" },
      { { ["x-api-key"] = false }, 403, "403000", "Api Key is required" },
      { { ["x-api-key"] = "another" }, 403, "403003", "Api Key is invalid" },
      { { ["x-gw-ims-org-id"] = false }, 400, "400003", "Missing header: x-gw-ims-org-id" },
      { { ["x-gw-ims-org-id"] = "another" }, 403, "403025", "The user is not entitled for this organization" },
    } do
      local status, answer, head = post(server, BODY, case[1])
      assert.equal(case[2], status)
      assert.same({ error_code = case[3], message = case[4] }, answer)
      assert.matches("x%-request%-id: %w+", head)
    end
    assert.equal(201, (post(server)))
  end)

  it("refuses a token that has expired", function()
    local server <close> = assert(emulator.start { tokens = { token = 0, lasting = 60 } })
    local status, answer = post(server)
    assert.equal(401, status)
    assert.equal("401013", answer.error_code)
    assert.equal(201, (post(server, BODY, { Authorization = "Bearer lasting" })))
  end)

  it("wants the headers of the API descriptions under strict", function()
    local server <close> = assert(emulator.start { strict = true })
    local status, answer = post(server, BODY, { ["x-sandbox-name"] = false })
    assert.equal(400, status)
    assert.equal("The header x-sandbox-name is required", answer.detail)
    assert.equal("inputFormat is required", (select(2, post(server))).detail)
    assert.equal("colour is not a field of a batch",
      (select(2, post(server, '{"datasetId":"d","inputFormat":{"format":"json"},"colour":"red"}'))).detail)
    local lenient <close> = assert(emulator.start {})
    assert.equal(201, (post(lenient, '{"datasetId":"d","colour":"red"}', { ["x-sandbox-name"] = false })))
  end)
end)
