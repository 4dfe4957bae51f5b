-- What the README and the examples say is what happens.
local catalog = require "catalog"
local core = require "catalog.core"
local program = require "support.program"
local service = require "support.service"
local shell = require "support.shell"

local function environment(url, changes)
  local variables = {
    AEP_BASE_URL = url, AEP_ORG = "ORG@AdobeOrg", AEP_API_KEY = "key", AEP_ACCESS_TOKEN = "token",
  }
  for name, value in pairs(changes or {}) do variables[name] = value end
  local parts = {}
  for name, value in pairs(variables) do parts[#parts + 1] = name .. "=" .. shell.quote(value) end
  return table.concat(parts, " ")
end

-- The fenced blocks of the README, in order: { language, text }.
local function blocks_of(text)
  local blocks, block = {}, nil
  for line in (text .. "\n"):gmatch "(.-)\n" do
    local language = line:match "^```(.*)$"
    if language and block then
      block = nil
    elseif language then
      block = { language = language, text = "" }
      blocks[#blocks + 1] = block
    elseif block then
      block.text = block.text .. line .. "\n"
    end
  end
  assert(not block, "a fence is left open")
  return blocks
end

-- Blocks that are not run here: by their first lines, why.
local ELSEWHERE <const> = {
  ["make demo"] = "installs packages; the program that it runs is run below",
  ["make test"] = "would run this",
  ["make emulator"] = "runs until Ctrl-C; below",
  ["luarocks --lua-version 5.4 make catalog-scm-1.rockspec"] = ".ci/run",
  ["mkdir -p ~/.luarocks"] = "changes what is the user's; .ci/run has the same in a file of its own",
}

-- Functions of the shell that stand for what would reach beyond the directory, and for the program that is installed.
local STAND_INS <const> = [[
repository=$PWD
make() { env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make --no-print-directory -C "$repository" "$@"; }
sudo() { "$@"; }
catalog() { %s "$repository/lua/catalog/cli/main.lua" "$@"; }
set -e
cd %s
]]

-- What a reader has who comes to a block, unless the block says it itself.
local GIVEN <const> = 'local your_wait = function() end; local catalog = require "catalog"; '

-- The README's paths are in a directory of ours.
local function moved(text, directory)
  return (text:gsub("/data", directory .. "/data"):gsub("/var/lib/x", directory):gsub("/usr/local", directory .. "/usr")
    :gsub("/var/spool/catalog", directory))
end

local function run_block(block, directory, url)
  local text = moved(block.text, directory)
  if block.language == "sh" then
    return shell.run(("export %s\n"):format(environment(url)) .. STAND_INS:format(shell.LUA, directory) .. text)
  end
  return shell.lua(GIVEN .. text .. "\nassert(not err, err)\n",
    ("cd %s && %s"):format(directory, environment(url)))
end

describe("the README", function()
  local readme = shell.read "README.md"
  local blocks = blocks_of(readme)

  it("says of each of its blocks which language it is in", function()
    assert.is_true(#blocks > 15)
    for _, block in ipairs(blocks) do
      assert.is_true(block.language == "lua" or block.language == "sh" or block.language == "text", block.text)
    end
    local prose = readme:gsub("```.-\n```", "")
    assert.is_nil(prose:find "\n    %S") -- an indented block has none
  end)

  for number, block in ipairs(blocks) do
    local first = block.text:match "^[^\n]*"
    if block.language ~= "text" and not ELSEWHERE[first] and not block.text:find("try.lua", 1, true) then
      it(("has a block %d that works: %s"):format(number, first), function()
        shell.with_directory(function(directory)
          assert(core.fs.mkdir(directory .. "/data"))
          for _, name in ipairs { "a", "b" } do shell.write(("%s/data/%s.json"):format(directory, name), '{"id":1}\n') end
          service.run({}, function(server)
            local output, status = run_block(block, directory, server.url)
            assert.equal(0, status, output)
          end)
        end)
      end)
    end
  end

  it("knows the blocks that are not run here", function()
    for first in pairs(ELSEWHERE) do
      local found = false
      for _, block in ipairs(blocks) do found = found or block.text:match "^[^\n]*" == first end
      assert.is_true(found, first)
    end
  end)

  -- As a reader does it: the emulator in one terminal; what it prints, and what the README has, in another.
  it("leads from nothing to data ingested, as pasted", function()
    local said, script, commands
    for _, block in ipairs(blocks) do
      if block.text:find "^The emulator listens" then said = block.text end
      if block.text:find("lua5.4 try.lua", 1, true) then commands = block.text end
      if block.text:find("batch:writer", 1, true) then script = block.text end
    end
    shell.with_directory(function(directory)
      local running <close> = program.start("", "lua/catalog/cli/main.lua emulator --port 0")
      local lines = {}
      for i = 1, 3 do lines[i] = running:line() end
      local port = lines[1]:match ":(%d+) "
      assert.equal(said, (table.concat(lines, "\n") .. "\n"):gsub(":" .. port, ":8080"))
      shell.write(directory .. "/try.lua", script)
      -- make is the one that runs this, and so is its build
      local output, status = shell.run(("make() { command make --no-print-directory -C %s \"$@\"; }\ncd %s\n%s\n%s\n%s"):format(
        shell.run "pwd":gsub("%s+$", ""), directory, lines[2], lines[3], commands:gsub("lua5%.4", shell.LUA)))
      assert.equal(0, status, output)
      assert.matches("success\n1003\trecords are in\n$", output)
      running:signal "INT"
      assert.equal(0, select(2, running:finish()))
    end)
  end)

  -- An option that is like none is answered with the names of all.
  it("has every option in its tables", function()
    local client, odd <const> = service.client "http://127.0.0.1:1", ("z"):rep(60)
    for title, call in pairs {
      ["Creating a batch"] = function() client:create_batch { [odd] = 1 } end,
      ["Configuration"] = function() catalog.client { [odd] = 1 } end,
      ["Records without end"] = function() client:sink { [odd] = 1 } end,
    } do
      local _, said = pcall(call)
      local section = readme:match("\n## " .. title .. "\n(.-)\n## ")
      local count = 0
      for name in said:match "the options are ([%w_, ]+)":gmatch "[%w_]+" do
        assert.matches("| [^|]*`" .. name .. "[`(][^|]* |", section)
        count = count + 1
      end
      assert.is_true(count > 10)
    end
  end)
end)

describe("the demo", function()
  it("creates a batch, ingests records, shows the bad ones and what a wrong token gives", function()
    local output, status = shell.run(shell.LUA .. " examples/demo.lua")
    assert.equal(0, status, output)
    assert.matches("created batch %w+ %(loading%)", output)
    assert.matches("looked up: batch %w+ %(loading%)", output)
    assert.matches("2 of 2 files, 742775 of 742775 bytes\n", output, 1, true)
    assert.matches("the batch is success\n4993 of 5000 records are in", output, 1, true)
    assert.equal(7, select(2, output:gsub("all.json: {\"", "")))
    assert.matches("with a wrong token: nil, .*401013", output)
  end)
end)

describe("the example create.lua", function()
  it("prints the batch", function()
    service.run({}, function(server)
      local output, status = shell.run(environment(server.url) .. " " .. shell.LUA .. " examples/create.lua " .. service.DATASET)
      assert.equal(0, status, output)
      assert.matches("^%w+\tloading\t%d+\n$", output)
    end)
  end)

  it("creates one batch, also when the answer is lost", function()
    service.run({ faults = { { match = { method = "POST" }, times = 1, action = { drop = "after" } } } }, function(server)
      local output, status = shell.run(environment(server.url) .. " " .. shell.LUA .. " examples/create.lua " .. service.DATASET)
      assert.equal(0, status, output)
      assert.matches("^%w+\tloading\t%d+\n$", output)
    end)
  end)

  it("says what is wrong", function()
    service.run({ tokens = { "another" } }, function(server)
      local output, status = shell.run(environment(server.url) .. " " .. shell.LUA .. " examples/create.lua " .. service.DATASET)
      assert.equal(1, status)
      assert.matches("401013", output, 1, true)
      assert.is_nil(output:find("traceback", 1, true))
      assert.is_nil(output:find("token=", 1, true))
    end)
    local output, status = shell.run(shell.LUA .. " examples/create.lua")
    assert.equal(2, status)
    assert.equal("usage: lua5.4 create.lua DATASET\n", output)
  end)
end)

describe("the example watch.lua", function()
  it("ingests what appears in a directory, and puts it away", function()
    shell.with_directory(function(directory)
      service.run({}, function(server)
        shell.write(directory .. "/good.json", '{"a":1}\n{"a":2}\n')
        shell.write(directory .. "/bad.json", "not json\n")
        shell.write(directory .. "/other.txt", "x")
        local output, status = shell.run(("%s %s examples/watch.lua %s d 0.1 3"):format(environment(server.url), shell.LUA,
          directory))
        assert.equal(0, status, output)
        assert.matches("good.json: 2 records in batch %w+\n", output)
        assert.matches("bad.json: the batch %w+ ended as failed", output)
        assert.equal("bad.json\ngood.json\n", (shell.run(("cd %s && ls done failed | grep json | sort"):format(directory))))
      end)
    end)
  end)

  it("does without the service's counts", function()
    shell.with_directory(function(directory)
      service.run({ faults = { { action = { leave_out = "metrics" } } } }, function(server)
        shell.write(directory .. "/good.json", '{"a":1}\n{"a":2}\n')
        local output, status = shell.run(("%s %s examples/watch.lua %s d 0 1"):format(environment(server.url), shell.LUA,
          directory))
        assert.equal(0, status, output)
        assert.matches("good.json: an unknown number of records in batch %w+\n", output)
      end)
    end)
  end)
end)

describe("the example nightly.lua", function()
  it("ingests a directory, and says when it cannot", function()
    shell.with_directory(function(directory)
      shell.write(directory .. "/a.json", '{"a":1}\n')
      shell.run(("touch -d '2 minutes ago' %s/a.json"):format(directory))
      service.run({}, function(server)
        local output, status = shell.run(("%s %s examples/nightly.lua %s d"):format(environment(server.url), shell.LUA,
          directory))
        assert.equal(0, status, output)
        assert.matches("Z 1 files, 8 bytes, batch %w+\n", output)
      end)
      shell.write(directory .. "/b.json", '{"b":1}\n')
      shell.run(("touch -d '2 minutes ago' %s/b.json"):format(directory))
      service.run({ tokens = { "another" } }, function(server)
        local output, status = shell.run(("%s %s examples/nightly.lua %s d"):format(environment(server.url), shell.LUA,
          directory))
        assert.equal(1, status)
        assert.matches("try 1: .*401013", output)
        assert.is_nil(output:find("try 2", 1, true))
      end)
    end)
  end)
end)

describe("AEP_LOG=1", function()
  it("prints each exchange, and no secret", function()
    service.run({}, function(server)
      local output = shell.run(environment(server.url, { AEP_LOG = "1", AEP_ACCESS_TOKEN = "s3cret" })
        .. " " .. shell.LUA .. " examples/create.lua " .. service.DATASET)
      assert.matches("catalog: POST " .. server.url .. "/data/foundation/import/batches 201 ", output, 1, true)
      assert.is_nil(output:find("s3cret", 1, true))
    end)
  end)
end)

describe("the page on the architecture", function()
  local page = shell.read "docs/architecture.md"

  it("names every file of the core and every folder of the Lua half", function()
    for file in shell.run("ls csrc/*.c"):gmatch "csrc/([%w_]+)%.c" do
      assert.matches("%f[%w_]" .. file .. "%f[^%w_]", page)
    end
    for folder in shell.run("ls -d lua/catalog/*/"):gmatch "catalog/(%w+/)" do
      assert.matches("%f[%w]" .. folder .. "%s", page)
    end
  end)

  it("has a glossary of fifteen words at the most", function()
    local _, rows = page:match("\n## Glossary\n(.*)"):gsub("\n| ", "")
    assert.is_true(rows - 2 <= 15 and rows > 2) -- the head and the rule below it
  end)
end)
