-- Records against schemas, before they are sent and when the emulator ingests them.
local catalog = require "catalog"
local command = require "support.command"
local core = require "catalog.core"
local new_fits = require "catalog.query.schema_plain"
local schema = require "catalog.query.schema"
local raw = require "support.raw"
local service = require "support.service"
local serving = require "support.serving"
local shell = require "support.shell"

local ID <const> = "https://ns.adobe.com/tenant/schemas/1"

local SCHEMA <const> = {
  ["$id"] = ID, type = "object", required = { "_id" },
  properties = {
    _id = { type = "string" },
    age = { type = "integer", minimum = 0, maximum = 150 },
    score = { type = "number", exclusiveMinimum = 0 },
    since = { type = "string", format = "date-time" }, born = { type = "string", format = "date" },
    country = { type = "string", pattern = "^[A-Z]{2}$" }, code = { type = "string", minLength = 2, maxLength = 3 },
    colour = { type = "string", enum = { "red", "blue" } }, active = { type = "boolean" },
    person = { type = "object", required = { "name" }, properties = { name = { type = "string" } } },
    list = { type = "array", items = { type = "object", properties = { n = { type = "integer" } } } },
    map = { type = "object", additionalProperties = { type = "string" } }, open = { type = "object" },
    many = { type = { "string", "integer" } }, tree = { ["$ref"] = "#/definitions/tree" },
    both = { allOf = { { properties = { a = { type = "string" } } }, { properties = { b = { type = "string" } } } } },
    either = { anyOf = { { properties = { x = {} } } }, properties = { y = { type = "string" } } },
  },
  definitions = { tree = { type = "object", properties = {
    value = { type = "integer" }, left = { ["$ref"] = "#/definitions/tree" }, right = { ["$ref"] = "#/definitions/tree" },
  } } },
}

-- What does not fit, each as `path problem`, sorted.
local function faults(record, given)
  local list = {}
  for i, one in ipairs((assert(schema(given or SCHEMA)))(record)) do list[i] = ("%s %s"):format(one.path, one.problem) end
  table.sort(list)
  return list
end

local GOOD <const> = [[{"_id":"1","age":20,"score":1.5,"since":"2026-11-26T08:00:00.25+01:00","born":"2026-11-26",
  "country":"DE","code":"abc","colour":"red","active":true,"person":{"name":"A"},"list":[{"n":1},{}],"map":{"x":"y"},
  "open":{"what":["ever"]},"many":5,"tree":{"value":1,"left":{"right":{"value":2}}},"both":{"a":"1","b":"2"},
  "either":{"x":1,"y":"2"}}]]

