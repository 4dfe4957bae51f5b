-- Transfers, as the client of the core begins them.
local raw = require "support.raw"
local service = require "support.service"

describe("a transfer", function()
  it("whose client is closed is over, as cancelled", function()
    local server <close> = raw.start { { { hang = true } } }
    local client = service.client(server.url)
    local transfer = assert(client:start { method = "GET", path = "/" })
    client:close()
    assert.is_true(transfer:done())
    local status, err = transfer:reply()
    assert.is_nil(status)
    assert.equal("cancelled", err.kind)
    transfer:close()
    assert.error_matches(function() transfer:reply() end, "the transfer is closed", 1, true)
  end)
end)
