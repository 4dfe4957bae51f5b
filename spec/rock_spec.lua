-- The rock, from the packing of a tag to a stranger who installs it from a server.
local shell = require "support.shell"

-- A stranger has none of our variables. LuaRocks does not see Debian's packages of Lua modules, and is told of them.
local STRANGER <const> = "cd %s && env -i PATH=\"$PATH\" HOME=%s LUAROCKS_CONFIG=%s/config.lua"
local CONFIG <const> = [[
rocks_provided = { ["lua-cjson"] = "2.1.0-1", argparse = "0.7.1-1" }
]]

local PUBLISH <const> = [[set -e
mkdir -p %s/catalog %s/server
tar -c --exclude=./build --exclude=./.git . | tar -x -C %s/catalog
cd %s/catalog
git init -q && git add -A
git -c user.name=spec -c user.email=spec@example.org -c commit.gpgsign=false commit -q -m "As it is"
git tag v1.0.0]]

local SERVER <const> = [[
import functools, http.server
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="server")
with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
]]

describe("the rock", function()
  local directory, server, pid

  local function run(command)
    local output, status = shell.run(STRANGER:gsub("%%s", directory) .. " " .. command)
    assert.equal(0, status, output)
    return output
  end

  setup(function()
    directory = shell.run("mktemp -d"):gsub("%s+$", "")
    shell.write(directory .. "/config.lua", CONFIG)
    local said, status = shell.run((PUBLISH:gsub("%%s", directory)))
    assert.equal(0, status, said)
    run "make -s -C catalog rock"
    run "mv catalog/build/catalog-1.0.0-1.src.rock server"
    run "luarocks-admin --lua-version 5.4 make_manifest server"
    shell.write(directory .. "/server.py", SERVER)
    server = assert(io.popen(("unset LD_PRELOAD; cd %s && echo $$ && exec python3 server.py 2>log"):format(directory)))
    pid = server:read "*l"
  end)

  teardown(function()
    if server then
      shell.run("kill " .. pid)
      server:close()
    end
    shell.run("rm -rf " .. directory)
  end)

  it("is installed from a server by a stranger, with its program and the emulator", function()
    run(("luarocks --lua-version 5.4 --tree %s/tree install --only-server=http://127.0.0.1:%s catalog"):format(directory,
      server:read "*l"))
    assert.matches('"GET /catalog%-1%.0%.0%-1%.src%.rock HTTP/1%.%d" 200', shell.read(directory .. "/log"))
    local use = 'eval "$(luarocks --lua-version 5.4 --tree %s/tree path --bin)"; cd /; '
    local output = run(("sh -c '%s'"):format(use:format(directory) .. [[
      catalog --help | head -n 1
      lua5.4 -e "local server <close> = require(\"catalog.emulator\").start {}
        print(package.searchpath(\"catalog\", package.path))
        local catalog = require \"catalog\"
        local client = catalog.client { base_url = server.url, org = \"o\", api_key = \"k\", token = \"t\" }
        print(client:create_batch { dataset = \"d\" }.status)"]]))
    local found = directory:gsub("%p", "%%%0") .. "/tree/share/lua/5.4/catalog.lua"
    assert.matches("^Usage: catalog .-\n" .. found .. "\nloading\n$", output)
  end)

  -- Builds it again, with a word for LuaRocks, which is to fail.
  local function fail(word)
    local output, status = shell.run((STRANGER:gsub("%%s", directory)) .. (" luarocks --lua-version 5.4 --tree %s/other build"
      .. " server/catalog-1.0.0-1.src.rock %s"):format(directory, word))
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
  local function read(name)
    local spec = {}
    assert(loadfile(("catalog-%s.rockspec"):format(name), "t", spec))()
    return spec
  end

  it("of the version and of what is not one yet differ in where the source is only", function()
    local version, scm = read "1.0.0-1", read "scm-1"
    assert.same({ "1.0.0-1", "v1.0.0" }, { version.version, version.source.tag })
    assert.same({ "scm-1", "main" }, { scm.version, scm.source.branch })
    assert.equal(version.source.url, scm.source.url)
    for _, spec in ipairs { version, scm } do spec.version, spec.source = nil, nil end
    assert.same(version, scm)
  end)
end)