describe("a record", function()
  it("fits its schema where all of it does", function()
    assert.same({}, faults(core.json.decode(GOOD)))
    assert.same({}, faults { _id = "1", age = 20.0, map = {}, list = {}, person = core.json.null, many = "x" })
  end)

  it("does not fit for each of these reasons, and is told where", function()
    for text, expected in pairs {
      ['{}'] = { "_id required" }, ['{"_id":null}'] = { "_id required" }, ['{"_id":5}'] = { "_id type" },
      ['{"_id":"1","agee":5}'] = { "agee unknown" }, ['{"_id":"1","age":"5"}'] = { "age type" },
      ['{"_id":"1","age":1.5}'] = { "age type" }, ['{"_id":"1","age":-1}'] = { "age range" },
      ['{"_id":"1","age":151}'] = { "age range" }, ['{"_id":"1","score":0}'] = { "score range" },
      ['{"_id":"1","since":"2026-11-26T08:00:00"}'] = { "since format" },
      ['{"_id":"1","since":"2026-13-26T08:00:00Z"}'] = { "since format" }, ['{"_id":"1","born":"x"}'] = { "born format" },
      ['{"_id":"1","country":"de"}'] = { "country pattern" }, ['{"_id":"1","code":"a"}'] = { "code length" },
      ['{"_id":"1","code":"abcd"}'] = { "code length" }, ['{"_id":"1","colour":"green"}'] = { "colour enum" },
      ['{"_id":"1","active":"true"}'] = { "active type" }, ['{"_id":"1","person":{"nam":"A"}}'] = { "person.nam unknown",
        "person.name required" }, ['{"_id":"1","person":["A"]}'] = { "person type" },
      ['{"_id":"1","list":[{"n":1},{"n":"x"},5]}'] = { "list[2].n type", "list[3] type" },
      ['{"_id":"1","list":{"n":1}}'] = { "list type" }, ['{"_id":"1","map":{"x":5}}'] = { "map.x type" },
      ['{"_id":"1","many":true}'] = { "many type" }, ['{"_id":"1","both":{"c":1}}'] = { "both.c unknown" },
      ['{"_id":"1","tree":{"left":{"left":{"value":"x","up":1}}}}'] = { "tree.left.left.up unknown",
        "tree.left.left.value type" }, ['{"_id":"1","either":{"y":5}}'] = { "either.y type" },
      ['{"_id":"1","either":{"z":5}}'] = { "either.z unknown" },
      ['{"_id":"1","open":5}'] = { "open type" },
    } do assert.same(expected, faults(core.json.decode(text)), text) end
  end)

  it("is held against alternatives and conditions", function()
    local text, whole <const> = { type = "string" }, { type = "integer" }
    local function has(name, of) return { properties = { [name] = of or text }, required = { name } } end
    local function is(value) return { properties = { kind = { const = value } }, required = { "kind" } } end
    local any = { type = "object", anyOf = { has("a"), has("b", whole) }, properties = { c = text } }
    local one = { type = "object", oneOf = { has("a"), has("b", whole) } }
    local vague = { oneOf = { has("a"), { required = { "b" }, properties = { b = { format = "vague", type = "string" } } } } }
    local cond = { type = "object", properties = { kind = text, n = whole, m = text }, ["if"] = is "n",
      ["then"] = { required = { "n" } }, ["else"] = { required = { "m" } } }
    local unsure = { ["if"] = { properties = { kind = { contentEncoding = "x" } } }, ["then"] = { required = { "n" } },
      ["else"] = { required = { "m" } } }
    local no = { type = "object", properties = { a = text }, ["not"] = has "a" }
    local merged = { allOf = { { properties = { a = { minLength = 2 } } }, { properties = { a = { type = "string",
      maxLength = 3, pattern = "^x" } } }, { properties = { a = { pattern = "y$" } } } } }
    local bounds = { allOf = { { properties = { n = { minimum = 1 } } }, { properties = { n = { minimum = 5, maximum = 9 } } } } }
    local untyped = { properties = { v = { minimum = 5, minLength = 2 } } }
    local tree = { ["$ref"] = "#/t", t = { type = "object", properties = { v = whole }, anyOf = { has "name",
      { properties = { left = { ["$ref"] = "#/t" } }, required = { "left" } } } } }
    for _, case in ipairs {
      { any, { a = "1" } }, { any, { b = 1, c = "x" } }, { any, { a = 5, b = 1 } }, { any, { a = 5 }, " choice" },
      { any, { c = "x" }, " choice" }, { any, { a = "1", d = 1 }, "d unknown" }, { any, { a = "1", c = 1 }, "c type" },
      { one, { a = "1" } }, { one, { b = 1 } }, { one, { a = "1", b = "x" } }, { one, { a = "1", b = 1 }, " choice" },
      { one, {}, " choice" }, { vague, { a = "1", b = "2" } }, { vague, { a = 1, b = 2 }, " choice" },
      { cond, { kind = "n", n = 1 } }, { cond, { kind = "n" }, "n required" }, { cond, { kind = "x" }, "m required" },
      { cond, { m = "x" } }, { cond, { m = "x", z = 1 }, "z unknown" }, { unsure, { kind = "x" } }, { no, {} },
      { no, { a = "1" }, " choice" }, { no, { a = 1 }, "a type" },
      { merged, { a = "xay" }, }, { merged, { a = "x" }, "a length", "a pattern" }, { merged, { a = "xaay" }, "a length" },
      { merged, { a = "axy" }, "a pattern" }, { bounds, { n = 5 } }, { bounds, { n = 0 }, "n range", "n range" },
      { bounds, { n = 3 }, "n range" }, { bounds, { n = 10 }, "n range" }, { untyped, { v = true } },
      { untyped, { v = 4 }, "v range" }, { untyped, { v = "x" }, "v length" },
      { tree, { name = "x" } }, { tree, { left = { left = { name = "x" } } } }, { tree, { left = { left = {} } }, " choice" },
      { tree, { name = "x", left = { name = "y", v = 1, w = 2 } } },
      { { anyOf = { text, whole } }, 5 }, { { properties = { v = { anyOf = { text, whole } } } }, { v = true }, "v choice" },
      { { properties = { v = { const = "x" } } }, { v = "y" }, "v enum" },
      { { allOf = { { type = "object" }, { anyOf = { has "a" } }, { anyOf = { has "b" } } } }, { a = "1" }, " choice" },
    } do
      local found = faults(case[2], case[1])
      local wanted = table.move(case, 3, #case, 1, {})
      if case[1] == merged and #wanted == 2 then found = { found[1], found[#found] } end
      local line = core.json.encode(case[2])
      assert.same(wanted, found, line)
      assert.is_true(#wanted == 0 or not new_fits(case[1]):check(line), line)
    end
    local said = assert(schema(any)) { c = "x", a = 5 }
    assert.matches("^it fits none of 2 alternatives; the nearest says of [ab]: it is ", said[1].message)
    assert.equal("it fits 2 alternatives, and may fit one", (assert(schema(one)) { a = "1", b = 1 })[1].message)
  end)

  it("is held against schemas of any shape without harm", function()
    local circle = { ["$ref"] = "#/a", a = { ["$ref"] = "#/b" }, b = { ["$ref"] = "#/a" } }
    for _, given in ipairs {
      {}, circle, { type = "nonsense" }, { ["$ref"] = "#" }, { ["$ref"] = "https://elsewhere" },
      { properties = 5, required = 7 }, { type = "object", properties = { _id = true } },
      { type = "object", properties = { _id = { pattern = "(", type = "string" } } },
      { type = "object", properties = { _id = { type = "string", format = "whatever", enum = { {} }, minimum = "x" } } },
      { allOf = { 5, { ["$ref"] = "#" } } }, { anyOf = { { ["$ref"] = "#" } } }, { anyOf = 5, oneOf = {}, ["if"] = 7 },
      { oneOf = { { ["$ref"] = "#" }, { anyOf = { { ["$ref"] = "#" } } } } }, { ["not"] = { format = "whatever" } },
      { ["if"] = { ["$ref"] = "#" }, ["then"] = { ["$ref"] = "#" } }, { ["not"] = { ["not"] = { ["$ref"] = "#" } } },
      { allOf = { { properties = { a = { ["$ref"] = "#" } } }, { properties = { a = { ["$ref"] = "#" }, _id = {} } } } },
    } do assert.same({}, faults({ _id = "1" }, given)) end
    local wide = { type = "object", properties = {} }
    for i = 1, 10000 do wide.properties["f" .. i] = { type = "integer" } end
    assert.same({ "f10001 unknown", "f7 type" }, faults({ f7 = "x", f10001 = 1, f3 = 3 }, wide))
    assert.is_nil((schema(5)))
  end)

  it("is looked at however deep it is, and however deep its schema", function()
    local deep, wanted, at = { type = "integer" }, { n = 1 }, "n"
    for _ = 1, 150 do
      deep, wanted, at = { type = "object", properties = { n = deep } }, { n = wanted }, "n." .. at
    end
    deep = { type = "object", properties = { n = deep } }
    assert.same({}, faults(wanted, deep))
    local bottom = wanted
    while type(bottom.n) == "table" do bottom = bottom.n end
    bottom.n = "x"
    assert.same({ at .. " type" }, faults(wanted, deep))
    bottom.n = nil
    bottom.tree = { left = {} }
    local tree = { ["$ref"] = "#/t", t = { type = "object", properties = { n = { ["$ref"] = "#/t" } } } }
    assert.same({ at:gsub("%.n$", ".tree", 1) .. " unknown" }, faults(wanted, tree))
  end)

  it("has as many of its problems told as are wanted, and all counted", function()
    local found, count = (assert(schema(SCHEMA)))({ a = 1, b = 2, c = 3 }, 2)
    assert.same({ 2, 4 }, { #found, count })
    local near = (assert(schema(SCHEMA)))({ _id = "1", coluor = "red" })
    assert.equal("the schema has no such field; did you mean 'colour'?", near[1].message)
  end)
end)

-- Pieces that a line is changed by.
local PIECES <const> = {
  "null", "{}", "[]", '""', "0", "-1", "151", "1.5", "1e3", "9007199254740993", "true", '"x"', '"\\u0041"', '"ä"', ",", ":", '"',
  "{", "}", '"_id":1', '"_id":null', '"age":20', '"unknown":1', " ", "\t", "2026-02-30", "T24", '"DE"', '"green"',
}

describe("the core's look at a line", function()
  local fits, find = new_fits(SCHEMA), assert(schema(SCHEMA))
  local line = GOOD:gsub("\n *", "")
  local plain = line:gsub('"country":"DE",', ""):gsub('"many":5,', ""):gsub(',"either":{[^}]*}', ""):gsub("1%.5", "5.5")

  it("is sure of what is plain", function()
    assert.is_true(fits:check(plain))
    assert.is_true(fits:check('{ "_id" : "\195\164\\n", "age":150,"score":2.5, "list":[] ,"code":"\195\164\195\164"}'))
    for _, unsure in ipairs { line, "{}", '{"_id":null}', '{"_id":"1","age":151}', "no json", '{"_id":"1"} x', "", '{"_id":"1"',
      '{"_id":"1","tree":' .. ('{"left":'):rep(100) .. "{}" .. ("}"):rep(101), '{"_id":"1","unknown":1}' } do
      assert.is_false(fits:check(unsure), unsure)
    end
  end)

  it("is never sure of what does not fit", function()
    math.randomseed(17)
    local sure = 0
    for _ = 1, 20000 do
      local text = plain
      for _ = 1, math.random(3) do
        local first = math.random(#text)
        text = text:sub(1, first) .. PIECES[math.random(#PIECES)] .. text:sub(first + math.random(0, 12))
      end
      if fits:check(text) then
        sure = sure + 1
        local row = assert(core.json.decode(text))
        local found = find(row)
        assert.equal(0, #found, text .. (found[1] and found[1].path .. " " .. found[1].message or ""))
      end
    end
    assert.is_true(sure > 100)
  end)

  it("knows simple patterns, and is sure of what matches them only", function()
    local sure <const> = {
      ["^[A-Z]{2}$"] = "DE", ["^\\d{3,4}-x+y?z*$"] = "123-xxz", ["^https://"] = "https://a", ["^[^a-c]{2}"] = "zq",
      ["^a.c$"] = "abc", ["^[\\w.%-]+@x\\.de$"] = "a.b@x.de", ["^\\.$"] = ".", ["^[-a]*$"] = "a-", ["^x{0,2}$"] = "",
      ["^"] = "any", ["^[a-]b$"] = "-b",
    }
    local unsure <const> = {
      "a$", "^(a|b)$", "^a|b$", "^[[:alpha:]]$", "^a*?$", "^a{2", "^\\bx$", "^[]a]$", "^[a&&b]$", "^ä$", "^a{3,2}$",
    }
    math.randomseed(17)
    local function check(pattern, text)
      local given = { type = "object", properties = { v = { type = "string", pattern = pattern } } }
      local is_sure = new_fits(given):check(assert(core.json.encode { v = text }))
      assert.is_true(not is_sure or #assert(schema(given)) { v = text } == 0, pattern .. " " .. text)
      return is_sure
    end
    for pattern, text in pairs(sure) do
      assert.is_true(check(pattern, text), pattern)
      for _ = 1, 200 do
        local at = math.random(0, #text)
        check(pattern, text:sub(1, at) .. string.char(math.random(32, 126)) .. text:sub(at + math.random(0, 2)))
      end
      assert.is_false(check(pattern, text .. "\u{E4}") and pattern:find "%$$" ~= nil)
    end
    for _, pattern in ipairs(unsure) do assert.is_false(check(pattern, "a"), pattern) end
  end)

  it("takes any schema, and refuses nodes that are none", function()
    for _, nodes in ipairs { { 5 }, { {} }, { { kind = "odd", words = {} } }, { { kind = "any", words = { {} } } },
      { { kind = "any", words = { { "a", 2, 0 } } } }, { { kind = "object", words = { { "a", 1, 1 } } } },
      { { kind = "any", words = { { 5, 1, 0 } } } }, { { kind = "any", words = {}, others = 7 } },
      { { kind = "object", words = {}, needed = 65 } }, { { kind = "string", words = {}, sets = "x" } },
      { { kind = "string", words = {}, sets = 5 } }, 5 } do
      assert.is_false((pcall(core.fits.new, nodes)))
    end
    assert.is_false(core.fits.new({}):check "{}")
    assert.is_true(core.fits.new({ { kind = "any", words = {} } }):check ' {"a":[1,{"b":"}"}],"c":null} ')
  end)
end)

-- Calls `body(client, server, directory)` with an emulator whose data set has the schema.
local function with_schema(body)
  shell.with_directory(function(directory)
    shell.write(directory .. "/schema.json", assert(core.json.encode(SCHEMA)))
    local reference = { id = ID, contentType = "application/vnd.adobe.xed+json;version=1" }
    local datasets = { d1 = { name = "People", schemaRef = reference } }
    service.run({ schemas = { directory .. "/schema.json" }, datasets = datasets }, function(server, client)
      body(client, server, directory)
    end)
  end)
end

local LINES <const> = '{"_id":"1"}\n\n{"_id":2,"age":"x"}\nno json\n{"_id":"3","person":{"name":"A"}}\n'

describe("a file", function()
  it("is checked against the schema of its data set, with line and path", function()
    with_schema(function(client, server, directory)
      local path = directory .. "/a.json"
      shell.write(path, LINES)
      for _, dataset in ipairs { "d1", client:dataset "d1", { name = "People" } } do
        local report = assert(client:check { dataset = dataset, file = path })
        assert.same({ 4, 2, 3 }, { report.records, report.bad, report.count })
        local told = {}
        for i, one in ipairs(report.problems) do told[i] = ("%d %s %s"):format(one.line, one.path, one.problem) end
        table.sort(told)
        assert.same({ "3 _id type", "3 age type", "4  json" }, told)
      end
      assert.equal(1, #assert(client:check { dataset = "d1", file = path, most = 1 }).problems)
      assert.equal(0, assert(client:check { schema = { type = "object" }, file = path, most = 1 }).records - 4)
      assert(catalog.configure(service.settings(server.url)))
      assert.equal(2, assert(catalog.check { dataset = "d1", file = path }).bad)
      assert.same({}, (assert(catalog.checker { dataset = "d1" }):check { _id = "1" }))
    end)
  end)

  it("is one of lines or one array, by what is in it, whatever its length", function()
    local client = service.client "http://127.0.0.1:1"
    local given <const> = { type = "object", properties = { n = { type = "integer" } } }
    shell.with_directory(function(directory)
      local path = directory .. "/a.json"
      local function places(text)
        shell.write(path, text)
        local report, list = assert(client:check { schema = given, file = path, most = 4000 }), {}
        for i, one in ipairs(report.problems) do list[i] = one.line or -one.record end
        return report.records, list
      end
      assert.same({ 3, { -2 } }, { places '\n [{"n":1},\n\n{"n":"x"},{}]\n' })
      assert.same({ 0, {} }, { places "[]" })
      assert.same({ 2, { -1, -2 } }, { places '[5,"{"]' })
      for length = 1, 1100, 9 do -- over what is looked at to tell what it is
        local long = ('{"n":1,"x":"%s"}'):format(("y"):rep(length))
        assert.same({ 3, { 1, 2, 4 } }, { places(("%s\n%s\r\n\n%s"):format(long, long, long)) })
        assert.same({ 2, { -1, -2 } }, { places(("[%s,\n%s]"):format(long, long)) })
      end
      shell.write(path, '{"n":1}\n{}\n')
      local open <close> = assert(io.open(path))
      assert.equal(2, assert(client:check { schema = given, file = open }).records)
      for text, said in pairs { [""] = "is empty, and the service fails", ["[{}"] = "the array cannot be read: ",
        ["\u{FEFF}{}"] = "line 1: it begins with a byte-order mark of UTF-8" } do
        shell.write(path, text)
        local report, err = client:check { schema = given, file = path }
        assert.same({ nil, "data" }, { report, err.kind })
        assert.matches(said, err.message, 1, true)
      end
      for name, form in pairs { ["a.csv"] = "csv", ["a.parquet"] = "parquet", ["a.PARQUET"] = "parquet" } do
        local report, err = client:check { schema = given, file = name }
        assert.same({ nil, "data" }, { report, err.kind })
        assert.matches(("%s is of the format %s, which is not checked"):format(name, form), err.message, 1, true)
      end
      assert.equal("config", select(2, client:check { schema = given, file = path, format = "xml" }).kind)
      assert.equal("data", select(2, client:check { schema = given, file = path, format = "csv" }).kind)
    end)
  end)

  it("has the schema asked for as the registry wants it, once for all checks", function()
    local dataset = ([[{"d1":{"schemaRef":{"id":"%s","contentType":"application/vnd.adobe.xed+json; version=2"}}}]]):format(ID)
    local server <close> = raw.start { {
      { send = raw.answer("200 OK", dataset) }, { send = raw.answer("200 OK", '{"type":"object","required":["a"]}') },
    } }
    local client = service.client(server.url)
    for _ = 1, 3 do assert.equal(1, #assert(client:checker { dataset = "d1" }):check {}) end
    local requests = server:stop()
    assert.equal(2, #requests)
    local path <const> = "/data/foundation/schemaregistry/tenant/schemas/https%3A%2F%2Fns.adobe.com%2Ftenant%2Fschemas%2F1"
    assert.matches("GET " .. path .. " HTTP", requests[2], 1, true)
    assert.matches("\r\naccept: application/vnd.adobe.xed%-full%+json; version=2\r\n", requests[2]:lower())
  end)

  it("cannot be checked without a schema", function()
    service.run({ datasets = { d1 = "A", d2 = { name = "B", schemaRef = { id = "https://nobody" } } } }, function(_, client)
      for id, expected in pairs { d1 = { "data" }, d2 = { "http", 404 }, d3 = { "http", 404 } } do
        local report, err = client:check { dataset = id, file = "README.md" }
        assert.is_nil(report)
        assert.same(expected, { err.kind, err.status })
      end
      for _, path in ipairs { "nobody.json", "spec" } do
        assert.equal("data", select(2, client:check { schema = {}, file = path }).kind)
      end
      assert.has_error(function() client:check { file = "x" } end)
      assert.has_error(function() client:check { dataset = "d1", schema = {}, file = "x" } end)
      assert.has_error(function() client:check { dataset = "d1" } end,
        "bad option 'file' for check (a path or an open file expected, got nil)")
    end)
  end)

  it("is checked by the program, which says what does not fit", function()
    with_schema(function(_, server, directory)
      local path = directory .. "/a.json"
      shell.write(path, '{"_id":"1","colur":"x"}\n{"_id":"2"}\n')
      local said = "%s:1: colur: the schema has no such field; did you mean 'colour'?\n"
        .. "catalog: %s: 1 of 2 records does not fit\n"
      assert.same({ said:format(path, path), 3 }, { command.run(server, "check --dataset d1 " .. path) })
      local text = command.run(server, "check -q --json --dataset-name People " .. path)
      assert.equal("colur", core.json.decode(text).path)
      shell.write(path, '[{"_id":"1"},\n {"_id":2}]')
      assert.matches(path .. ", record 2: _id: it is a number, and not a text\n", (command.run(server,
        "check --dataset d1 " .. path)), 1, true)
      local input = "check --dataset d1 -"
      said = "standard input:1: _id: it is missing\ncatalog: standard input: 1 of 1 record does not fit\n"
      assert.same({ said, 3 }, { command.pipe(server, "echo {}", input) })
      assert.matches("can be read once", (command.run(server, input .. " -")), 1, true)
      said = "catalog: a.csv is of the format csv, which is not checked: schemas are for records of JSON [data]\n"
      assert.same({ said, 1 }, { command.run(server, "check --dataset d1 a.csv") })
      shell.write(path, '{"_id":"2"}\n')
      assert.same({ "", 0 }, { command.run(server, "check -q --dataset d1 " .. path) })
    end)
  end)
end)

describe("records that do not fit", function()
  it("are left out by a writer that checks, and rejected by a sink that does", function()
    with_schema(function(client, _, directory)
      local batch = assert(client:create_batch { dataset = { name = "People" }, format = "json" })
      local writer = assert(batch:writer("a", { check = true }))
      local ok, err = writer:write { _id = 5, a = 1, b = 2, c = 3 }
      assert.same({ nil, "data", 3 }, { ok, err.kind, #err.problems })
      assert.matches("the record does not fit the schema: .*; and 1 more$", err.message)
      assert(writer:write { _id = "1" })
      assert.equal(1, assert(writer:close()).records)
      assert(batch:complete())
      assert.equal(1, assert(batch:wait()).metrics.outputRecordCount)
      local rejected = {}
      local sink <close> = assert(client:sink {
        dataset = "d1", spool = directory .. "/spool", check = true,
        on_rejected = function(record, why) rejected[#rejected + 1] = { record._id, why.kind } end,
      })
      assert(sink:write { _id = "1" })
      assert.equal("rejected", select(2, sink:write { _id = 2 }))
      assert.equal("rejected", select(2, sink:offer { _id = 3 }))
      assert.equal("rejected", select(2, sink:write_line '{"_id":4}\n'))
      assert.is_true((sink:write_line '{"_id":"2"}'))
      local lines = '{"_id":"3"}\r\n\n{"_id":5}\n{"_id":"4"}\nnone\n{"_id":"5","country":"DE"}\n{"_id":"6","country":"de"}'
      local taken, refused, told = sink:write_lines(lines, "source", 1)
      assert.same({ 3, 3, { 3, 5, 7 } }, { taken, refused, { told[1].line, told[2].line, told[3].line } })
      assert.equal("the record does not fit the schema: _id: it is a number, and not a text", told[1].reason)
      assert.same({ 0, "repeated", {} }, { sink:write_lines(lines, "source", 1) })
      assert.same({ 0, 0, {} }, { sink:write_lines "" })
      assert.same({ { 2, "data" }, { 3, "data" } }, table.move(rejected, 1, 2, 1, {}))
      assert.equal(6, #rejected)
      assert(sink:close { flush = true })
      assert.matches("the record does not fit the schema: _id: it is a number, and not a text",
        shell.read(directory .. "/spool/rejected/records.jsonl"))
      local count = 0
      for row in client:dataset("d1"):preview(10) do count = count + (row._id and 1 or 0) end
      assert.equal(6, count) -- one by the writer
    end)
  end)

  it("are rejected by catalog sink and catalog serve where they are told to check", function()
    with_schema(function(_, server, directory)
      local words = ("sink --check -q --dataset-name People --spool %s/spool --wait"):format(directory)
      local text, status = command.pipe(server, [[printf '{"_id":"1"}\n{"_id":2}\n']], words)
      assert.equal(3, status, text)
      assert.matches("standard input, line 2: the record does not fit the schema: _id: it is a number", text, 1, true)
      local serve <close> = serving.start(directory, "--check --dataset d1", { url = server.url })
      local bad, good <const> = '{"_id":2}\n', '{"_id":"1"}\r\n'
      local code, answer = serve:post(bad .. "\n" .. good)
      assert.same({ 200, 1, 1 }, { code, answer.accepted, answer.rejected })
      code, answer = serve:post(bad:rep(12))
      assert.same({ 400, 12, 10 }, { code, answer.rejected, #answer.errors })
      code, answer = serve:post(good .. bad, nil, "/?strict=1")
      assert.same({ 400, 2 }, { code, answer.errors[1].line })
      assert.equal(200, (serve:post(good:rep(3), nil, "/?strict=1")))
    end)
  end)
end)

describe("the emulator", function()
  it("has the schema that a data set names, and refuses rows that do not fit it", function()
    with_schema(function(client)
      local found = assert(client:dataset("d1"):get_schema())
      assert.equal(ID, found["$id"])
      local batch = assert(client:create_batch {
        dataset = "d1", format = "json", error_diagnostics = true, partial_ingestion = 90,
      })
      assert(batch:upload("a", { data = LINES .. '{"age":5}\n' }))
      local done = assert(assert(batch:complete()):wait())
      assert.same({ 5, 2, 3 }, { done.metrics.inputRecordCount, done.metrics.outputRecordCount, done.metrics.failedRecordCount })
      local codes, rows = {}, {}
      for row in done:failed_rows() do rows[#rows + 1], codes[row._errors[1].code] = row, true end
      assert.equal(3, #rows)
      assert.equal(2, rows[1]._id)
      assert.same({ ["INGEST-1401-400"] = true, ["INGEST-1402-400"] = true, ["INGEST-1555-400"] = true }, codes)
      local again = assert(done:resend { rows = function(row)
        if row._corrupt_record then return nil end
        return { _id = tostring(row._id or "4"), age = math.tointeger(tonumber(row.age)) }
      end })
      assert.equal(2, assert(again:wait()).metrics.outputRecordCount)
    end)
  end)

  it("does not start with schemas that cannot be read", function()
    for _, schemas in ipairs { { "nobody.json" }, { {} }, { "README.md" } } do
      local server, err = require("catalog.emulator").start { schemas = schemas }
      assert.same({ nil, "config" }, { server, err.kind })
    end
  end)
end)
