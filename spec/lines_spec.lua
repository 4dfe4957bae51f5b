-- Whether a line is one JSON object: the texts of each kind, and a sample broken in every way.
local core = require "catalog.core"

local fault = core.lines.fault

-- What has every kind of value, escape and character in it.
local SAMPLE <const> = [[ {"a":[1,-2.5e+3,0.1E-7,{}],"\u00e9\n\"":"ä€𝄞 plain text",]]
  .. [=["b":{"c":true,"d":[false,null,[]]},"e":"\\\/"}]=] .. "\t"

local function refused(reason, texts)
  for _, text in ipairs(texts) do assert.same({ text, reason }, { text, fault(text) }) end
end

describe("a line", function()
  it("is one JSON object, with blanks around it and between its parts or none", function()
    for _, text in ipairs {
      "{}", " \t{ } ", '{"":""}', '{ "a" : [ 1 , { } , [ ] ] }', '{"a":{"b":{}}}', SAMPLE,
      '{"a":0,"b":-0,"c":0.0,"d":1e5,"e":1E+05,"f":-12.50e-3,"g":12345678901234567890,"h":[0]}',
      '{"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uD834\\uDd1e":"\127\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}"}',
    } do
      assert.same({ text }, { text, fault(text) })
    end
  end)

  it("may have what JSON allows and not every reader takes", function()
    for _, text in ipairs { '{"a":"\\ud800"}', '{"a":"\\udc00\\ud800x"}', '{"a":1e999,"b":-1e-999}', '{"a":1,"a":2}' } do
      assert.same({ text }, { text, fault(text) })
    end
  end)

  it("is no other value, nor none", function()
    refused("it is empty", { "", " ", "\t \t" })
    refused("it is no JSON object", { "[]", "[{}]", "1", '"a"', "null", "true", "a", "}", "<a>", "\0{}", "ä", "# {}" })
    refused("something follows the object on its line", { "{}{}", "{} {}", '{"a":1} 1', "{}}", "{},", "{}\0", "{} ä", "{}#" })
  end)
end)
