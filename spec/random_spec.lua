local random = require "catalog.base.random"

describe("random text", function()
  it("is as many bytes as asked for in hexadecimal, and another each time", function()
    for count = 1, 64 do assert.matches("^" .. ("[%da-f][%da-f]"):rep(count) .. "$", random(count)) end
    local seen = {}
    for _ = 1, 1000 do
      local text = random(16)
      assert.is_nil(seen[text])
      seen[text] = true
    end
  end)
end)
