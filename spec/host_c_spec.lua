-- The C host of examples/host-c: a program with a poll(2) loop of its own, which has the core linked and the Lua half in
-- one file.
local emulator = require "catalog.emulator"
local rows = require "support.rows"
local service = require "support.service"
local shell = require "support.shell"
local socket = require "cqueues.socket"

local BUILD <const> = os.getenv "CATALOG_BUILD" or "build"
local BUNDLE <const> = BUILD .. "/catalog_bundle.lua"

-- As in host_spec.lua.
local SANITIZER <const> = "ASAN_OPTIONS=detect_leaks=1"
  .. " LSAN_OPTIONS=suppressions=spec/support/leaks.txt:print_suppressions=0"

-- The module is not to be found but in the bundle: of Lua's paths only that of lua-cjson is left.
local CJSON <const> = package.searchpath("cjson", package.cpath):match ".*/" .. "?.so"

local function environment(url, token)
  return ("env LUA_PATH= LUA_CPATH='%s' AEP_BASE_URL=%s AEP_ORG=ORG@AdobeOrg AEP_API_KEY=key AEP_ACCESS_TOKEN=%s %s")
    :format(CJSON, url, token or "token", SANITIZER)
end

-- The command that runs the host; a hung one is ended, and fails.
local function command(url, port, files, token)
  local words = {}
  for i, path in ipairs(files) do words[i] = shell.quote(path) end
  return ("%s timeout 120 %s/host-c %s examples/host-c/ingest.lua %d %s %s"):format(environment(url, token),
    shell.quote(BUILD), shell.quote(BUNDLE), port, service.DATASET, table.concat(words, " "))
end

local function connect(port)
  local connection = assert(socket.connect("127.0.0.1", port))
  connection:setmode("b", "bn")
  connection:settimeout(30)
  connection:onerror(function(_, _, why) return why end)
  return connection
end

local function say(connection, text)
  assert(connection:write(text))
  assert(connection:flush())
end

local function ask(connection, text)
  say(connection, text)
  return connection:read "*l"
end

-- Uploads do not come to their end before these are taken away: they are tried again, a second later.
local HELD <const> = { { match = { method = "PUT" }, action = { status = 503, headers = { ["Retry-After"] = "1" } } } }

-- Runs the host on a free port, calls `body(port, line)` with each line it prints, and gives its exit code and what it
-- said on stderr.
local function run(url, files, directory, body)
  local program = assert(io.popen(("unset LD_PRELOAD; exec %s 2>%s/stderr"):format(command(url, 0, files), directory)))
  local fine, failed = xpcall(function()
    local port = tonumber((program:read() or ""):match "^listening on 127%.0%.0%.1:(%d+)$")
    for line in program:lines() do body(port, line) end
  end, debug.traceback)
  local _, _, status = program:close() -- when it has ended
  if not fine then error(failed, 0) end
  return status, shell.read(directory .. "/stderr")
end

