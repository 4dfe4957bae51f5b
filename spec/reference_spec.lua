-- The reference has what there is: each function of the module and of what its calls give, and each option that the code
-- accepts, with the type that it has.
local catalog = require "catalog"
local options = require "catalog.base.options"
local reference = require "support.reference"
local service = require "support.service"
local shell = require "support.shell"

local pages, warnings = reference.read()

local public = {}
for _, page in ipairs(pages.public) do public[page.name] = page end

local function is_public(page, name)
  for _, item in ipairs(public[page].items) do
    if item.name == name then return true end
  end
  return false
end

-- The functions of a class that are in the reference neither as public nor as internal (`@local`).
local function undocumented(page, class)
  local missing = {}
  for name, value in pairs(class) do
    local is_known = pages.by_name[page .. ":" .. name] or pages.by_name[page .. "." .. name]
    if type(value) == "function" and not name:find "^__" and not is_known then missing[#missing + 1] = name end
  end
  table.sort(missing)
  return missing
end

local function methods_of(object)
  local index = getmetatable(object).__index
  assert.equal("table", type(index))
  return index
end

-- What the calls of the module give, by the pages about them: all of it is real.
local function with_objects(body)
  shell.with_directory(function(directory)
    service.run({}, function(server, client)
      shell.write(directory .. "/a.json", '{"a":1}\n')
      local report = assert(client:ingest { dataset = service.DATASET, files = { directory .. "/a.json" } })
      local batch <close> = assert(client:create_batch { dataset = service.DATASET, format = "json" })
      local writer <close> = assert(batch:writer "b.json")
      local sink <close> = assert(client:sink { dataset = service.DATASET, spool = directory .. "/spool" })
      local objects = {
        ["catalog.client"] = client, ["catalog.batch"] = batch, ["catalog.writer"] = writer, ["catalog.sink"] = sink,
        ["catalog.dataset"] = client:dataset(service.DATASET), ["catalog.file"] = client:batch(report.id):files()(),
        ["catalog.checker"] = client:checker { schema = { type = "object" } },
        ["catalog.emulator.server"] = server,
        ["catalog.task"] = catalog.run(function() return catalog.spawn(function() end) end),
      }
      if pcall(require, "catalog.kafka") then
        objects["catalog.drain"] = assert(client:drain {
          dataset = service.DATASET, from = "end", kafka = { brokers = "127.0.0.1:1", topics = { "a" }, group = "g" },
        })
      end
      body(objects)
      if objects["catalog.drain"] then objects["catalog.drain"]:close() end
    end)
  end)
end

describe("the reference", function()
  it("is read by LDoc without a warning, from each file of the core that has a module in it", function()
    assert.equal("", warnings)
    local config = shell.read "config.ld"
    for path in shell.run "grep -rl '@module' csrc":gmatch "%S+" do assert.matches('"' .. path .. '"', config, 1, true) end
  end)

  it("has each function of the module, as public", function()
    for name, value in pairs(catalog) do
      assert.is_true(is_public("catalog", name), name)
      if type(value) == "function" then assert.is_true(pages.by_name["catalog." .. name].is_function, name) end
    end
    for name in pairs(require "catalog.emulator") do assert.is_true(is_public("catalog.emulator", name), name) end
  end)

  it("has each method of what the calls give, wherever it is written", function()
    with_objects(function(objects)
      for page, object in pairs(objects) do assert.same({}, undocumented(page, methods_of(object)), page) end
    end)
  end)

  it("has on each page what people call, and nothing that is internal", function()
    for page, names in pairs {
      ["catalog.client"] = "batch batches check checker close create_batch create_dataset dataset dataset_id datasets "
        .. "drain find_dataset ingest sink",
      ["catalog.batch"] = "abort complete download fail failed_rows files get input_files preview problems resend revert "
        .. "upload wait writer",
      ["catalog.writer"] = "cancel close write", ["catalog.task"] = "await cancel",
      ["catalog.dataset"] = "create_batch get get_schema last_batches preview profile_enabled update upsert_enabled",
      ["catalog.file"] = "download read", ["catalog.checker"] = "check check_line",
      ["catalog.sink"] = "close flush limit_reached metrics offer pending poll positions seal settled sync synced write "
        .. "write_line write_lines",
      ["catalog.drain"] = "close metrics run",
    } do
      local shown = {}
      for i, item in ipairs(public[page].items) do shown[i] = item.name end
      assert.equal(names, table.concat(shown, " "), page)
    end
  end)

  it("says of each function what it does, what it takes, and what it gives", function()
    for _, page in ipairs(pages.public) do
      assert.is_true(#page.text > 20, page.name)
      for _, item in ipairs(page.items) do
        assert.is_true(#item.text > 10, item.full)
        for _, parameter in ipairs(item.parameters) do
          assert.is_true(parameter.type ~= "any" or parameter.name == "...", item.full .. ", " .. parameter.name)
          for _, option in ipairs(parameter.options or {}) do
            assert.is_true(#option.text > 1 and option.type ~= "", item.full .. ", " .. option.name)
          end
        end
        for _, kind in ipairs(item.results) do -- an error is never alone
          if #kind > 1 and kind[1].type == "nil" then assert.is_true(#kind[2].text > 4, item.full) end
        end
      end
    end
  end)
end)

-- --- options ---

local function odd() return { [("z"):rep(60)] = 1 } end

-- How each check of options is reached, by the name that it gives the call, and where its options are: an item, which of
-- its parameters (the last one), and what stands before the names.
local function ways(client)
  local batch, dataset = client:batch "a", client:dataset "a"
  local file = setmetatable({}, { __index = require("catalog.query.files").methods })
  local sink = setmetatable({}, { __index = require "catalog.sink.open" })
  local kafka = { brokers = "a", topics = { "a" }, group = "a" }
  return {
    client = { "catalog.client", function() catalog.client(odd()) end },
    ["client.retry"] = { "catalog.client", function() catalog.client { retry = odd() } end, "retry." },
    ["client.loop"] = { false, function() catalog.client { loop = odd() } end },
    create_batch = { "catalog.client:create_batch", function() client:create_batch(odd()) end },
    ["create_batch.csv"] = { "catalog.client:create_batch", function() client:create_batch { csv = odd() } end, "csv." },
    ["create_batch.replay"] = {
      "catalog.client:create_batch", function() client:create_batch { replay = odd() } end, "replay.",
    },
    batch = { "catalog.client:batch", function() client:batch("a", odd()) end },
    get = { "catalog.batch:get", function() batch:get(odd()) end },
    ["get of a data set"] = { "catalog.dataset:get", function() dataset:get(odd()) end },
    complete = { "catalog.batch:complete", function() batch:complete(odd()) end },
    abort = { "catalog.batch:abort", function() batch:abort(odd()) end },
    fail = { "catalog.batch:fail", function() batch:fail(odd()) end },
    revert = { "catalog.batch:revert", function() batch:revert(odd()) end },
    wait = { "catalog.batch:wait", function() batch:wait(odd()) end },
    upload = { "catalog.batch:upload", function() batch:upload("a", { data = "" }, odd()) end },
    ["upload's source"] = { "catalog.batch:upload", function() batch:upload("a", odd()) end, "", "source" },
    writer = { "catalog.batch:writer", function() batch:writer("a", odd()) end },
    files = { "catalog.batch:files", function() batch:files(odd()) end },
    download = { "catalog.batch:download", function() batch:download(odd()) end },
    ["download of a file"] = { "catalog.file:download", function() file:download(odd()) end },
    resend = { "catalog.batch:resend", function() batch:resend(odd()) end },
    ingest = { "catalog.client:ingest", function() client:ingest(odd()) end },
    check = { "catalog.client:check", function() client:check(odd()) end },
    checker = { "catalog.client:checker", function() client:checker(odd()) end },
    batches = { "catalog.client:batches", function() client:batches(odd()) end },
    datasets = { "catalog.client:datasets", function() client:datasets(odd()) end },
    find_dataset = { "catalog.client:find_dataset", function() client:find_dataset(odd()) end },
    dataset = { "catalog.client:dataset", function() client:dataset("a", odd()) end },
    create_dataset = { "catalog.client:create_dataset", function() client:create_dataset(odd()) end },
    update = { "catalog.dataset:update", function() dataset:update(odd()) end },
    map = { "catalog.map", function() catalog.map({}, print, odd()) end },
    sink = { "catalog.client:sink", function() client:sink(odd()) end },
    ["sink.roll"] = { "catalog.client:sink", function() client:sink { dataset = "a", spool = "a", roll = odd() } end, "roll." },
    ["sink.limit"] = {
      "catalog.client:sink", function() client:sink { dataset = "a", spool = "a", limit = odd() } end, "limit.",
    },
    flush = { "catalog.sink:flush", function() sink:flush(odd()) end },
    close = { "catalog.sink:close", function() sink:close(odd()) end },
    drain = { "catalog.client:drain", function() client:drain(odd()) end },
    ["drain.kafka"] = { "catalog.client:drain", function() client:drain { dataset = "a", kafka = odd() } end, "kafka." },
    ["drain.roll"] = {
      "catalog.client:drain", function() client:drain { dataset = "a", kafka = kafka, roll = odd() } end, "roll.",
    },
    ["emulator.start"] = { "catalog.emulator.start", function() require("catalog.emulator").start(odd()) end },
  }
end

-- Checks that are of no options: of arguments, and of `{ name = ... }`, which stands for an id.
local NONE <const> = { run = true, spawn = true }

-- What a check is given when it is reached: the types of the options.
local function schema_of(reach)
  local real, given = options.check, nil
  options.check = function(value, schema, ...)
    given = schema
    return real(value, schema, ...)
  end
  local fine, said = pcall(reach)
  options.check = real
  assert.is_false(fine)
  assert.matches("the options are ", said, 1, true)
  return given
end

local KINDS <const> = { ["function"] = "callable", file = "userdata" }

-- The types of an option, as the check has them.
local function kinds_of(kind)
  local list, seen = {}, {}
  for one in (kind:gsub("%b{}", "table")):gmatch "[^|]+" do
    one = one:find "^catalog%." and "table" or KINDS[one] or one
    if not seen[one] then list[#list + 1], seen[one] = one, true end
  end
  table.sort(list)
  return table.concat(list, "|")
end

local function sorted_kinds(kind)
  local list = {}
  for one in kind:gmatch "[^|]+" do list[#list + 1] = one end
  table.sort(list)
  return table.concat(list, "|")
end

local function options_of(item, name)
  local found
  for _, parameter in ipairs(item.parameters) do
    if parameter.options and (not name or parameter.name == name) then found = parameter.options end
  end
  return assert(found, item.full)
end

-- The options below a prefix, by their names: those of `roll` for `roll.`.
local function documented(item, prefix, name)
  local kinds = {}
  for _, option in ipairs(options_of(item, name)) do
    local rest = option.name:sub(1, #prefix) == prefix and option.name:sub(#prefix + 1)
    if rest and not rest:find(".", 1, true) then kinds[rest] = option.type end
  end
  return kinds
end

local function compare(accepted, shown, call)
  for option, kind in pairs(accepted) do
    assert.is_truthy(shown[option], ("%s: the option %s has no entry"):format(call, option))
    if kind ~= "any" then assert.equal(sorted_kinds(kind), kinds_of(shown[option]), call .. ", " .. option) end
  end
  for option in pairs(shown) do
    assert.is_truthy(accepted[option], ("%s: the option %s is not accepted"):format(call, option))
  end
end

describe("the options of the reference", function()
  local client = service.client "http://127.0.0.1:1"

  for call, way in pairs(ways(client)) do
    it("are those that the code accepts: " .. call, function()
      local accepted = schema_of(way[2])
      if way[1] then return compare(accepted, documented(pages.by_name[way[1]], way[3] or "", way[4]), call) end
      local shown = {}
      for _, field in ipairs(public["catalog.loop.adapter"].fields) do shown[field.name] = field.type end
      compare(accepted, shown, call)
    end)
  end

  it("are looked at for each check that there is", function()
    local known, count = ways(client), 0
    for path in shell.run "find lua -name '*.lua'":gmatch "%S+" do
      for arguments in shell.read(path):gmatch "options%.check(%b())" do
        local call = arguments:match ', "([^"]+)"'
        count = count + 1
        if call then assert.is_truthy(known[call] or NONE[call], path .. ": " .. call) end
      end
    end
    assert.is_true(count > 30)
  end)

  it("have those that stand for an id in words", function()
    local given = pages.by_name["catalog.client:dataset_id"].parameters[1]
    assert.matches("{ name = ... }", given.text, 1, true)
  end)

  it("are those of a data set's batches, but for the data set", function()
    local all, own = documented(pages.by_name["catalog.client:create_batch"], ""), documented(
      pages.by_name["catalog.dataset:create_batch"], "")
    all.dataset = nil
    assert.same(all, own)
  end)
end)
