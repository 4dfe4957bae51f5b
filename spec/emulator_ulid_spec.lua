-- The emulator's ids of batches.
local core = require "catalog.core"
local emulated = require "support.emulated"
local emulator = require "catalog.emulator"
local ulid = require "catalog.emulator.ulid"

local post <const> = emulated.post

describe("the emulator's ids", function()
  it("differ, and sort by time", function()
    local server <close> = assert(emulator.start {})
    local _, one = post(server)
    while core.system.now() <= one.created do end
    local _, two = post(server)
    assert.is_true(one.id < two.id)
  end)

  it("are 26 characters of time and chance", function()
    local seen = {}
    for _ = 1, 1000 do
      local id = ulid(1552694873602)
      assert.matches("^01D61X73G2" .. ("[%dA-HJKMNP-TV-Z]"):rep(16) .. "$", id)
      assert.is_nil(seen[id])
      seen[id] = true
    end
    assert.equal("0000000000", ulid(0):sub(1, 10))
    assert.is_true(ulid(999999999999) < ulid(1000000000000))
  end)
end)
