-- What the README and the guide say is what happens: every block of theirs is run, and prints what they show.
local catalog = require "catalog"
local emulator = require "catalog.emulator"
local guide = require "support.guide"
local kafka = require "support.kafka"
local pages = require "support.pages"
local ports = require "support.ports"
local service = require "support.service"
local shell = require "support.shell"

-- Blocks that are not run here, by their first lines: why. Their grammar is checked.
local ELSEWHERE <const> = {
  ["luarocks --lua-version 5.4 install catalog-cli"] = "spec/rock_spec.lua, .ci/rocks: from a server of this machine",
  ["luarocks --lua-version 5.4 install catalog-cli                                    # LuaRocks"] =
    "the same, and .ci/deb",
  ["luarocks --lua-version 5.4 make catalog-scm-1.rockspec"] = ".ci/run",
  ["sudo apt install ./build/deb/lua-catalog_*.deb ./build/deb/lua-catalog-cli_*.deb"] = ".ci/deb",
  ["psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --set FETCH_COUNT=10000 \\"] =
    "needs a server of PostgreSQL",
  ["export PORT=8082 SCRIPTS=$PWD/examples/haproxy DATASET=5c8c3c555033b814b69f947f SPOOL=/var/spool/catalog/events"] =
    "needs HAProxy 3: spec/haproxy_spec.lua",
  ["make demo"] = "installs packages; the program that it runs is run by spec/readme_spec.lua",
  ["make demo   # installs what is missing, builds, ingests records into a local emulator"] =
    "the same, and would run this",
  ["make test"] = "would run this",
  ["catalog group status --brokers kafka1:9092 --topic events --group catalog"] =
    "the cluster that librdkafka plays cannot tell of groups: spec/drain_kafka_spec.lua",
}

-- What is asked of a block that is not run, by its language: a command that takes it as a file.
local GRAMMAR <const> = {
  sh = "sh -n", lua = "luac5.4 -p", ini = "grep -q '^\\['",
}

local IS_RUN <const> = { sh = true, bash = true, lua = true }

-- Whether a block is run: not a file for others, nor one that cannot be.
local function is_elsewhere(block) return ELSEWHERE[block.first] ~= nil end

local function is_run(block) return IS_RUN[block.language] and not block.file and not is_elsewhere(block) end

local function is_of_guide(path) return path == "README.md" or path:find "^docs/guide/" ~= nil end

