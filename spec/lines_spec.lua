-- Whether a line is one JSON object: texts of each kind, and a sample broken in every way, against Python's decoder.
-- And arrays as lines.
local core = require "catalog.core"
local shell = require "support.shell"

local fault, split_array = core.lines.fault, core.lines.split_array

-- What has every kind of value, escape and character in it, in strings that are longer than a word and shorter.
local SAMPLE <const> = ' {"a":[1,-2.5e+3,0.1E-7,{}],"\\u00e9\\n\\"":"ä€𝄞 plain text",'
  .. '"b":{"c":true,"d":[false,null,[]]},"e":"\\\\\\/"}\t'

-- The bytes that mean something to a reader of JSON, and some that mean nothing.
local BYTES <const> = {
  "{", "}", "[", "]", ",", ":", '"', "\\", " ", "\t", "\n", "\r", "0", "1", "-", "+", ".", "e", "E", "u", "n", "t", "f",
  "\0", "\31", "\127", "\128", "\195", "\255",
}

local function good(texts)
  for _, text in ipairs(texts) do assert.same({ text }, { text, fault(text) }) end
end

local function refused(reason, texts)
  for _, text in ipairs(texts) do assert.same({ text, reason }, { text, fault(text) }) end
end

-- A copy of a text with `count` bytes from `at` on replaced.
local function replaced(text, at, count, bytes)
  return text:sub(1, at - 1) .. bytes .. text:sub(at + count)
end

