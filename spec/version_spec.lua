-- The version is in one place, and whatever else names it agrees.
local man = require "catalog.cli.man"
local shell = require "support.shell"
local version = require "catalog.base.version"

describe("the version", function()
  it("is one of three numbers", function() assert.matches("^%d+%.%d+%.%d+$", version) end)

  it("is that of each rock, and of its tag", function()
    local count = 0
    for path in shell.run("ls *.rockspec"):gmatch "[^\n]+" do
      if not path:find "scm" then
        local spec = {}
        assert(loadfile(path, "t", spec))()
        assert.same({ version .. "-1", "v" .. version }, { spec.version, spec.source.tag })
        assert.equal(("%s-%s-1.rockspec"):format(spec.package, version), path)
        count = count + 1
      end
    end
    assert.equal(5, count)
  end)

  it("is the last in the list of changes, with its day", function()
    assert.equal(version, shell.read("CHANGELOG.md"):match "\n## (%S+), %d%d%d%d%-%d%d%-%d%d\n")
  end)

  it("is that of Debian's packages", function()
    assert.equal(version, shell.read("debian/changelog"):match "^lua%-catalog %((.-)%)")
  end)

  it("is on the man page, and in the title of the reference", function()
    assert.equal(("catalog %s"):format(version), man.page(version):match '^%.TH CATALOG 1 "" "(.-)"')
    assert.matches("catalog " .. version, shell.read("config.ld"):match 'title = "(.-)"', 1, true)
  end)
end)
