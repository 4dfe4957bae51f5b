-- The README as a whole, and the examples; what it and the guide have in blocks is run by guide_spec.
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

describe("the README", function()
  local readme = shell.read "README.md"

  it("is read in a minute", function()
    assert.is_true(select(2, readme:gsub("\n", "")) <= 130)
    assert.is_true(select(2, readme:gsub("%S+", "")) <= 900)
  end)

  it("has the guarantee of a sink in its words", function()
    assert.matches("Each synced record ends in exactly one of a successful batch, `rejected`, `failed` or `unknown`, whatever"
      .. " happens to the process, the network or the service, as long as the spool's disk survives and the service's"
      .. " COMPLETE excludes its ABORT. What was not synced is absent or there once, and `synced` says which. Repetitions of"
      .. " a source without positions are not seen.", readme:gsub("%s+", " "), 1, true)
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
