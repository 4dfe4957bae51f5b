-- What the README and the examples say is what happens.
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
  it("leads with five lines that work", function()
    local text = assert(io.open "README.md"):read "a"
    local lines = assert(text:match '(    local catalog = require "catalog".-\n)\n')
    service.run({}, function(server)
      assert.matches("^%w+%s*$", (shell.lua(lines, environment(server.url))))
    end)
  end)

  it("names every file of the core that there is", function()
    local text = assert(io.open "README.md"):read "a"
    for file in shell.run("ls csrc/*.c"):gmatch "csrc/([%w_]+%.c)" do
      if file ~= "core.c" then assert.matches(file, text, 1, true) end
    end
  end)
end)

describe("the demo", function()
  it("creates a batch, looks it up, and shows what a wrong token gives", function()
    local output, status = shell.run(shell.LUA .. " examples/demo.lua")
    assert.equal(0, status, output)
    assert.matches("created: batch %w+ %(loading%)", output)
    assert.matches("looked up: batch %w+ %(loading%)", output)
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
