-- The rocks' specifications. That they are installed from a server, run and removed is seen to by .ci/rocks.
local shell = require "support.shell"
local version = require "catalog.base.version"

local function read(name)
  local spec = {}
  assert(loadfile(name .. ".rockspec", "t", spec))()
  return spec
end

describe("the rock", function()
  local directory

  -- As LuaRocks builds it: in a tree of its own. It does not see Debian's packages, and is told of them.
  setup(function()
    directory = shell.run("mktemp -d"):gsub("%s+$", "")
    shell.write(directory .. "/config.lua", 'rocks_provided = { ["lua-cjson"] = "2.1.0-1" }\n')
    shell.run(("tar -c --exclude=./build --exclude=./.git . | tar -x -C %s"):format(directory))
  end)

  teardown(function() shell.run("rm -rf " .. directory) end)

  -- Builds it, with a word for LuaRocks, which is to fail.
  local function fail(word)
    local output, status = shell.run(([[cd %s && env -i PATH="$PATH" HOME=%s LUAROCKS_CONFIG=%s/config.lua \
      luarocks --lua-version 5.4 --tree tree make catalog-%s-1.rockspec %s]]):format(directory, directory, directory,
      version, word))
    assert.not_equal(0, status, output)
    return output
  end

  it("takes headers from where LuaRocks is told they are", function()
    shell.run(("mkdir -p %s/lua %s/curl"):format(directory, directory))
    shell.write(directory .. "/lua/lua.h", "#error this Lua /* LUA_VERSION_NUM 504, for LuaRocks */\n")
    shell.write(directory .. "/curl/curl.h", "#error this libcurl\n")
    assert.matches("error: #error this libcurl", fail("CURL_INCDIR=" .. directory), 1, true)
    assert.matches("error: #error this Lua", fail(("LUA_INCDIR=%s/lua"):format(directory)), 1, true)
  end)

  it("says which headers are missing", function()
    assert.matches("lua.h is not found: install liblua5.4-dev (Debian) or say where it is by LUA_INCDIR=",
      fail "CFLAGS=-nostdinc", 1, true)
  end)
end)

describe("the rockspecs", function()
  local LUA <const> = "lua >= 5.4, < 5.6"
  local OWN <const> = "catalog == " .. version

  it("need no more than they do", function()
    for name, needs in pairs {
      catalog = { { LUA, "lua-cjson >= 2.1.0" }, { CURL = { library = "curl" } } },
      ["catalog-cli"] = { { LUA, OWN, "argparse >= 0.7" } },
      ["catalog-httpd"] = { { LUA, OWN }, { MICROHTTPD = { library = "microhttpd" } } },
      ["catalog-kafka"] = { { LUA, OWN }, { RDKAFKA = { library = "rdkafka" } } },
      ["catalog-emulator"] = { { LUA, OWN, "catalog-httpd == " .. version } },
    } do
      local spec = read(("%s-%s-1"):format(name, version))
      assert.same(needs, { spec.dependencies, spec.external_dependencies })
    end
  end)

  it("are all of one source, and build and install a part each", function()
    local first = read(("catalog-%s-1"):format(version))
    for name, part in pairs {
      catalog = "core", ["catalog-cli"] = "cli", ["catalog-httpd"] = "httpd", ["catalog-kafka"] = "kafka",
      ["catalog-emulator"] = "emulator",
    } do
      local spec = read(("%s-%s-1"):format(name, version))
      assert.equal(name, spec.package)
      assert.same(first.source, spec.source)
      assert.same({ "build-" .. part, "install-" .. part }, { spec.build.build_target, spec.build.install_target })
      assert.same(first.build.variables, spec.build.variables)
      assert.same(first.build.install_variables, spec.build.install_variables)
    end
  end)

  it("of what is no version yet is all that can be built of a checkout", function()
    local scm = read "catalog-scm-1"
    assert.same({ "scm-1", "main", "all" }, { scm.version, scm.source.branch, scm.build.build_target })
    assert.same({ LUA, "lua-cjson >= 2.1.0", "argparse >= 0.7" }, scm.dependencies)
    local core = read(("catalog-%s-1"):format(version)) -- no file goes to where the Makefile has them without LuaRocks
    assert.same(core.build.install_variables, scm.build.install_variables)
  end)
end)
