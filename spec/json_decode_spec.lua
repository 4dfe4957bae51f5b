-- JSON that is decoded to be encoded again: nothing of it is lost.
local core = require "catalog.core"
local shell = require "support.shell"

local decode <const>, encode <const> = core.json.decode_exact, core.json.encode

local function again(text) return (encode(assert(decode(text)))) end

local function fault(text)
  local value, err = decode(text)
  assert.is_nil(value)
  assert.equal("data", err.kind)
  return (err.message:gsub("^it is not JSON: ", ""))
end

describe("JSON decoded to be encoded again", function()
  it("is the same", function()
    for _, text in ipairs {
      "{}", "[]", "[[],[[]],{},[{}]]", '{"list":[]}', "null", "[null,true,false]", '"ä€𝄞"', "9223372036854775807",
      "-9223372036854775808", "9007199254740993", "[1,-1,0,0.1,-2.5e-7,1e+300]", '{"":{"a":[0]}}',
      ("["):rep(256) .. ("]"):rep(256), '"\\u0000\\b\\f\\n\\r\\t\\"\\\\"', '"' .. ("x"):rep(100000) .. '"',
    } do assert(text:gsub("e%+", "e") == again(text), text:sub(1, 40)) end
    assert.equal('{"a":[1,2]}', again ' \t{ "a" : [ 1 , \r\n2 ] } ')
    assert.equal('"ä𝄞/"', again '"\\u00E4\\ud834\\udd1e\\/"')
    assert.equal("-0.0", again "-0")
    assert.equal("[1000,-5]", again "[1e3,-5.0]")
    assert.equal('{"a":2}', again '{"a":1,"a":2}')
  end)

  it("has integers, lists that stay lists, and null", function()
    local value = assert(decode '{"n":1.0,"none":null,"list":[1]}')
    assert.equal("integer", math.type(value.n))
    assert.equal(core.json.null, value.none)
    table.remove(value.list)
    assert.equal("[]", encode(value.list))
    assert.equal(123456789012345678901234567890.0, decode "123456789012345678901234567890")
  end)

  it("is refused where it is none, with the place", function()
    for text, said in pairs {
      [""] = "it ends too early (byte 0 of 0)", ["[1,"] = "it ends too early (byte 3 of 3)", ['"abc'] = "it ends too early",
      ["[1,]"] = "there is no value where it needs one (byte 4 of 4)", ["nul"] = "there is no value where it needs one",
      ['{"a":1,}'] = "there is no name where an object needs one", ['{"a" 1}'] = "there is no colon behind a name in it",
      ["{a:1}"] = "there is no name where an object needs one", ["[1 2]"] = "there is neither a comma nor an end behind",
      ["01"] = "there is something behind it (byte 2 of 2)", ["{} x"] = "there is something behind it",
      ["[-]"] = "a number in it has no digit where it needs one", ["[1.]"] = "a number in it has no digit",
      ["[1e+]"] = "a number in it has no digit", ["1e999"] = "a number in it is too large",
      [("1"):rep(400)] = "a number in it is too long", ['"\1"'] = "there is a control character in a string",
      ['"a\0"'] = "there is a control character in a string", ["\0"] = "there is no value", ["[1\0]"] = "there is neither",
      ['"\xff"'] = "it is not UTF-8 (byte 2 of 3)", ['"\\x"'] = "there is an unknown escape in a string",
      ['"\\u12"'] = "there is no character behind a \\u", ['"\\ud834"'] = "there is half a character",
      ['"\\ud834\\u0041"'] = "there is half a character", ['"\\udd1e"'] = "there is half a character",
      [("["):rep(257) .. ("]"):rep(257)] = "there are more than 256 arrays and objects in one another",
    } do assert.equal(said, fault(text):sub(1, #said), text:sub(1, 40)) end
  end)

  it("is refused wherever it is cut", function()
    local text <const> = '{"a":[1.5e3,-20,true,null,"x\\u00e4\\n€"],"b":{"c":false}}'
    assert(decode(text))
    for length = 0, #text - 1 do fault(text:sub(1, length)) end
  end)

  it("is what Python reads, of random bytes of JSON too", function()
    local pieces <const> = { "{", "}", "[", "]", ",", ":", '"a"', '"\\n"', "1", "-1.5", "1e2", "true", "null", " ", "0", '"' }
    local list = {}
    math.randomseed(7)
    for i = 1, 20000 do
      local parts = {}
      for j = 1, math.random(6) do parts[j] = pieces[math.random(#pieces)] end
      list[i] = table.concat(parts)
    end
    shell.with_directory(function(directory)
      shell.write(directory .. "/texts", table.concat(list, "\n"))
      local said = shell.run(([[python3 -c '
import json, sys
for line in open(sys.argv[1]).read().split("\n"):
    try: json.loads(line); print(1)
    except ValueError: print(0)' %s/texts]]):format(directory))
      local i = 0
      for verdict in said:gmatch "%d" do
        i = i + 1
        assert(((decode(list[i])) ~= nil) == (verdict == "1"), list[i])
      end
      assert.equal(20000, i)
    end)
  end)
end)