-- Files of rows, as a list of paths and as a table of texts.
local function make_files(directory, count)
  local texts = rows.make(directory .. "/files", count, 2)
  local paths = {}
  for name in pairs(texts) do paths[#paths + 1] = directory .. "/files/" .. name end
  table.sort(paths)
  return paths, texts
end

describe("the C host with its own poll", function()
  it("answers lines while files are uploaded, and every byte arrives", function()
    shell.with_directory(function(directory)
      local paths, texts = make_files(directory, 22)
      local server <close> = assert(emulator.start { latency_ms = 50, faults = HELD, data_dir = directory .. "/data" })
      local connections, batches, told = {}, {}, {}
      local status, errors = run(server.url, paths, directory, function(port, line)
        told[#told + 1] = line
        if #told == 1 then -- an upload has begun; each of four connections says something twice
          for i = 1, 8 do
            local place = i % 4 + 1
            connections[place] = connections[place] or connect(port)
            assert.equal(("%d line %d"):format(i, i), ask(connections[place], ("line %d\n"):format(i)))
          end
          server:set_faults {}
        end
        local name, id = line:match "/([^/]+): %d+ records are in batch (%w+), 8 lines answered$" -- and not before
        if name then batches[name] = id end
      end)
      assert.equal("", errors)
      assert.equal(0, status)
      assert.matches("bytes sent, 0 lines answered$", told[1])
      for _, connection in ipairs(connections) do
        assert.is_nil((connection:read "*l")) -- the host has closed it
        connection:close()
      end
      for name, text in pairs(texts) do
        assert.is_string(batches[name], name)
        local kept = shell.read(("%s/data/files/%s/%s"):format(directory, batches[name], name))
        assert.is_true(kept == text, name)
      end
    end)
  end)

  it("does without the service's counts", function()
    shell.with_directory(function(directory)
      local paths, said = make_files(directory, 1), {}
      local server <close> = assert(emulator.start { faults = { { action = { leave_out = "metrics" } } } })
      local status, errors = run(server.url, paths, directory, function(_, line) said[#said + 1] = line end)
      assert.equal("", errors)
      assert.equal(0, status)
      assert.matches(": an unknown number of records are in batch %w+, 0 lines answered$", said[#said])
    end)
  end)

  it("takes lines in pieces and many at a time, and ends a connection whose line has no end", function()
    shell.with_directory(function(directory)
      local paths = make_files(directory, 0)
      local server <close> = assert(emulator.start { faults = HELD })
      local begun = false
      local status, errors = run(server.url, paths, directory, function(port)
        if begun then return end
        begun = true
        local connection, endless = connect(port), connect(port)
        say(connection, "in pie")
        say(endless, ("x"):rep(2000))
        assert.is_nil((endless:read "*l"))
        assert.equal("1 in pieces", ask(connection, "ces\na\n\nb\n"))
        for _, answer in ipairs { "2 a", "3 ", "4 b" } do assert.equal(answer, connection:read "*l") end
        connection:close()
        endless:close()
        server:set_faults {}
      end)
      assert.equal("", errors)
      assert.equal(0, status)
    end)
  end)

  it("says what is wrong, and exits with 1", function()
    shell.with_directory(function(directory)
      local paths = { directory .. "/a.json", directory .. "/none.json" }
      shell.write(paths[1], '{"a":1}\n')
      local server <close> = assert(emulator.start { tokens = { "token" }, data_dir = directory .. "/data" })
      local output, status = shell.run(command(server.url, server.port, paths))
      assert.equal(("host-c: cannot listen on port %d: Address already in use\n"):format(server.port), output)
      assert.equal(1, status)

      -- one fails, the others do not suffer
      local told = {}
      local ended, errors = run(server.url, paths, directory, function(_, line) told[#told + 1] = line end)
      assert.equal(("host-c: cannot read %s: No such file or directory [data]\n"):format(paths[2]), errors)
      assert.equal(1, ended)
      assert.matches("a.json: 1 records are in batch", told[#told], 1, true)

      local second, third = directory .. "/b.json", directory .. "/c.json"
      for _, path in ipairs { second, third, directory .. "/d.json" } do shell.write(path, '{"a":1}\n') end
      output, status = shell.run(command(server.url, 0, { second }, "wrong"))
      assert.matches("^listening on [%d.:]+\nhost%-c: POST [^\n]* answered 401[^\n]*%[auth, [^\n]*401013[^\n]*%]\n$", output)
      assert.equal(1, status)

      -- nobody is there; the pauses between the tries are the host's to wait for
      output, status = shell.run(command("http://127.0.0.1:1", 0, { third, directory .. "/d.json" }))
      local failure <const> = "host%-c: POST http://127%.0%.0%.1:1/[^\n]*%(after 5 tries[^\n]*%[network%]\n"
      assert.equal(2, select(2, output:gsub(failure, "")), output)
      assert.equal(1, status)
    end)
  end)

  it("says how it is used", function()
    local output, status = shell.run(shell.quote(BUILD) .. "/host-c")
    assert.equal("usage: host-c BUNDLE SCRIPT PORT DATASET FILE...\n", output)
    assert.equal(2, status)
  end)
end)

-- Runs a script that finds nothing of the module but the bundle, and the core of the build.
local function with_bundle(script, url)
  local head = ("package.cpath = %q\npackage.path = ''\nlocal catalog = dofile %q\n"):format(BUILD .. "/?.so;"
    .. package.cpath, BUNDLE)
  return shell.lua(head .. script, environment(url or "http://127.0.0.1:1"):gsub("ASAN.*$", ""))
end

describe("the bundle", function()
  it("is all that require needs", function()
    service.run({}, function(server)
      local output, status = with_bundle([[
        assert(catalog == require "catalog")
        local batch = assert(catalog.create_batch { dataset = "5c8c3c555033b814b69f947f" })
        print(batch.status)
      ]], server.url)
      assert.equal("loading\n", output)
      assert.equal(0, status)
    end)
  end)

  it("has every part of the module but the emulator and the program", function()
    local parts = shell.run [[
      cd lua && find catalog.lua catalog -name '*.lua' | grep -v -e emulator -e cli/ -e serve/ | sed 's/.lua$//' |
        tr / . | sort]]
    assert.equal(parts, (with_bundle [[
      local names = {}
      for name in pairs(package.preload) do names[#names + 1] = name end
      table.sort(names)
      for _, name in ipairs(names) do
        if not name:find "%.loop%." then require(name) end -- those need their loop
        print(name)
      end
    ]]))
  end)

  it("tells files and lines as they are in the repository", function()
    local output = with_bundle [[
      local client = require "catalog.client.client"
      print(debug.getinfo(client.new, "S").source, debug.getinfo(client.new, "S").linedefined)
      print(select(2, pcall(catalog.client, { orgg = 1 })))
    ]]
    local source, line = output:match "^@([%w/.]+)\t(%d+)\n"
    assert.equal("catalog/client/client.lua", source)
    local at = 0
    for text in io.lines "lua/catalog/client/client.lua" do
      at = at + 1
      if text:find "^function Client.new" then break end
    end
    assert.equal(at, tonumber(line))
    assert.matches("unknown option 'orgg' for client (did you mean 'org'?)", output, 1, true)
  end)

  it("keeps text of any kind, and is not made of what does not compile", function()
    shell.with_directory(function(directory)
      local text = 'return { "]]", "]=]", [[\n\n]], "\\0\\u{10FFFF}", ... } -- ]=]'
      shell.write(directory .. "/odd.lua", text)
      local bundled = ("lua5.4 csrc/bundle.lua %s/out %s %s/odd.lua"):format(directory, directory, directory)
      assert.equal("", (shell.run(bundled)))
      local list = assert(loadfile(directory .. "/out"))()
      package.preload.odd, package.loaded.odd = nil, nil
      assert.same({ "]]", "]=]", "\n", "\0\u{10FFFF}", "odd" }, { table.unpack(list, 1, 5) })
      shell.write(directory .. "/odd.lua", "return ]")
      local output, status = shell.run(bundled)
      assert.matches("odd.lua:1: unexpected symbol", output, 1, true)
      assert.equal(1, status)
    end)
  end)
end)
