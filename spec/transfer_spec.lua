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

  it("goes where its URL says, wherever the one before it went", function()
    local paths = { "/a/b", "/a/c", "/a/c?x=1", "/a/d", "/a%2Fe", "/a/f%C3%A4", "/", "/g", "/?y=/h", "/g", "/a/../i", "/j" }
    local answers = {}
    for i = 1, #paths do answers[i] = { send = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" } end
    local server <close> = raw.start { answers }
    local client = service.client(server.url)
    for i, path in ipairs(paths) do
      local method = i % 3 == 0 and "PUT" or "GET"
      assert(client:send { method = method, path = path, body = method == "PUT" and "x" or nil, upload = method == "PUT",
        read = function() return true end })
    end
    for i, request in ipairs(server:stop()) do assert.equal(paths[i], request:match "^%u+ (%S+) ") end
  end)
end)
