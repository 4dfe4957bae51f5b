-- How a call says that it did not succeed.
local core = require "catalog.core"
local failure = require "catalog.base.failure"

describe("a failure", function()
  it("is nil and an error with its kind, and a message made of what is given", function()
    local value, err = failure("data", "%s has %d bytes", "f", 3)
    assert.is_nil(value)
    assert.same({ kind = "data", message = "f has 3 bytes" }, err)
  end)

  it("is as text its message, and in brackets what is known of it", function()
    local new = core.failure.new
    assert.equal("no [data]", tostring(new { kind = "data", message = "no" }))
    assert.equal("no [http, HTTP 503, code 1, request r, ambiguous]",
      tostring(new { kind = "http", message = "no", status = 503, code = "1", request_id = "r", ambiguous = true }))
    assert.equal("no [http]", tostring(new { kind = "http", message = "no", code = core.json.null, ambiguous = false }))
    assert.equal("unknown error", tostring(new {}))
  end)

  it("has its message on one line", function()
    local text = "a\nb\tc\27[1m\0"
    assert.equal(core.failure.line(text), core.failure.new { kind = "data", message = text }.message)
    assert.is_nil(core.failure.line(text):find "%c")
    assert.equal("äöü € 𝄞", core.failure.line "äöü € 𝄞")
  end)
end)
