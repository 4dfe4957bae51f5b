-- Files on this machine, as the core opens them.
local core = require "catalog.core"
local shell = require "support.shell"

describe("a file", function()
  it("of more than 4 GB has its size, and a fingerprint that tells its end", function()
    shell.with_directory(function(directory)
      local path, sums = directory .. "/large", {}
      for i, last in ipairs { "a", "b" } do
        shell.run(("truncate -s 5G %s && printf %s >>%s && touch -d @0 %s"):format(path, last, path, path))
        local bytes, fingerprint = assert(core.file.look(path, true))
        assert.equal(5 * 1024 ^ 3 + 1, bytes)
        sums[i] = fingerprint
      end
      assert.not_equal(sums[1], sums[2])
    end)
  end)

  it("shows how it begins", function()
    shell.with_directory(function(directory)
      local path, long = directory .. "/a", ("0123456789"):rep(100)
      for text, beginning in pairs { [""] = "", ["a\0b"] = "a\0b", [long] = long:sub(1, 512) } do
        shell.write(path, text)
        local bytes, fingerprint, begins = core.file.look(path, false, true)
        assert.same({ #text, nil, beginning }, { bytes, fingerprint, begins })
        assert.is_nil((select(3, core.file.look(path, true))))
        assert.is_string((select(2, core.file.look(path, true, true))))
      end
    end)
  end)

  it("that is small is read as a whole", function()
    shell.with_directory(function(directory)
      local path, long = directory .. "/a", ("0123456789"):rep(1000)
      for _, text in ipairs { "", "a\0b", long } do
        shell.write(path, text)
        assert.equal(text, core.file.read(path, #long))
      end
      assert.is_truthy(core.file.read("/proc/self/status", 65536)) -- that has no size
      local text, err = core.file.read(path, #long - 1)
      assert.is_nil(text)
      assert.equal("config", err.kind)
      assert.equal(path .. ": it is larger than 9999 bytes", err.message)
    end)
  end)

  it("that may not be read is an error that says why", function()
    shell.with_directory(function(directory)
      os.execute("chmod 755 " .. directory)
      shell.write(directory .. "/secret", "x")
      shell.write(directory .. "/script.lua", [[
        local file, err = require("catalog.core").file.open(arg[1])
        print(file, err.kind, err.message)
      ]])
      os.execute("chmod 000 " .. directory .. "/secret")
      -- root may read everything: it tries as nobody, and with copies nobody may read
      local as = shell.run "id -u" == "0\n" and "setpriv --reuid 65534 --clear-groups " or ""
      local build = os.getenv "CATALOG_BUILD"
      shell.run(("mkdir %s/catalog && cp %s/catalog/core.so %s/catalog && chmod 755 %s/catalog"):format(directory, build,
        directory, directory))
      local output = shell.run(("LUA_CPATH='%s/?.so;%s' %senv %s %s/script.lua %s/secret"):format(directory, package.cpath,
        as, shell.LUA, directory, directory))
      assert.equal(("nil\tdata\tcannot read %s/secret: Permission denied\n"):format(directory), output)
    end)
  end)
end)
