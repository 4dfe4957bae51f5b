-- Text that grows, of which a request sends all.
local core = require "catalog.core"
local in_flight = require "support.in_flight"
local raw = require "support.raw"
local service = require "support.service"

-- What a server is sent as a body.
local function sent(body)
  local server <close> = raw.start { { { send = raw.answer("200 OK", "") } } }
  assert(service.client(server.url):send {
    method = "PUT", path = "/", content_type = "x/y", body = body, upload = true, read = function() return true end,
  })
  return server:stop()[1]:match "\r\n\r\n(.*)"
end

describe("a buffer", function()
  it("takes texts and ranges of them, and is sent as they stand behind one another", function()
    local buffer = core.buffer.new(10)
    assert.equal(0, buffer:length())
    buffer:append "one,"
    buffer:append("<two,>", 2, 5)
    buffer:append("three", 4)
    buffer:append("nothing", 3, 2)
    assert.equal(10, buffer:length())
    assert.equal("one,two,ee", sent(buffer))
    buffer:append(("x"):rep(100000)) -- more than it was to hold
    assert.equal("one,two,ee" .. ("x"):rep(100000), sent(buffer))
  end)

  it("refuses what is no range of the text", function()
    local buffer = core.buffer.new(10)
    for _, range in ipairs { { 1, math.maxinteger }, { 0 }, { 1, 2 }, { 3 }, { math.mininteger, 1 } } do
      assert.error_matches(function() buffer:append("x", table.unpack(range)) end, "no such range")
    end
    assert.equal(0, buffer:length())
  end)

  it("takes records as lines while there is room, and one at least", function()
    local buffer = core.buffer.new(10)
    assert.equal(8, buffer:encode({ a = 1 }, 1, 3))
    assert.is_false(buffer:encode({ a = 2 }, 2, 15))
    assert.equal(16, buffer:encode({ a = 2 }, 2, 16))
    assert.equal('{"a":1}\n{"a":2}\n', sent(buffer))
    buffer:reset()
    assert.equal(0, buffer:length())
    local ok, err = buffer:encode({ 1 }, 3, 100)
    assert.is_nil(ok)
    assert.matches("records[3] is a list", err.message, 1, true)
    assert.equal(0, buffer:length())
  end)

  it("that is on its way is not changed", function()
    local server <close> = raw.start { { { hang = true } } }
    local client, buffer = service.client(server.url), core.buffer.new(10)
    buffer:append "text"
    local transfer <close> = in_flight(client, { method = "PUT", path = "/", body = buffer, upload = true })
    assert.error_matches(function() buffer:append "more" end, "the buffer is being sent", 1, true)
    assert.error_matches(function() buffer:reset() end, "the buffer is being sent", 1, true)
    transfer:close()
    buffer:append "more"
    assert.equal("textmore", sent(buffer))
  end)
end)
