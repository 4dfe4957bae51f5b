-- The emulator's identity service.
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local exchange = require "support.exchange"

describe("the emulator's identity service", function()
  it("answers errors in OAuth's shape", function()
    local server <close> = assert(emulator.start { clients = { key = "s3cret" } })
    for _, case in ipairs {
      { "", 400, "invalid_request" },
      { "grant_type=password&client_id=key&client_secret=s3cret", 400, "unsupported_grant_type" },
      { "grant_type=client_credentials&client_id=key&client_secret=no", 401, "invalid_client" },
      { "grant_type=client_credentials&client_id=no&client_secret=s3cret", 401, "invalid_client" },
    } do
      local status, answer = exchange.request(server.port, "POST", "/ims/token/v3", {}, case[1])
      assert.equal(case[2], status)
      assert.equal(case[3], core.json.decode(answer).error)
    end
  end)

  it("takes its fields from the query too", function()
    local server <close> = assert(emulator.start { clients = { key = "a b" } })
    assert.equal(200, (exchange.request(server.port, "POST",
      "/ims/token/v3?grant_type=client_credentials&client_id=key&client_secret=a+b", {}, "")))
  end)
end)
