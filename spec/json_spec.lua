local core = require "catalog.core"
local json = core.json
local shell = require "support.shell"
local values = require "support.values"

local function refused(value, root)
  local text, err = json.encode(value, root)
  assert.is_nil(text)
  assert.equal("data", err.kind)
  return err.message
end

describe("a reply that is no UTF-8", function()
  local raw = require "support.raw"
  local service = require "support.service"

  it("is no JSON", function()
    for text, at in pairs {
      ['"\xff"'] = 2, ['{"name":"Andr\xe9"}'] = 14, ['"12345678\x80"'] = 10, ['"\xc0\xaf"'] = 2, ['"ä\xed\xa0\x80"'] = 4,
      ['"\xf4\x90\x80\x80"'] = 2, ['"\xe2\x82"'] = 2, ['"\xf0\x9d\x84'] = 2, ["\xff"] = 1,
    } do
      local value, err = core.json.decode(text)
      assert.is_nil(value)
      assert.equal("protocol", err.kind)
      assert.equal(("it is not JSON: it is not UTF-8 (byte %d of %d)"):format(at, #text), err.message)
    end
    for _, text in ipairs { "", "a", "1234567ä", "12345678€", "𝄞𝄞𝄞", ("x"):rep(100) .. "\u{10ffff}", "\127\u{d7ff}\u{e000}" } do
      assert.equal(text, core.json.decode('"' .. text .. '"'))
    end
  end)

  it("is told as an error of kind protocol, and a row of it can still be read", function()
    local body = '{"b":{"status":"success","name":"Andr\xe9"}}'
    local server <close> = raw.start { { { send = raw.answer("200 OK", body) } } }
    local batch, err = service.client(server.url):batch("b"):get()
    assert.is_nil(batch)
    assert.equal("protocol", err.kind)
    assert.matches("the server answered 200, but it is not JSON: it is not UTF-8 (byte 38 of 41)", err.message, 1, true)
    local listing, line = '{"data":[{"name":"f"}]}', '{"name":"Andr\xe9","_errors":[{"code":"c"}]}'
    local rows <close> = raw.start { { { send = raw.answer("200 OK", listing) }, { send = raw.answer("200 OK", line) } } }
    local count = 0
    for row, text in service.client(rows.url):batch("b"):failed_rows() do
      count = count + 1
      assert.equal(line, text)
      assert.equal("c", row._errors[1].code)
    end
    assert.equal(1, count)
  end)
end)

describe("encoding JSON", function()
  it("writes every integer exactly", function()
    for value, text in pairs {
      [0] = "0", [-1] = "-1", [math.maxinteger] = "9223372036854775807", [math.mininteger] = "-9223372036854775808",
      [9007199254740993] = "9007199254740993", [1552694873602] = "1552694873602",
    } do
      assert.equal(text, json.encode(value))
    end
  end)

  it("writes floats in the shortest form that reads back the same", function()
    for text, value in pairs {
      ["0.1"] = 0.1, ["1.5"] = 1.5, ["51.5074"] = 51.5074, ["1"] = 1.0, ["-0.0"] = -0.0, ["0"] = 0.0,
      ["100000"] = 1e5, ["10000000000000000"] = 1e16, ["1e17"] = 1e17, ["1e300"] = 1e300, ["1.5e-7"] = 1.5e-7,
      ["0.00001"] = 1e-5, ["1e-6"] = 1e-6, ["5e-324"] = 5e-324, ["1.7976931348623157e308"] = 1.7976931348623157e308,
      ["0.30000000000000004"] = 0.1 + 0.2, ["5.684341886080802e-14"] = 2.0 ^ -44, ["-2.5"] = -2.5,
      ["9007199254740992"] = 2.0 ^ 53, ["123456789.125"] = 123456789.125, ["9.5367431640625e-7"] = 2.0 ^ -20,
    } do
      assert.equal(text, json.encode(value))
    end
  end)

  it("keeps UTF-8 and escapes what has to be", function()
    assert.equal('"ä€𝄞 / \\" \\\\ \\b\\f\\n\\r\\t \\u0001\\u001f\127"', json.encode "ä€𝄞 / \" \\ \b\f\n\r\t \1\31\127")
    assert.equal('"\\u0000"', json.encode "\0")
    assert.equal('"' .. ("\\n"):rep(5000) .. '"', json.encode(("\n"):rep(5000)))
  end)

  it("tells lists from objects", function()
    assert.equal("[1,2,3]", json.encode { 1, 2, 3 })
    assert.equal("{}", json.encode {})
    assert.equal("[]", json.encode(json.array {}))
    assert.equal("[]", json.encode(json.array()))
    assert.equal("[]", json.encode(json.empty_array))
    assert.equal('{"a":[]}', json.encode { a = json.empty_array })
    assert.equal('[null,true,false,{}]', json.encode { json.null, true, false, {} })
    assert.equal('{"1":2}', json.encode { ["1"] = 2 })
  end)

  it("finds a list's entries in whatever order they lie", function()
    local list = {}
    for i = 40, 1, -1 do list[i] = i end
    local expected = {}
    for i = 1, 40 do expected[i] = tostring(i) end
    assert.equal("[" .. table.concat(expected, ",") .. "]", json.encode(list))
  end)

  it("refuses what JSON cannot hold, with the path to it", function()
    assert.equal("records[3].person.name is a function, which JSON cannot hold",
      refused({ {}, {}, { person = { name = print } } }, "records"))
    assert.equal("the value is a nil, which JSON cannot hold", refused(nil))
    assert.equal("a is NaN, which JSON cannot hold", refused { a = 0 / 0 })
    assert.equal("[1] is infinite, which JSON cannot hold", refused { math.huge })
    assert.equal("r.a is infinite, which JSON cannot hold", refused({ a = -math.huge }, "r"))
    assert.equal('r["odd key"].x is a thread, which JSON cannot hold',
      refused({ ["odd key"] = { x = coroutine.create(print) } }, "r"))
    assert.equal("f is a userdata, which JSON cannot hold", refused { f = io.stdout })
    assert.equal("a is not UTF-8 (byte 3 of 5)", refused { a = "ab\255cd" })
    assert.equal("r has a key that is not UTF-8", refused({ ["\255"] = 1 }, "r"))
  end)

  it("refuses every kind of broken UTF-8", function()
    for _, text in ipairs {
      "\128", "\192\128", "\193\191", "\224\159\191", "\237\160\128", "\240\143\191\191", "\244\144\128\128", "\245\128\128\128",
      "\226\130", "\226", "\240\159\146", "\226\40\161", "a\254", "\255\255",
    } do
      assert.matches("is not UTF-8", refused(text), 1, true)
    end
    for _, text in ipairs {
      "\u{7f}", "\u{80}", "\u{7ff}", "\u{800}", "\u{d7ff}", "\u{e000}", "\u{ffff}", "\u{10000}", "\u{10ffff}",
    } do
      assert.equal('"' .. text .. '"', json.encode(text))
    end
  end)

  it("refuses holes, mixed keys and keys that are no strings", function()
    assert.equal("r[2] is missing; a list has no holes (catalog.null is a value)", refused({ 1, nil, 3 }, "r"))
    assert.equal("r[1] is missing; a list has no holes (catalog.null is a value)", refused({ [2] = 1 }, "r"))
    assert.equal("r has both list entries and named fields, and JSON has no such value", refused({ 1, a = 2 }, "r"))
    assert.equal("r has both list entries and named fields, and JSON has no such value", refused(json.array { a = 2 }, "r"))
    assert.equal("r has a key that is a float; keys are strings, or 1, 2, 3 and so on", refused({ [1.5] = 1 }, "r"))
    assert.equal("r has a key that is a boolean; keys are strings, or 1, 2, 3 and so on", refused({ [true] = 1 }, "r"))
    assert.equal("r has the key 0 or a negative one; a list begins at 1", refused({ [0] = 1, 2 }, "r"))
    assert.equal("r has the key 0 or a negative one; a list begins at 1", refused({ [-1] = 1 }, "r"))
  end)

  it("refuses cycles and bottomless nesting, but not a table that stands in two places", function()
    local loop = { a = {} }
    loop.a.b = loop
    assert.equal("r.a.b is a table that it is itself part of, and JSON has no cycles", refused(loop, "r"))
    local self = {}
    self[1] = self
    assert.equal("[1] is a table that it is itself part of, and JSON has no cycles", refused(self))
    local shared = { 1 }
    assert.equal("[[1],[1]]", json.encode { shared, shared })
    local deep = {}
    for _ = 1, 511 do deep = { deep } end
    assert.equal(("["):rep(511) .. "{}" .. ("]"):rep(511), json.encode(deep))
    assert.matches("nested more than 512 tables deep", refused { deep }, 1, true)
  end)

  it("does not run metamethods", function()
    local value = setmetatable({ a = 1 }, {
      __pairs = function() error "pairs" end, __index = function() error "index" end, __len = function() error "len" end,
    })
    assert.equal('{"a":1}', json.encode(value))
  end)

  it("works again after a refusal", function()
    refused { print }
    assert.equal("[1]", json.encode { 1 })
  end)
end)

describe("arrays of JSON", function()
  it("are the same table, marked", function()
    local list = { 1 }
    assert.is_true(rawequal(list, json.array(list)))
    assert.is_true(rawequal(list, json.array(list)))
    assert.error_matches(function() json.array(setmetatable({}, {})) end, "has a metatable already", 1, true)
    assert.error_matches(function() json.array "a" end, "table expected", 1, true)
  end)

  it("have a constant for none, which stays empty", function()
    assert.error_matches(function() json.empty_array[1] = 1 end, "catalog.empty_array cannot be changed", 1, true)
  end)
end)

describe("decoding JSON", function()
  -- What a number is decoded to: its type and its value.
  local function decoded(text)
    local value = json.decode("[" .. text .. "]")[1]
    return math.type(value), value
  end

  it("gives whole numbers as integers where every one is exact", function()
    for text, value in pairs {
      ["0"] = 0, ["17"] = 17, ["1552694873602"] = 1552694873602, ["1.0"] = 1, ["1e3"] = 1000, ["12.5E1"] = 125, ["0.0"] = 0,
      ["9007199254740991"] = 9007199254740991, ["-9007199254740991"] = -9007199254740991,
      ["999999999999999"] = 999999999999999, ["1000000000000000"] = 1000000000000000, ["9007199254740991.0"] = 9007199254740991,
    } do
      assert.same({ text, "integer", value }, { text, decoded(text) })
    end
    assert.equal("integer", math.type(json.decode "17"))
    assert.equal("integer", math.type(json.decode '{"a":{"b":[[3]]}}'.a.b[1][1]))
  end)

  it("gives the nearest float where a whole number may have been rounded, however long it is", function()
    for text, value in pairs {
      ["9007199254740992"] = 0x1p53, ["9007199254740993"] = 0x1p53, ["-9007199254740992"] = -0x1p53,
      ["-9007199254740993"] = -0x1p53, ["9007199254740994"] = 0x1p53 + 2, ["9223372036854775807"] = 0x1p63,
      ["-9223372036854775808"] = -0x1p63, ["9223372036854775808"] = 0x1p63, ["18446744073709551616"] = 0x1p64,
      ["123456789012345678901234567890"] = 123456789012345678901234567890.0, ["-36893488147419103232"] = -0x1p65,
      ["1e300"] = 1e300, ["1.5"] = 1.5, ["-1.5e-7"] = -1.5e-7, ["12345678901234567890.5"] = 12345678901234567890.5,
      ["1e-0000000000000003"] = 0.001,
    } do
      assert.same({ text, "float", value }, { text, decoded(text) })
    end
    local value = json.decode "123456789012345678901234567890"
    assert.equal(123456789012345678901234567890.0, value)
    assert.equal("float", math.type(value))
  end)

  it("keeps the sign of zero", function()
    for _, text in ipairs { "-0", "-0.0", "-0e5", "-0E-0" } do
      local kind, value = decoded(text)
      assert.equal("float", kind)
      assert.equal(-math.huge, 1 / value)
    end
  end)

  it("keeps digits in strings, whatever stands around them", function()
    local value = json.decode [[
      {"-0":"9007199254740993","12345678901234567890":["\\\"","-0","\\",9007199254740993,-0,"1\\\\",-0]} ]]
    assert.equal("9007199254740993", value["-0"])
    local list = value["12345678901234567890"]
    assert.same({ '\\"', "-0", "\\", 0x1p53, 0, "1\\\\", 0 }, list)
    assert.equal("float -inf -inf", ("%s %s %s"):format(math.type(list[4]), 1 / list[5], 1 / list[7]))
  end)

  it("keeps what is long", function()
    local digits = ("-0 12345678901234567890 "):rep(100000)
    local value = json.decode('["' .. digits .. '"' .. (",-0,12345678901234567890"):rep(100000) .. "]")
    assert.is_true(value[1] == digits)
    assert.equal(200001, #value)
    for i = 2, #value, 2 do
      if 1 / value[i] ~= -math.huge or value[i + 1] ~= 12345678901234567890.0 then error("entry " .. i) end
    end
    assert.equal(7, json.decode "7")
  end)

  it("keeps null", function()
    assert.equal(json.null, json.decode("[null]")[1])
    assert.equal(json.null, json.decode "null")
  end)

  it("says what is wrong with what is no JSON", function()
    for _, text in ipairs {
      "", "{", "[1,", '{"a":}', "NaN", "[Infinity]", "nul", '"a', "[1]]", "<html>", "[1]\0[2]", "[-0", "[01]", "[-01]",
      "[0x10]", "[-0x10]", "[+1]", "[12345678901234567-1]", '[-0,"a\\', '[-0,"\\"',
    } do
      local value, err = json.decode(text)
      assert.is_nil(value)
      assert.equal("protocol", err.kind)
      assert.matches("it is not JSON: ", err.message, 1, true)
    end
  end)

  it("limits nesting", function()
    assert.is_table(json.decode(("["):rep(256) .. ("]"):rep(256)))
    local value, err = json.decode(("["):rep(10000) .. ("]"):rep(10000))
    assert.is_nil(value)
    assert.matches("nested", err.message, 1, true)
  end)

  it("leaves the host's own lua-cjson as it is", function()
    local cjson = require "cjson"
    assert.equal("float", math.type(cjson.decode "[1.0]"[1]))
    assert.is_table(cjson.decode "[NaN]")
  end)
end)

describe("a locale with a decimal comma", function()
  it("changes nothing, whenever it is set", function()
    shell.with_directory(function(directory)
      local made, status = shell.run("localedef -i de_DE -f UTF-8 " .. directory .. "/de_DE.UTF-8")
      assert.equal(0, status, made)
      local output = shell.lua([[
        local json = require("catalog.core").json
        assert(json.decode("[1.5]")[1] == 1.5)
        assert(os.setlocale "de_DE.UTF-8", "no such locale")
        assert(string.format("%.1f", 1.5) == "1,5")
        print(json.encode { 1.5, 0.1 + 0.2, 1e300, 2.5e-7 }, json.decode("[1.5]")[1] == 1.5)
        assert(json.decode_exact("[1.5]")[1] == 1.5)
        os.setlocale "C"
        print(json.encode { 1.5, 0.1 + 0.2 }, json.decode("[1.5]")[1] == 1.5)
      ]], "LOCPATH=" .. directory)
      assert.equal("[1.5,0.30000000000000004,1e300,2.5e-7]\ttrue\n[1.5,0.30000000000000004]\ttrue\n", output)
    end)
  end)
end)

describe("100,000 random values", function()
  local COUNT <const> = 100000

  it("are understood by lua-cjson and by Python, and Python's texts of them by us", function()
    local seed = os.time()
    math.randomseed(seed)
    local cjson = require "cjson"
    local sent, texts = {}, {}
    local function check(good, text)
      if not good then error(("seed %d: %s"):format(seed, text), 2) end
    end
    for i = 1, COUNT do
      sent[i] = { values.random(3) }
      texts[i] = assert(json.encode(sent[i]))
      check(values.same(sent[i], cjson.decode(texts[i])), texts[i])
    end
    shell.with_directory(function(directory)
      shell.write(directory .. "/in", table.concat(texts, "\n") .. "\n")
      local said, status = shell.run(("python3 spec/scripts/echo.py <%s/in >%s/out"):format(directory, directory))
      assert.equal(0, status, "seed " .. seed .. ": " .. said)
      local lines = io.lines(directory .. "/out")
      for i = 1, COUNT do
        check(lines() == texts[i], texts[i])
        local theirs = lines()
        check(values.same(sent[i], assert(json.decode(theirs))), theirs)
      end
    end)
  end)
end)
