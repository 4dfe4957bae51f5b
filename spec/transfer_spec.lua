-- Transfers, as the client of the core begins them.
local core = require "catalog.core"
local in_flight = require "support.in_flight"
local raw = require "support.raw"
local service = require "support.service"

describe("a transfer", function()
  it("whose client is closed is over, as cancelled", function()
    local server <close> = raw.start { { { hang = true } } }
    local client = service.client(server.url)
    local transfer = in_flight(client, { method = "GET", path = "/" })
    client:close()
    assert.is_true(transfer:done())
    local status, err = transfer:reply()
    assert.is_nil(status)
    assert.equal("cancelled", err.kind)
    transfer:close()
    assert.error_matches(function() transfer:reply() end, "the transfer is closed", 1, true)
  end)

  it("begins with a text for a body and a URL, and with a range there is", function()
    local client, headers = service.client("http://127.0.0.1:1").connection, core.client.headers {}
    local function start(changes)
      local request = { method = "POST", url = "http://127.0.0.1:1/", body = "12345", upload = true }
      for name, value in pairs(changes) do request[name] = value end
      core.transfer.start(client, request, headers, 1)
    end
    assert.error_matches(function() start { body = 12345 } end, "body: string expected")
    assert.error_matches(function() start { url = 1 } end, "url: string expected")
    assert.error_matches(function() start { offset = 6 } end, "offset: beyond the end of the body")
    assert.error_matches(function() start { offset = 1, length = 5 } end, "length: beyond the end of the body")
    assert.error_matches(function() start { offset = 1.5 } end, "offset: integer expected")
    assert.error_matches(function() start { into = headers } end, "into: open file expected")
  end)
end)