-- For each text whether it is one, as a 1 or a 0: Python says it of the object, we see line breaks by ourselves.
local function said_by_python(texts)
  return shell.with_directory(function(directory)
    local framed = {}
    for i, text in ipairs(texts) do framed[i] = string.pack("<s4", text) end
    shell.write(directory .. "/texts", table.concat(framed))
    local said, status = shell.run(("python3 spec/scripts/objects.py <%s/texts"):format(directory))
    assert(status == 0 and #said == #texts, said)
    return said
  end)
end

-- Checks the texts, and that there are some of both kinds.
local function agree(texts)
  local said, counts = said_by_python(texts), { [true] = 0, [false] = 0 }
  for i, text in ipairs(texts) do
    local expected = said:sub(i, i) == "1" and not text:find "[\r\n]"
    local reason = fault(text)
    if (reason == nil) ~= expected then error(("%q: %s"):format(text, reason or "nothing is wrong"), 0) end
    counts[expected] = counts[expected] + 1
  end
  assert(counts[true] > 0 and counts[false] > 0)
end

describe("a line", function()
  it("is one JSON object, with blanks around it and between its parts or none", function()
    good {
      "{}", " \t{ } ", '{"":""}', '{ "a" : [ 1 , { } , [ ] ] }', '{"a":{"b":{}}}', SAMPLE,
      '{"a":0,"b":-0,"c":0.0,"d":1e5,"e":1E+05,"f":-12.50e-3,"g":12345678901234567890,"h":[0]}',
      '{"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uD834\\uDd1e":"\127\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}"}',
      '{"\u{feff}":"\u{2028}"}', '{"a":"' .. ("plain "):rep(100000) .. '"}', "{" .. ('"a":[{},1],'):rep(10000) .. '"b":2}',
    }
  end)

  it("may have what JSON allows and not every reader takes", function()
    good { '{"a":"\\ud800"}', '{"a":"\\udc00\\ud800x"}', '{"a":1e999,"b":-1e-999}', '{"a":1,"a":2}' }
    good { '{"a":' .. ("9"):rep(10000) .. "}" }
  end)

  it("is no other value, nor none", function()
    refused("it is empty", { "", " ", "\t \t" })
    refused("it is no JSON object",
      { "[]", "[{}]", "1", '"a"', "null", "true", "a", "}", "<a>", "\0{}", "ä", "# {}", "\f{}" })
    refused("something follows the object on its line",
      { "{}{}", "{} {}", '{"a":1} 1', "{}}", "{},", "{}\0", "{} ä", "{}#" })
    refused("it begins with a byte-order mark", { "\u{feff}{}", "\u{feff}" })
    refused("it is no JSON object", { " \u{feff}{}" })
  end)

  it("is one line, for readers that end it at a carriage return too", function()
    refused("there is a line break in it", {
      "\n", "{}\n", "{}\r\n", "{}\r", "\r{}", "{}\n{}", "{\n}", '{"a"\r:1}', '{"a":\n1}', '{"a":1\n}', '{"a":[\r]}',
      '{"a":tr\nue}', '{"a":1.\n5}', '{"a":"\\\n"}',
    })
    refused("there is a control character in a string", { '{"a":"b\nc"}', '{"a":"b\rc"}', '{"a\n":1}' })
  end)

  it("is UTF-8 throughout", function()
    refused("it is not UTF-8", {
      "\xff\xfe{\0}\0", "\xff", "{\xff}", "{}\xff", '{"a":\x80}', '{"a":"\x80"}', '{"Andr\xe9":1}', '{"a":"\xc0\xaf"}',
      '{"a":"\xed\xa0\x80"}', '{"a":"\xf4\x90\x80\x80"}', '{"a":"\xe2\x82"}', '{"a":"\xe2\x82', '{"a":tr\xc3ue}',
    })
  end)

  it("has whole strings", function()
    refused("a string in it is not finished", { '{"', '{"a', '{"a":"', '{"a":"12345678', '{"a":"\\"}', '{"a":1,"b}' })
    refused("there is a control character in a string", { '{"a":"\0"}', '{"a":"\t"}', '{"1234567\31":1}' })
    refused("there is a backslash in a string before what cannot be escaped",
      { '{"a":"\\x"}', '{"a":"\\U0041"}', '{"a":"\\\0"}', "{\"a\":\"\\'\"}", '{"a":"\\ä"}' })
    refused("there is a \\u without four hexadecimal digits in a string",
      { '{"a":"\\u"}', '{"a":"\\u004"}', '{"a":"\\u00g0"}', '{"a":"\\u 041"}', '{"a":"\\u-041"}', '{"a":"\\u{41}"}' })
  end)

  it("has numbers as JSON has them", function()
    refused("a number in it begins with a zero", { '{"a":01}', '{"a":-00}', '{"a":00.5}', '{"a":[-012]}' })
    refused("a number in it lacks a digit", {
      '{"a":-}', '{"a":1.}', '{"a":-.5}', '{"a":1.e5}', '{"a":1e}', '{"a":1e+}', '{"a":1e-,}', '{"a":-Infinity}', '{"a":--1}',
      '{"a":- 1}',
    })
    refused("a value in it is missing, or is no JSON",
      { '{"a":+1}', '{"a":.5}', '{"a":NaN}', '{"a":Infinity}', '{"a":e5}' })
    refused("a comma or a closing bracket is missing in it",
      { '{"a":1.5.5}', '{"a":0x10}', '{"a":1_000}', '{"a":1e5e5}', '{"a":1 2}' })
  end)

  it("has values where they belong", function()
    refused("a value in it is missing, or is no JSON", {
      '{"a":}', '{"a":,}', '{"a":[,]}', '{"a":[1,]}', '{"a":[1,,2]}', '{"a":undefined}', '{"a":TRUE}', "{\"a\":'b'}",
      '{"a":ä}',
    })
    refused("a value in it is no JSON", { '{"a":nul}', '{"a":tRue}', '{"a":[fals]}', '{"a":truE}' })
    refused("a name in double quotes is missing in it",
      { "{,}", "{a:1}", "{1:2}", '{"a":1,}', "{{}}", "{'a':1}", "{]", "{null:1}" })
    refused("there is no colon behind a name in it", { '{"a"}', '{"a",1}', '{"a"=1}', '{"a" "b"}', '{"a"1}' })
    refused("a comma or a closing bracket is missing in it", {
      '{"a":1]', '{"a":[1}}', '{"a":[1}', '{"a":true false}', '{"a":1"b":2}', '{"a":1;"b":2}', '{"a":{}[]}', '{"a":1/**/}',
    })
    refused("it ends too early", {
      "{", "{ ", '{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a":-', '{"a":1.', '{"a":1e', '{"a":tru', '{"a":[', '{"a":[]',
      '{"a":"\\',
    })
  end)

  it("is nested 1000 deep at most, and each bracket is closed by its own kind", function()
    local kinds = { { '{"a":', "}" }, { "[", "]" } }
    local opening, closing = { '{"a":' }, { "}" }
    for i = 2, 1000 do
      local kind = kinds[i * i // 7 % 2 + 1]
      opening[i], closing[i] = kind[1], kind[2]
    end
    local function text(inner, wrong)
      local ends = {}
      for i = 1000, 1, -1 do ends[#ends + 1] = i == wrong and (closing[i] == "}" and "]" or "}") or closing[i] end
      return table.concat(opening) .. inner .. table.concat(ends)
    end
    good { text "1", text '"a"', ('{"a":'):rep(999) .. "{}" .. ("}"):rep(999) }
    good { '{"a":' .. ("["):rep(999) .. ("]"):rep(999) .. "}" }
    refused("it is nested more than 1000 deep", { text "{}", text "[", ('{"a":'):rep(1001), '{"a":' .. ("["):rep(1000000) })
    for i = 1, 1000 do refused("a comma or a closing bracket is missing in it", { text("1", i) }) end
  end)
end)

describe("a sample of a line", function()
  it("is none when it is cut off anywhere", function()
    good { SAMPLE, SAMPLE:sub(1, -2) }
    for length = 0, #SAMPLE - 2 do assert.is_string(fault(SAMPLE:sub(1, length))) end
    for first = 3, #SAMPLE do assert.is_string(fault(SAMPLE:sub(first))) end
  end)

  it("is one where Python says so, whatever byte is put for another, between two, or left out", function()
    local texts = {}
    for at = 1, #SAMPLE do
      texts[#texts + 1] = replaced(SAMPLE, at, 1, "")
      for byte = 0, 255 do
        texts[#texts + 1] = replaced(SAMPLE, at, 1, string.char(byte))
        texts[#texts + 1] = replaced(SAMPLE, at, 0, string.char(byte))
      end
    end
    agree(texts)
  end)

  it("is one where Python says so, whatever two bytes are put for two others", function()
    local texts, short = {}, '{"a":[-1.5e1,{}]}'
    for at = 1, #SAMPLE - 1 do
      for _, first in ipairs(BYTES) do
        for _, second in ipairs(BYTES) do texts[#texts + 1] = replaced(SAMPLE, at, 2, first .. second) end
      end
    end
    for at = 1, #short do
      for other = at + 2, #short do
        for _, first in ipairs(BYTES) do
          local once = replaced(short, at, 1, first)
          for _, second in ipairs(BYTES) do texts[#texts + 1] = replaced(once, other, 1, second) end
        end
      end
    end
    agree(texts)
  end)

  it("is one where Python says so, whatever two bytes stand in a string at whatever place of a word", function()
    local texts = {}
    for first = 0, 255 do
      for second = 0, 255 do
        local before = ("x"):rep((first + second) % 9)
        texts[#texts + 1] = ('{"a":"%s%s%sxxxxxxxx"}'):format(before, string.char(first), string.char(second))
      end
    end
    agree(texts)
  end)
end)

describe("an array", function()
  it("becomes lines, one for each element", function()
    for text, lines in pairs {
      ["[]"] = {}, [" [ \n ] "] = {}, ["[{}]"] = { "{}" },
      ['[{"a":[1,2]},{"b":"],["},[[3]]]'] = { '{"a":[1,2]}', '{"b":"],["}', "[[3]]" },
      ['[1,"a",null,nul,{} {},{a}]'] = { "1", '"a"', "null", "nul", "{} {}", "{a}" },
      ['["\\\\","\\",","\\\\\\"]"]'] = { '"\\\\"', '"\\","', '"\\\\\\"]"' },
    } do
      local found, joined, count = {}, split_array(text)
      for line in assert(joined, count):gmatch "(.-)\n" do found[#found + 1] = line:match "^ *(.-) *$" end
      assert.same({ text, lines, #lines }, { text, found, count })
      assert.is_true(joined == "" or joined:sub(-1) == "\n")
    end
  end)

  it("is one line for each element however it was laid out", function()
    local lines, count = split_array '\r\n[\r\n\t{\n\t"a": [\n1,\r2 ]\n},\n  {"b":\n"c"}\n]\n'
    assert.equal(2, count)
    local parts = {}
    for line in lines:gmatch "(.-)\n" do
      assert.is_nil(fault(line))
      parts[#parts + 1] = core.json.decode(line)
    end
    assert.same({ { a = { 1, 2 } }, { b = "c" } }, parts)
    assert.is_nil(lines:find "\r")
  end)

  it("makes no object of what is none: a line break in a string spoils that one line", function()
    local lines, count = split_array '[{"a":1},{"b":"c\nd\re\\\nf"},{"g":2}]'
    assert.equal(3, count)
    local found = {}
    for line in lines:gmatch "(.-)\n" do found[#found + 1] = fault(line) or "good" end
    assert.same({ "good", "there is a control character in a string", "good" }, found)
    for _, text in ipairs { '[{"a":1\n2}]', '[{"a":tr\nue}]', '[{"a":"\\\n"}]', '[{"a":"\\u00\n00"}]', '[{"a":-\n1}]' } do
      assert.is_string(fault((split_array(text):gsub("\n$", ""))), text)
    end
  end)

  it("is refused when its elements cannot be told apart", function()
    for text, reason in pairs {
      [""] = "it is no JSON array", ["{}"] = "it is no JSON array", ["\u{feff}[]"] = "it is no JSON array",
      ["["] = "the array ends too early", ["[{}"] = "the array ends too early", ["[{},"] = "the array ends too early",
      ['["a]'] = "the array ends too early", ['["a\\'] = "the array ends too early", ["[[1]"] = "the array ends too early",
      ["[{},]"] = "an element of the array is missing", ["[,{}]"] = "an element of the array is missing",
      ["[{},,{}]"] = "an element of the array is missing", ["[ , ]"] = "an element of the array is missing",
      ["[}]"] = "there is a bracket in the array that closes nothing",
      ["[{}},{}]"] = "there is a bracket in the array that closes nothing",
      ["[]]"] = "something follows the array", ["[{}] {}"] = "something follows the array",
      ["[]\0"] = "something follows the array",
    } do
      assert.same({ text, nil, reason }, { text, split_array(text) })
    end
  end)

  it("is split wherever it is cut off or broken without a line too many", function()
    local array = "[" .. SAMPLE .. "," .. SAMPLE .. "]"
    for at = 1, #array do
      assert.is_nil((split_array(array:sub(1, at - 1))))
      for _, byte in ipairs(BYTES) do
        local lines, count = split_array(replaced(array, at, 1, byte))
        if lines then assert.equal(count, select(2, lines:gsub("\n", ""))) end
      end
    end
  end)
end)

describe("lines of a text", function()
  local check, count = core.lines.check, core.lines.count

  it("are looked at up to the first that can be used, or all of them", function()
    assert.same({ true, 0, {} }, { check('{"n":1}\nnone\n', 10, false) })
    assert.same({ true, 1, { { line = 2, reason = "it is no JSON object" } } }, { check('{"n":1}\nnone\n', 10, true) })
    assert.same({ true, 1, { { line = 3, reason = "it is no JSON object" } } }, { check('\r\n\nnone\n{}\nnone', 10, false) })
    local faults_of_two = { { line = 1, reason = "it is longer than record_bytes" }, { line = 2, reason = "it ends too early" } }
    assert.same({ false, 2, faults_of_two }, { check('{"n":12345}\r\n{"n":\r', 10, false) })
    assert.same({ true, 0, {} }, { check('{"n":1234}\r\n', 10, true) })
    for _, text in ipairs { "", "\n", "\r\n\n" } do assert.same({ false, 0, {} }, { check(text, 10, true) }) end
    local usable, bad, faults = check(("none\n"):rep(50), 10, true)
    assert.same({ false, 50, 10, 10 }, { usable, bad, #faults, faults[10].line })
  end)

  it("are counted by their ends", function()
    local text = "a\nb\n\nc"
    assert.same({ 3, 0, 1, 2, 0 }, { count(text, 1, #text + 1), count(text, 1, 1), count(text, 1, 3), count(text, 3, 6),
      count("", 1, 1) })
    for _, bad in ipairs { { 0, 1 }, { 1, #text + 2 }, { 3, 2 }, { #text + 2, #text + 2 } } do
      assert.has_error(function() count(text, bad[1], bad[2]) end)
    end
  end)
end)
