-- A client: the one place that sends.
local raw = require "support.raw"
local service = require "support.service"

local DATASET <const> = service.DATASET

describe("a client", function()
  it("gives a call the time that it names, and else its own", function()
    local server <close> = raw.start { { { hang = true } } }
    local _, err = service.client(server.url, { timeout = 30 }):create_batch { dataset = DATASET, timeout = 0.1 }
    assert.equal("timeout", err.kind)
    assert.matches("no answer within 0.1 seconds", err.message, 1, true)
  end)

  it("shows as text where it sends, and no secret", function()
    local client = service.client("http://127.0.0.1:1", { token = "s3cret", sandbox = "dev" })
    assert.equal("catalog.client (http://127.0.0.1:1, sandbox dev)", tostring(client))
  end)

  it("that is closed ends each call at once, and may be closed again", function()
    local client
    service.run({}, function(server)
      do
        local own <close> = service.client(server.url)
        assert(own:create_batch { dataset = DATASET })
        client = own
      end
      client:close()
      local batch, err = client:create_batch { dataset = DATASET }
      assert.is_nil(batch)
      assert.equal("cancelled", err.kind)
    end)
  end)

  it("sends what is asked for, below its base URL, and gives what was read of the answer", function()
    local server <close> = raw.start { { { send = raw.answer("200 OK", "[1]") }, { send = raw.answer("200 OK", "no") } } }
    local client = service.client(server.url .. "/base/")
    local request = { method = "GET", path = "/x?y=1", read = function(body) return body == "[1]" and body, "unread" end }
    assert.equal("[1]", client:send(request))
    local value, err = client:send { method = "GET", path = "/x", read = function() return nil, { kind = "protocol",
      message = "it is nothing" } end }
    assert.is_nil(value)
    assert.equal("protocol", err.kind)
    assert.matches("^GET /base/x%?y=1 HTTP/1.1\r\n", server:stop()[1])
  end)
end)

describe("on_request", function()
  it("is told of each exchange, and of no secret", function()
    local seen = {}
    local server <close> = raw.start { {
      { send = raw.answer("201 Created", '{"id":"b1"}', "x-request-id: r-1\r\n") },
      { send = raw.answer("400 Bad Request", '{"title":"Bad"}') },
    } }
    local client = service.client(server.url, { on_request = function(exchange) seen[#seen + 1] = exchange end })
    assert(client:create_batch { dataset = service.DATASET })
    client:create_batch { dataset = service.DATASET }
    assert.equal(2, #seen)
    assert.equal("POST", seen[1].method)
    assert.equal(server.url .. "/data/foundation/import/batches", seen[1].url)
    assert.equal(201, seen[1].status)
    assert.equal("r-1", seen[1].request_id)
    assert.equal(1, seen[1].attempt)
    assert.is_number(seen[1].seconds)
    assert.is_nil(seen[1].error)
    assert.equal(400, seen[2].error.status)
  end)

  it("cannot take the batch away by failing", function()
    local server <close> = raw.start { { { send = raw.answer("201 Created", '{"id":"b1"}') } } }
    local client = service.client(server.url, { on_request = function() error "observer" end })
    assert.equal("b1", assert(client:create_batch { dataset = service.DATASET }).id)
  end)
end)
