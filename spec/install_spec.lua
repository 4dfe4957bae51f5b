-- Building and installing: what the Makefile promises to people whose machine is not ours.
local catalog = require "catalog"
local shell = require "support.shell"
local version = require "catalog.base.version"

-- The specs' Lua, without what a sanitizer needs: what is built here has none.
local LUA <const> = os.getenv "LUA" or "lua5.4"

local VERSION <const> = _VERSION:match "%d+%.%d+"

-- An environment without the build tree: of Lua's paths it has that of lua-cjson alone.
local CJSON <const> = package.searchpath("cjson", package.cpath):gsub("cjson%.so$", "?.so")
local BESIDE <const> = ("LUA_CPATH=\"$LUA_CPATH;%s\"; "):format(CJSON) -- where its place is not known to Lua itself
local ALONE <const> = ("env -u LUA_PATH LUA_CPATH='%s' "):format(CJSON)

local BUILD <const> = os.getenv "CATALOG_BUILD" or "build"

-- A program that links the core, and has Lua's half as a file.
local PROGRAM <const> = [[
#include <catalog.h>
#include <lauxlib.h>
#include <lualib.h>

int main(int argc, char **argv) {
    lua_State *L = luaL_newstate();
    if (!L || argc != 2) {
        return 2;
    }
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_catalog_core);
    lua_setfield(L, -2, "catalog.core");
    if (luaL_dofile(L, argv[1])) {
        return 1;
    }
    lua_getfield(L, -1, "_VERSION");
    puts(lua_tostring(L, -1));
    lua_close(L);
    return 0;
}
]]

-- The specs' own make is none of this one's business.
local function make(words, before)
  return shell.run(("unset MAKEFLAGS MAKELEVEL MFLAGS SANITIZE; %s make -s CFLAGS=-O0 %s"):format(before or "", words))
end

local function make_well(words)
  local output, status = make(words)
  assert.equal(0, status, output)
end

-- A folder of commands that stand before the system's: each fails.
local function without(directory, ...)
  for _, name in ipairs { ... } do
    shell.run(("mkdir -p %s/bin && ln -sf /bin/false %s/bin/%s"):format(directory, directory, name))
  end
  return ("PATH=%s/bin:$PATH"):format(directory)
end

