-- The tarball that is published.
local shell = require "support.shell"
local version = require "catalog.base.version"

local NAME <const> = "catalog-" .. version

local function dist(root, umask, build)
  local output, status = shell.run(("unset MAKEFLAGS MAKELEVEL MFLAGS; umask %s; make -s -C %s dist BUILD=%s"):format(
    umask, root, build))
  assert.equal(0, status, output)
  return ("%s/%s.tar.gz"):format(build, NAME)
end

describe("make dist", function()
  it("gives the same bytes again, at another time, elsewhere, of its own files", function()
    shell.with_directory(function(directory)
      local first = dist(".", "022", directory .. "/first")
      local output, status = shell.run(("umask 077; cd %s && tar -xzf %s --touch"):format(directory, first))
      assert.equal(0, status, output)
      local second = dist(("%s/%s"):format(directory, NAME), "077", directory .. "/second")
      output, status = shell.run(("cmp %s %s"):format(first, second))
      assert.same({ "", 0 }, { output, status })
    end)
  end)

  it("has what is needed to build and test, in a folder of its name, and nothing that was built", function()
    shell.with_directory(function(directory)
      local names = "\n" .. shell.run("tar -tzf " .. dist(".", "022", directory))
      for _, name in ipairs { "Makefile", "LICENSE", "lua/catalog.lua", "spec/house_spec.lua", ".ci/run" } do
        assert.matches(("\n%s/%s\n"):format(NAME, name), names, 1, true)
      end
      assert.is_nil(names:find "\n[^\n]*/build/")
      assert.is_nil(names:find "%.so\n")
      assert.is_nil(names:gsub(NAME:gsub("%p", "%%%0") .. "/", "/"):find "\n[^/\n]")
    end)
  end)
end)
