-- The targets of requests, as the emulator reads them.
local target = require "catalog.emulator.target"

describe("a request's target at the emulator", function()
  it("has the segments of its path and the fields of its query, decoded", function()
    local segments, fields = target.split "/a%2Fb//c%20d/?x=1&y=a+b%26c&z"
    assert.same({ "a/b", "c d" }, segments)
    assert.same({ x = "1", y = "a b&c", z = "" }, fields)
    segments, fields = target.split "/"
    assert.same({}, segments)
    assert.same({}, fields)
  end)

  it("has the last of the fields of one name, and in a list all of them, in their order", function()
    assert.equal("2", target.fields("a=1&a=2").a)
    assert.same({ { "a", "1" }, { "b", "" }, { "a", "2" } }, target.list "a=1&b=&a=2")
  end)
end)