describe("the modules", function()
  local function exported(path)
    local names = {}
    for name in shell.run("nm -D --defined-only " .. path):gmatch "%x+ %u (%S+)" do
      if not name:match "^__?%l*san_" then names[#names + 1] = name end -- a sanitizer's
    end
    return names
  end

  it("export what Lua opens them by, and nothing else", function()
    assert.same({ "luaopen_catalog_core" }, exported(BUILD .. "/catalog/core.so"))
    assert.same({ "luaopen_catalog_httpd" }, exported(BUILD .. "/catalog/httpd.so"))
    assert.same({ "luaopen_catalog_kafka" }, exported(BUILD .. "/catalog/kafka.so"))
  end)

  it("leave a program that links the core the function of catalog.h, in a library of its own too", function()
    shell.with_directory(function(directory)
      local output, status = shell.run(("cc -shared -o %s/own.so -Wl,--whole-archive %s/libcatalog.a"
        .. " -Wl,--no-whole-archive"):format(directory, BUILD))
      assert.equal(0, status, output)
      assert.same({ "luaopen_catalog_core" }, exported(directory .. "/own.so"))
    end)
  end)
end)

describe("make", function()
  it("builds in a folder elsewhere, and cleans that one only", function()
    shell.with_directory(function(directory)
      local output, status = make(("all bundle BUILD=%s/build"):format(directory))
      assert.equal(0, status, output)
      local environment = make(("env BUILD=%s/build"):format(directory))
      local found = shell.run(environment .. BESIDE .. ([[cd /
        %s -e 'require "catalog" print(package.searchpath("catalog.core", package.cpath))']]):format(LUA))
      assert.equal(directory .. "/build/catalog/core.so\n", found)

      shell.write(directory .. "/mine", "kept")
      output, status = make(("clean BUILD=%s/build"):format(directory))
      assert.equal(0, status, output)
      assert.equal("mine\n", (shell.run("ls " .. directory)))
      assert.equal("core.so\n", (shell.run(("cd %s/catalog && ls core.so"):format(shell.quote(BUILD)))))
    end)
  end)

  it("installs a program that finds its own module, wherever it is, and its man page", function()
    shell.with_directory(function(directory)
      local output, status = make(("install PREFIX=%s/usr BUILD='%s'"):format(directory, BUILD))
      assert.equal(0, status, output)
      local alone = "cd / && " .. shell.PRELOAD .. ALONE
      local told = { shell.run(("%s %s/usr/bin/catalog --version"):format(alone, directory)) }
      assert.same({ catalog._VERSION .. "\n", 0 }, told)
      local first = shell.read(directory .. "/usr/bin/catalog"):match "[^\n]*"
      assert.equal("#!" .. (LUA:find "/" and "" or "/usr/bin/env ") .. LUA, first)
      shell.run(("sed -i 's/^return .*/return \"9.9.9\"/' %s/usr/share/lua/%s/catalog/base/version.lua"):format(
        directory, VERSION))
      local beside = ("cd %s/usr/bin && %s./catalog"):format(directory, shell.PRELOAD .. ALONE)
      assert.equal("catalog 9.9.9\n", (shell.run(beside .. " --version")))
      assert.matches("^%.TH CATALOG 1 ", shell.read(directory .. "/usr/share/man/man1/catalog.1"))
      shell.run(("rm -r %s/usr/share/lua"):format(directory))
      output, status = shell.run(("%s %s/usr/bin/catalog --version"):format(alone, directory))
      assert.equal(1, status)
      assert.matches("^catalog: module 'catalog.cli.program' not found", output)
      assert.is_nil(output:find("traceback", 1, true))
    end)
  end)

  local function files_in(directory)
    local files = {}
    for path in shell.run(("cd %s && find . ! -type d | sort"):format(directory)):gmatch "[^\n]+" do
      files[#files + 1] = path
    end
    return files
  end

  it("installs in parts that have no file in common, and together all", function()
    shell.with_directory(function(directory)
      for _, part in ipairs { "core", "cli", "httpd", "kafka", "emulator" } do
        make_well(("install-%s PREFIX=/usr DESTDIR=%s/%s BUILD='%s'"):format(part, directory, part, BUILD))
      end
      local all_parts = "cd %s && for part in *; do (cd $part && find . ! -type d); done | sort"
      local lists = shell.run(all_parts:format(directory))
      make_well(("install PREFIX=/usr DESTDIR=%s/all BUILD='%s'"):format(directory, BUILD))
      assert.equal(lists, table.concat(files_in(directory .. "/all"), "\n") .. "\n")
      local lua = ("./usr/lib/lua/%s/catalog/"):format(VERSION)
      assert.same({ { lua .. "httpd.so" }, { lua .. "kafka.so" } }, { files_in(directory .. "/httpd"),
        files_in(directory .. "/kafka") })
      for _, path in ipairs { "bin/catalog", "share/man/man1/catalog.1", "share/bash-completion/completions/catalog",
        "share/zsh/site-functions/_catalog" } do
        assert.is_true(#shell.read(("%s/cli/usr/%s"):format(directory, path)) > 0)
      end
    end)
  end)

  it("uninstalls what it has installed, and leaves what is others'", function()
    shell.with_directory(function(directory)
      shell.run(("mkdir -p %s/usr/share/lua/%s"):format(directory, VERSION))
      shell.write(("%s/usr/share/lua/%s/other.lua"):format(directory, VERSION), "")
      local where = ("PREFIX=/usr DESTDIR=%s BUILD='%s'"):format(directory, BUILD)
      make_well("install install-dev " .. where)
      make_well("uninstall " .. where)
      assert.same({ ("./usr/share/lua/%s/other.lua"):format(VERSION) }, files_in(directory))
      assert.equal("", (shell.run(("find %s -name 'catalog*'"):format(directory))))
    end)
  end)

  it("installs a program that says which parts are not there", function()
    shell.with_directory(function(directory)
      make_well(("install-core install-cli PREFIX=%s BUILD='%s'"):format(directory, BUILD))
      local function assert_says(words, what, part)
        local said = shell.run(("cd / && %s AEP_ORG=o AEP_API_KEY=k AEP_ACCESS_TOKEN=t %s%s/bin/catalog %s"):format(
          ALONE, shell.PRELOAD, directory, words))
        local all = "%s: install catalog-%s (LuaRocks) or lua-catalog-%s (Debian)"
        assert.matches(all:format(what, part, part), said, 1, true)
      end
      assert_says("emulator", "the emulator is not there", "emulator")
      assert_says(("serve --dataset d --spool %s/spool --listen 127.0.0.1:0"):format(directory),
        "serve needs catalog.httpd", "httpd")
      assert_says("drain --brokers 127.0.0.1:1 --topic t --group g --dataset d",
        "reading from Kafka needs catalog.kafka", "kafka")
    end)
  end)

  it("installs the core for C programs, which pkg-config finds", function()
    shell.with_directory(function(directory)
      make_well(("install-dev PREFIX=%s/usr BUILD=%s/build"):format(directory, directory))
      local function config(words)
        local command = "PKG_CONFIG_PATH=\"%s/usr/lib/pkgconfig:$PKG_CONFIG_PATH\" pkg-config %s catalog"
        return shell.run(command:format(directory, words)):gsub("%s+$", "")
      end
      assert.equal(version, (config "--modversion"))
      local bundle = config "--variable=bundle"
      assert.equal(directory .. "/usr/share/catalog/catalog_bundle.lua", bundle)
      shell.write(directory .. "/program.c", PROGRAM)
      local output, status = shell.run(("cd %s && cc -Wall -Werror -o program program.c %s -Wl,-E"):format(directory,
        (config "--cflags --libs")))
      assert.equal(0, status, output)
      assert.equal(catalog._VERSION .. "\n", (shell.run(("cd / && %s %s/program %s"):format(ALONE, directory, bundle))))
    end)
  end)

  it("installs a program that is run by the Lua which was named", function()
    shell.with_directory(function(directory)
      local interpreter = shell.run("command -v " .. LUA):gsub("%s", "")
      shell.run(("ln -s %s %s/own-lua"):format(interpreter, directory))
      make_well(("install PREFIX=%s/usr BUILD='%s' LUA=%s/own-lua"):format(directory, BUILD, directory))
      assert.equal(("#!%s/own-lua"):format(directory), shell.read(directory .. "/usr/bin/catalog"):match "[^\n]*")
      assert.same({ catalog._VERSION .. "\n", 0 }, { shell.run(("cd / && %s%s%s/usr/bin/catalog --version"):format(ALONE,
        shell.PRELOAD, directory)) })
    end)
  end)

  it("puts the program of the build tree on the shell's path", function()
    local output, status = shell.run(("eval \"$(%s make -s env BUILD='%s')\"; cd /; %s%scatalog --version"):format(
      "env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS", BUILD, BESIDE, shell.PRELOAD))
    assert.same({ catalog._VERSION .. "\n", 0 }, { output, status })
  end)

  it("finds headers without pkg-config where it is told", function()
    shell.with_directory(function(directory)
      local no_pkg_config = without(directory, "pkg-config")
      local output, status = make(("all BUILD=%s/build LUA_INCDIR=/usr/include/lua5.4"):format(directory),
        no_pkg_config)
      assert.equal(0, status, output)
      local built = shell.run(("find %s/build -name '*.so' -printf '%%f\n' | sort"):format(directory))
      assert.equal("core.so\nhttpd.so\nkafka.so\n", built)
    end)
  end)

  it("builds without the libraries that are not there", function()
    shell.with_directory(function(directory)
      shell.run(("mkdir -p %s/none/librdkafka"):format(directory))
      for _, header in ipairs { "microhttpd.h", "zlib.h", "zstd.h", "librdkafka/rdkafka.h" } do
        shell.write(("%s/none/%s"):format(directory, header), "#error there is none\n")
      end
      local words = "all BUILD=%s/build LUA_INCDIR=/usr/include/lua5.4 CPPFLAGS=-I%s/none"
      local output, status = make(words:format(directory, directory), without(directory, "pkg-config"))
      assert.equal(0, status, output)
      assert.equal("core.so\n", (shell.run(("find %s/build -name '*.so' -printf '%%f\n'"):format(directory))))
    end)
  end)

  it("builds the server without the codings whose libraries are not there", function()
    shell.with_directory(function(directory)
      local output, status = make(("build-httpd BUILD=%s/build ZLIB_LIB= ZSTD_LIB="):format(directory))
      assert.equal(0, status, output)
      local codings = shell.run(("LUA_CPATH='%s/build/?.so' %s -e 'print(#require(\"catalog.httpd\").codings)'"):format(
        directory, LUA))
      assert.equal("0\n", codings)
    end)
  end)

  it("takes the headers of libcurl from CURL_INCDIR", function()
    shell.with_directory(function(directory)
      shell.run(("mkdir -p %s/curl"):format(directory))
      shell.write(directory .. "/curl/curl.h", "#include_next <curl/curl.h>\n#warning this one\n")
      local words = "%s/build/obj/core.o BUILD=%s/build CURL_INCDIR=%s WERROR=-Werror"
      local output, status = make(words:format(directory, directory, directory))
      assert.equal(2, status, output)
      assert.matches(directory .. "/curl/curl.h:2:2: error: #warning this one", output, 1, true)
    end)
  end)

  it("takes warnings for errors in a checkout alone: a later compiler's end nobody else's build", function()
    shell.with_directory(function(directory)
      shell.run(("mkdir -p %s/curl && tar -c --exclude=./build --exclude=./.git . | tar -x -C %s"):format(directory,
        directory))
      shell.write(directory .. "/curl/curl.h", "#include_next <curl/curl.h>\n#warning this one\n")
      local words = ("-C %s build/obj/core.o BUILD=build CURL_INCDIR=%s"):format(directory, directory)
      local output, status = make(words)
      assert.equal(0, status, output)
      shell.run(("mkdir %s/.git && rm -r %s/build"):format(directory, directory))
      output, status = make(words)
      assert.equal(2, status)
      assert.matches("error: #warning this one", output, 1, true)
    end)
  end)

  it("says which header is missing, and what brings it", function()
    shell.with_directory(function(directory)
      for _, case in ipairs {
        { "LUA_INC=-I/nowhere", "lua.h", "liblua5.4-dev", "LUA_INCDIR" },
        { "CURL_INC=-nostdinc", "curl/curl.h", "libcurl4-openssl-dev", "CURL_INCDIR" },
      } do
        local output, status = make(("all BUILD=%s/build %s"):format(directory, case[1]))
        assert.equal(2, status, output)
        local said = "%s is not found: install %s (Debian) or say where it is by %s="
        assert.matches(said:format(case[2], case[3], case[4]), output, 1, true)
      end
    end)
  end)
end)

describe("the installation of packages", function()
  local MISSING <const> = "no-such-package another-one"

  it("is quiet where nothing is missing", function()
    assert.same({ "", 0 }, { shell.run ".ci/deps libc6" })
  end)

  it("says what is missing, and the command, to who is not root", function()
    shell.with_directory(function(directory)
      shell.run("chmod 755 " .. directory)
      local as = shell.run "id -u" == "0\n" and "setpriv --reuid 65534 --clear-groups " or ""
      local output, status = shell.run(("cp .ci/deps %s && cd / && %s %s%s/deps libc6 %s"):format(directory,
        without(directory, "sudo"), as, directory, MISSING))
      assert.equal(1, status)
      assert.equal("These packages are missing, and only root can install them:\n  no-such-package another-one\n"
        .. "As root:\n  apt-get update && apt-get install --no-install-recommends no-such-package another-one\n",
        output)
    end)
  end)
end)
