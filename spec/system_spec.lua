local system = require("catalog.core").system

describe("the system", function()
  it("has clocks", function()
    local before = system.monotonic()
    assert.is_true(system.monotonic() >= before)
    assert.equal("integer", math.type(system.now()))
    assert.is_true(math.abs(system.now() // 1000 - os.time()) <= 1)
  end)

  it("has random bytes", function()
    assert.equal(16, #system.random(16))
    assert.not_equal(system.random(16), system.random(16))
    assert.has_error(function() system.random(257) end)
  end)
end)
