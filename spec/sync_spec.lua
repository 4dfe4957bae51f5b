-- What was written is brought onto the disk.
local core = require "catalog.core"
local durable = require "catalog.query.durable"
local shell = require "support.shell"

describe("a sync", function()
  it("takes open files, and paths of files and directories", function()
    shell.with_directory(function(directory)
      local file <close> = assert(io.open(directory .. "/a", "wb"))
      assert(file:write "x")
      assert.is_true(durable({ file, directory .. "/a", directory }, "all"))
    end)
  end)

  it("says what it cannot take", function()
    local job, err = core.sync.start { "/nobody/at/home" }
    assert.same({ nil, "data" }, { job, err.kind })
    assert.matches("cannot write /nobody/at/home: No such file", err.message, 1, true)
    local closed = assert(io.open "README.md")
    closed:close()
    for _, list in ipairs { {}, { closed }, { {} }, { true } } do assert.is_false((pcall(core.sync.start, list))) end
    local one <close> = assert(core.sync.start { "README.md" })
    one:close()
    assert.is_false((pcall(one.result, one)))
    assert.is_false((pcall(one.fd, one)))
  end)

  it("is not waited for when it is dropped", function()
    for _ = 1, 100 do assert(core.sync.start { "README.md", "." }) end
    collectgarbage()
    assert.is_true(durable({ "README.md" }, "it"))
  end)
end)
