-- A function of the user's that changes the records of a stream.
local Transform = require "catalog.stream.transform"

local function lines(change, text) return Transform.new(change, 60):lines(text, { topic = "t" }) end

describe("a transform", function()
  it("drops a record, makes another of it, or several", function()
    assert.same({}, lines(function() end, '{"n":1}'))
    assert.same({ '{"n":2}' }, lines(function(record) record.n = record.n + 1 return record end, '{"n":1}'))
    assert.same({ '{"n":1}', '{"t":"t"}' },
      lines(function(record, message) return { record, { t = message.topic } } end, '{"n":1}'))
    assert.same({ "{}" }, lines(function() return {} end, '{"n":1}'))
    assert.same({ '{"none":true}' }, lines(function(record) return { none = record == nil } end, nil))
  end)

  it("rejects what it cannot make a record of", function()
    local function fault(change, text) return (select(2, lines(change, text))) end
    assert.matches("^it is no JSON: ", fault(function(record) return record end, "{"))
    assert.matches("^the transform raised: .*odd", fault(function() error "odd" end, "{}"))
    assert.matches("gave a number; a record is a table", fault(function() return 5 end, "{}"))
    assert.matches("gave a list in a list", fault(function() return { { 1, 2 } } end, "{}"))
    assert.matches("cannot be encoded: .*NaN", fault(function() return { n = 0 / 0 } end, "{}"))
    assert.matches("it has 102 bytes after the transform; record_bytes is 60",
      fault(function() return { a = ("x"):rep(94) } end, "{}"))
  end)
end)
