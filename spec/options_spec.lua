local options = require "catalog.base.options"

local SCHEMA <const> = {
  dataset = "string", format = "string", timeout = "number", parallel = "integer", token = "string|callable", any = "any",
}

local function message(given)
  local ok, said = pcall(options.check, given, SCHEMA, "a_call")
  assert.is_false(ok)
  return said
end

describe("the check of options", function()
  it("gives the table, or an empty one for nothing", function()
    local given = { dataset = "a", timeout = 1, parallel = 2, token = print, any = {} }
    assert.is_true(rawequal(given, options.check(given, SCHEMA, "a_call")))
    assert.same({}, options.check(nil, SCHEMA, "a_call"))
  end)

  it("names the nearest option for a slip of the finger", function()
    for slip, meant in pairs {
      datset = "dataset", dataste = "dataset", Dataset = "dataset", formats = "format", timeot = "timeout",
      paralell = "parallel",
    } do
      assert.matches(("unknown option '%s' for a_call (did you mean '%s'?)"):format(slip, meant), message { [slip] = 1 }, 1,
        true)
    end
  end)

  it("lists the options when none is near", function()
    assert.matches("unknown option 'qqqqqq' for a_call (the options are any, dataset, format, parallel, timeout, token)",
      message { qqqqqq = 1 }, 1, true)
    assert.matches("names are strings, got the number 1", message { "a" }, 1, true)
  end)

  it("tells integers from other numbers and takes anything callable as a function", function()
    assert.matches("bad option 'parallel' for a_call (integer expected, got number)", message { parallel = 1.5 }, 1, true)
    assert.matches("bad option 'token' for a_call (string or callable expected, got table)", message { token = {} }, 1, true)
    options.check({ token = setmetatable({}, { __call = print }) }, SCHEMA, "a_call")
    options.check({ timeout = 3 }, SCHEMA, "a_call")
  end)
end)