-- The pages whose blocks are run.
local function guided()
  local list = {}
  for _, path in ipairs(pages.list()) do
    if is_of_guide(path) then list[#list + 1] = path end
  end
  return list
end

-- Each block of text is what the one before it has printed, or the beginning where that goes on beside.
local function differences(run)
  local list = {}
  for number, block in ipairs(run.blocks) do
    local output = block.language == "text" and run:output(number - 1)
    local shown = output and block.text .. (run.blocks[number - 1].beside and "...\n" or "")
    if output and not guide.matches(output, shown) then
      list[#list + 1] = ("line %d shows\n%s\nand it is\n%s"):format(block.line, block.text, output)
    end
  end
  return list
end

describe("the guide", function()
  local runs, broker = {}, nil

  setup(function()
    broker = kafka.start(2, true)
    for _, path in ipairs(guided()) do
      runs[path] = guide.start(path, is_elsewhere, {
        ["8080"] = tostring(ports.free()), ["kafka1:9092"] = broker.brokers,
      })
    end
  end)

  teardown(function()
    for _, run in pairs(runs) do run:close() end
    broker:stop()
  end)

  for _, path in ipairs(guided()) do
    it("runs as it stands, and prints what it shows: " .. path, function()
      local status, said = runs[path]:finish()
      assert.equal(0, status, said)
      assert.same({}, differences(runs[path]))
    end)
  end

  it("says of each block which language it is in, and shows as text what a block has printed", function()
    for _, path in ipairs(guided()) do
      local text = shell.read(path)
      local blocks = pages.blocks(text)
      for number, block in ipairs(blocks) do
        local place = ("%s:%d"):format(path, block.line)
        assert.is_true(block.language == "text" or IS_RUN[block.language] or GRAMMAR[block.language] ~= nil, place)
        local shows = block.language ~= "text" or number > 1 and is_run(blocks[number - 1])
        assert.is_truthy(shows, place .. " shows what nothing has printed")
      end
      assert.is_nil(pages.prose(text):find "\n\n    %S", path) -- an indented block has none
    end
  end)

  it("has files that are read, or run, by a block behind them", function()
    for _, path in ipairs(guided()) do
      local blocks = pages.blocks(shell.read(path))
      for number, block in ipairs(blocks) do
        local found = not block.file
        for later = number + 1, #blocks do found = found or blocks[later].text:find(block.file, 1, true) ~= nil end
        assert.is_true(found, ("%s:%d"):format(path, block.line))
      end
    end
  end)

  it("has the grammar of its language where a block is not run", function()
    shell.with_directory(function(directory)
      local known = {}
      for _, path in ipairs(guided()) do
        for _, block in ipairs(pages.blocks(shell.read(path))) do
          known[block.first] = true
          if block.language ~= "text" and not is_run(block) then
            shell.write(directory .. "/block", block.text)
            local said, status = shell.run(("%s %s/block"):format(GRAMMAR[block.language], directory))
            assert.equal(0, status, ("%s:%d: %s"):format(path, block.line, said))
          end
        end
      end
      for first in pairs(ELSEWHERE) do assert.is_true(known[first], first) end
    end)
  end)
end)

describe("the tables of the guide", function()
  -- An option that is like none is answered with the names of all.
  it("have every option", function()
    local client, odd <const> = service.client "http://127.0.0.1:1", ("z"):rep(60)
    for title, call in pairs {
      ["first-batch.md: A batch in Lua"] = function() client:create_batch { [odd] = 1 } end,
      ["first-batch.md: Configuration"] = function() catalog.client { [odd] = 1 } end,
      ["files.md: Files"] = function() client:ingest { [odd] = 1 } end,
      ["records-and-sinks.md: Options"] = function() client:sink { [odd] = 1 } end,
      ["kafka-and-scale.md: From Kafka"] = function() client:drain { [odd] = 1 } end,
      ["emulator.md: In a test"] = function() emulator.start { [odd] = 1 } end,
    } do
      local path, heading = title:match "^(.-): (.*)$"
      local section = (shell.read("docs/guide/" .. path) .. "\n## "):match("\n?#+ " .. heading .. "\n(.-)\n## ")
      -- ingest takes those of create_batch, whose table it names
      local more = path == "files.md" and shell.read "docs/guide/first-batch.md" or ""
      local count = 0
      for name in select(2, pcall(call)):match "the options are ([%w_, ]+)":gmatch "[%w_]+" do
        assert.matches("| [^|]*`" .. name .. "[`({][^|]* |", section .. more)
        count = count + 1
      end
      assert.is_true(count > 10)
    end
  end)
end)

describe("the pages", function()
  it("have links that lead somewhere", function()
    local anchors, broken = {}, {}
    for _, path in ipairs(pages.list()) do anchors[path] = pages.anchors(shell.read(path)) end
    for _, path in ipairs(pages.list()) do
      for _, target in ipairs(pages.links(shell.read(path))) do
        local file, anchor = target:match "^([^#]*)#?(.*)$"
        if not target:find "^%a+:" then
          local place = file == "" and path or (path:match "^.*/" or "") .. file
          repeat
            local count
            place, count = place:gsub("[^/]+/%.%./", "", 1)
          until count == 0
          local is_there = io.open(place)
          if is_there then is_there:close() end
          if not is_there or anchor ~= "" and not (anchors[place] or {})[anchor] then
            broken[#broken + 1] = ("%s: %s"):format(path, target)
          end
        end
      end
    end
    assert.same({}, broken)
  end)

  it("name specs that are there", function()
    for _, path in ipairs(pages.list()) do
      for name in shell.read(path):gmatch "`(spec/[%w_/]+%.lua)`" do assert.is_truthy(io.open(name), name) end
    end
  end)
end)

describe("the page on troubleshooting", function()
  local page = shell.read "docs/guide/troubleshooting.md"

  -- All that a pattern finds in the sources, once each.
  local function found(files, ...)
    local set, list = {}, {}
    for path in shell.run("ls " .. files):gmatch "[^\n]+" do
      local text = shell.read(path)
      for _, pattern in ipairs { ... } do
        for word in text:gmatch(pattern) do set[word] = true end
      end
    end
    for word in pairs(set) do list[#list + 1] = word end
    table.sort(list)
    return list
  end

  local LUA <const> = "lua/catalog.lua lua/catalog/*.lua lua/catalog/*/*.lua"
  local C <const> = "csrc/*.c csrc/*/*.c"

  it("has an entry for each kind of error", function()
    local kinds = found(LUA .. " " .. C, 'failure%(%s*"(%l+)",', 'failure%.new%s*{%s*kind = "(%l+)"',
      'cat_failure%(%s*L, "(%l+)"', '%.kind = "(%l+)"', 'cat_failure%([^;]-none_left %? "(%l+)"')
    assert.is_true(#kinds >= 12, table.concat(kinds, " "))
    for _, kind in ipairs(kinds) do
      assert.is_truthy(page:find("\n### " .. kind .. "\n", 1, true), kind)
    end
  end)

  it("has an entry for each code that an error has from this module", function()
    local codes = found(LUA, 'err%.code[%w_., ]* = "([%w_]+)"', '%["(%d%d%d%d%d%d)"%] = "', 'code [=~]= "([%w_]+)"',
      'code = "([%w-]+)"', '"(INGEST%-%d+%-%d+)"')
    local set <const> = '[^;\n]*%);%s*lua_setfield%(L, %-2, "code"%)' -- behind what is pushed
    for _, code in ipairs(found(C, '"([%l_]+)"' .. set, '%? "([%l_]+)" : ' .. set)) do codes[#codes + 1] = code end
    assert.is_true(#codes >= 14, table.concat(codes, " "))
    for _, code in ipairs(codes) do assert.is_truthy(page:find("| `" .. code .. "` |", 1, true), code) end
  end)

  it("has each state of a batch, and each word of a check", function()
    for _, state in ipairs(found("lua/catalog/batch/states.lua", "(%l+) = true")) do
      assert.is_truthy(page:find("`" .. state .. "`", 1, true), state)
    end
    for _, word in ipairs(found("lua/catalog/query/*.lua", 'problem = "(%l+)"')) do
      assert.is_truthy(page:find("`" .. word .. "`", 1, true), word)
    end
  end)
end)
