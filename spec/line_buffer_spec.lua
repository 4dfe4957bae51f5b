local LineBuffer = require "catalog.cli.line_buffer"

-- All that comes of some pieces.
local function lines_of(most, pieces)
  local buffer, list = LineBuffer.new(most), {}
  for _, piece in ipairs(pieces) do list[#list + 1] = buffer:add(piece) end
  list[#list + 1] = buffer:finish()
  return list
end

describe("a line buffer", function()
  it("gives whole lines, and keeps the rest until it has ended", function()
    assert.same({ "ab\n", "cde\nf\n", "g" }, lines_of(10, { "a", "b\nc", "d", "e\nf\ng" }))
    assert.same({ "\n", "a\n" }, lines_of(10, { "\n", "a\n" }))
    assert.same({}, lines_of(10, { "" }))
    assert.same({ "abc" }, lines_of(10, { "a", "b", "c" }))
  end)

  it("says how much of a piece was needed", function()
    local buffer = LineBuffer.new(10)
    assert.same({ "a\n", 2 }, { buffer:add "a\nb" })
    assert.is_nil(buffer:add "c")
    assert.same({ "bc\n", 1 }, { buffer:add "\n" })
    assert.same({ "d\ne\n", 4 }, { buffer:add "d\ne\nf" })
  end)

  it("keeps of a line that is too long as much as shows that", function()
    assert.same({ "12345\n1\n" }, lines_of(3, { "12345", "6", "7", "8\n1\n" }))
    assert.same({ "123456\n", "1" }, lines_of(3, { "1", "23456\n", "1" }))
    assert.same({ "12345" }, lines_of(3, { "1", "23456" }))
    assert.same({ "12345\n" }, lines_of(3, { ("1234567890"):rep(10), ("x"):rep(1000), "\n" }))
  end)

  it("leaves a line alone that fits with its CR", function()
    assert.same({ "123\r\n" }, lines_of(3, { "12", "3\r", "\n" }))
  end)

  it("does not grow with a line", function()
    local buffer, piece = LineBuffer.new(1000), ("x"):rep(65536)
    collectgarbage()
    local before = collectgarbage "count"
    for _ = 1, 100 do buffer:add(piece) end
    collectgarbage()
    assert.is_true(collectgarbage "count" - before < 100)
  end)
end)
