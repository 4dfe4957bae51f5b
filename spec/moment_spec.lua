-- Moments as people write them.
local core = require "catalog.core"
local moment = require "catalog.query.moment"

describe("a moment", function()
  it("is read from a date, in UTC unless it names a zone", function()
    for text, milliseconds in pairs {
      ["1970-01-01"] = 0, ["2000-02-29"] = 951782400000, ["2026-11-26"] = 1795651200000,
      ["2026-11-26T08:00:00Z"] = 1795680000000, ["2026-11-26T08:00"] = 1795680000000,
      ["2026-11-26 08:00:00.250"] = 1795680000250, ["2026-11-26T08:00:00+01:00"] = 1795676400000,
      ["2026-11-26T08:00:00-0530"] = 1795699800000, ["1552694873602"] = 1552694873602,
    } do assert.equal(milliseconds, moment(text, "since"), text) end
  end)

  it("is read from how long ago it was", function()
    for text, seconds in pairs { ["90s"] = 90, ["30m"] = 1800, ["24h"] = 86400, ["7d"] = 604800, ["2w"] = 1209600 } do
      local ago = core.system.now() - moment(text, "since")
      assert.is_true(ago >= seconds * 1000 and ago < seconds * 1000 + 60000, text)
    end
  end)

  it("is what it is as a number of milliseconds", function()
    assert.equal(1552694873602, moment(1552694873602, "since"))
    assert.equal(1552694873602, moment(1552694873602.0, "since"))
  end)

  it("that is none is refused, with what it may be", function()
    for _, given in ipairs { "", "yesterday", "24", "2026-13-01", "2026-11-32", "2026-11-26T25:00", "2026-11-26X", "24 h", "-1h",
      "2026-11-26T08:00:00+1", "1h\n", -1, 0.5, 0 / 0, math.huge } do
      local value, err = moment(given, "since")
      assert.is_nil(value, tostring(given))
      assert.equal("config", err.kind)
      assert.matches("^since is ", err.message)
    end
  end)
end)
