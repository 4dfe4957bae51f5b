local checksum = require("catalog.core").journal.checksum

describe("the checksum of a line", function()
  it("is CRC-32C, as RFC 3720 has it", function()
    -- the examples of RFC 3720, B.4, and the usual check of a CRC
    local rising = {}
    for i = 0, 31 do rising[i + 1] = string.char(i) end
    assert.equal("8a9136aa", checksum(("\0"):rep(32)))
    assert.equal("62a8ab43", checksum(("\255"):rep(32)))
    assert.equal("46dd794e", checksum(table.concat(rising)))
    assert.equal("113fdb5c", checksum(table.concat(rising):reverse()))
    assert.equal("e3069283", checksum "123456789")
    assert.equal("00000000", checksum "")
  end)
end)
