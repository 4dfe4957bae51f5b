-- The examples that ingest what lies in a directory, in disorder: every file is ingested once, and none is lost.
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local hurry = require "support.hurry"
local least = require "support.least"
local program = require "support.program"
local shell = require "support.shell"

local function with_server(options, body)
  shell.with_directory(function(directory)
    options.data_dir, options.log = directory .. "/data", directory .. "/log"
    local server <close> = assert(emulator.start(options))
    assert(core.fs.mkdir(directory .. "/in"))
    body(directory .. "/in", server, directory)
  end)
end

-- Writes a file that has settled long ago.
local function settle(path, text)
  shell.write(path, text)
  shell.run(("touch -d '1 hour ago' %s"):format(shell.quote(path)))
end

-- How many requests the emulator has answered whose line in its log has this in it.
local function count(directory, what)
  local number = 0
  for line in shell.run(("cat %s/log 2>/dev/null"):format(directory)):gmatch "[^\n]+" do
    if line:find(what) then number = number + 1 end
  end
  return number
end

local CREATED <const>, COMPLETED <const> = "^POST /data/foundation/import/batches %- 201", "%?action=COMPLETE %- 200"

local function wait_for(condition)
  for _ = 1, 400 do
    if condition() then return end
    shell.run "sleep 0.05"
  end
  error "it has not come"
end

-- The files below a directory, as lines; ids of batches are ID.
local function tree(path)
  local list = shell.run(("cd %s && find . -type f ! -name '.*' | sort"):format(path))
  return (list:gsub("(%./done/)%w+/", "%1ID/"):gsub("(%./failed/)%w+/", "%1ID/"))
end

-- The files of done, or what else, as lines, without ids.
local function names_in(path, where)
  return (shell.run(("cd %s/%s 2>/dev/null && find . -type f -name '*.json*' ! -name '*.journal' | sort"):format(path, where))
    :gsub("%./", ""))
end

-- Ends a running program by kill -9.
local function kill(running)
  running:signal "KILL"
  return running:finish()
end

-- A program that is given a directory, as words of a command, and whether it ends by itself.
local NIGHTLY <const> = "examples/nightly.lua %s d"
local WATCHING <const> = {
  ["watch.lua"] = "examples/watch.lua %s d 0.2",
  ["watch_luv.lua"] = "examples/watch_luv.lua %s d 0.2",
}

describe("the example nightly.lua", function()
  local function run(server, path, more, before)
    local running <close> = program.start(server.url, NIGHTLY:format(path) .. (more or ""), before)
    return running:finish()
  end

  it("goes on with what a kill has left, as one batch", function()
    for _, options in ipairs {
      { faults = { { match = { method = "PUT" }, times = 1, action = { delay_ms = 1000 } } } },
      { faults = { { match = { path = "action=COMPLETE" }, times = 1, action = { delay_ms = 1000 } } } },
      { stage_ms = 700 },
    } do
      with_server(options, function(path, server, directory)
        settle(path .. "/a.json", '{"n":1}\n')
        settle(path .. "/b.json", '{"n":2}\n')
        local running <close> = program.start(server.url, NIGHTLY:format(path))
        wait_for(function() return count(directory, options.stage_ms and COMPLETED or CREATED) == 1 end)
        shell.run "sleep 0.2"
        kill(running)
        assert.equal("./work/a.json\n./work/b.json\n", tree(path))
        settle(path .. "/late.json", '{"n":3}\n')
        local output, status = run(server, path)
        assert.equal(0, status, output)
        assert.equal(2, count(directory, CREATED))
        assert.equal("./done/ID/a.json\n./done/ID/b.json\n./done/ID/late.json\n", tree(path))
        assert.equal('{"n":1}\n{"n":2}\n{"n":3}\n', (shell.run(("cat %s/data/files/*/* | sort"):format(directory))))
      end)
    end
  end)

  it("puts away what was ingested before a kill, and sends nothing again", function()
    with_server({}, function(path, server, directory)
      settle(path .. "/a.json", "{}\n")
      shell.write(path .. "/done", "in the way") -- which stops it between the ingest and the putting away
      assert.equal(1, select(2, run(server, path)))
      assert.equal(1, count(directory, COMPLETED))
      os.remove(path .. "/done")
      local output, status = run(server, path)
      assert.equal(0, status, output)
      assert.equal("./done/ID/a.json\n", tree(path))
      assert.equal(1, count(directory, CREATED))
      assert.equal(1, count(directory, COMPLETED))
    end)
  end)

  it("leaves a file that is still being written, and says so", function()
    with_server({}, function(path, server, directory)
      shell.write(path .. "/a.json", "{}\n{")
      local output, status = run(server, path)
      assert.equal(0, status)
      assert.matches("a.json is left for the next time: it was changed just now\n.*there is no file to ingest", output)
      assert.equal("./a.json\n", tree(path))
      assert.equal(0, count(directory, CREATED))
    end)
  end)

  it("puts a batch that failed aside, with the files of that night only", function()
    with_server({}, function(path, server, directory)
      settle(path .. "/bad.json", "not json\n")
      local output, status = run(server, path)
      assert.equal(1, status)
      assert.matches("ended as failed", output, 1, true)
      settle(path .. "/bad.json", "{}\n")
      output, status = run(server, path)
      assert.equal(0, status, output)
      assert.equal("./done/ID/bad.json\n./failed/ID/bad.json\n", tree(path))
      assert.equal(2, count(directory, CREATED))
      assert.equal(0, select(2, run(server, path)))
    end)
  end)

  it("keeps files of one name from two nights", function()
    with_server({}, function(path, server)
      for night = 1, 2 do
        settle(path .. "/a.json", ('{"n":%d}\n'):format(night))
        assert.equal(0, select(2, run(server, path)))
      end
      assert.equal("./done/ID/a.json\n./done/ID/a.json\n", tree(path))
      assert.equal('{"n":1}\n{"n":2}\n', (shell.run(("cat %s/done/*/a.json | sort"):format(path))))
    end)
  end)

  it("tries again while the platform is down, and makes one batch of it", function()
    with_server({ faults = { { times = 6, action = { status = 503 } } } }, function(path, server, directory)
      settle(path .. "/a.json", "{}\n")
      local output, status = run(server, path, nil, hurry.PROGRAM)
      assert.equal(0, status, output)
      assert.matches("try 1: .*503", output)
      assert.equal(1, count(directory, CREATED))
      assert.equal("./done/ID/a.json\n", tree(path))
    end)
  end)

  it("refuses a second run", function()
    with_server({ stage_ms = 3000 }, function(path, server, directory)
      settle(path .. "/a.json", "{}\n")
      local running <close> = program.start(server.url, NIGHTLY:format(path))
      wait_for(function() return count(directory, COMPLETED) == 1 end)
      settle(path .. "/b.json", "{}\n")
      local output, status = run(server, path)
      assert.equal(1, status)
      assert.matches("another process has it", output, 1, true)
      kill(running)
      assert.equal("./b.json\n./work/a.json\n", tree(path))
    end)
  end)

  it("loses nothing on a full disk", function()
    with_server({}, function(path, server, directory)
      settle(path .. "/a.json", "{}\n")
      local running <close> = program.start(server.url, NIGHTLY:format(path), "trap '' XFSZ; ulimit -f 0;")
      local output, status = running:finish()
      assert.equal(1, status)
      assert.matches("cannot be written: File too large", output, 1, true)
      assert.equal(0, count(directory, CREATED))
      output, status = run(server, path)
      assert.equal(0, status, output)
      assert.equal("./done/ID/a.json\n", tree(path))
    end)
  end)

  it("ends at Ctrl-C, and the next run goes on", function()
    with_server({ stage_ms = 700 }, function(path, server, directory)
      settle(path .. "/a.json", "{}\n")
      local running <close> = program.start(server.url, NIGHTLY:format(path))
      wait_for(function() return count(directory, COMPLETED) == 1 end)
      running:signal "INT"
      local output, status = running:finish()
      assert.matches("failed: interrupted\n$", output)
      assert.equal(130, status)
      assert.equal(0, select(2, run(server, path)))
      assert.equal(1, count(directory, CREATED))
      assert.equal("./done/ID/a.json\n", tree(path))
    end)
  end)
end)

for name, words in pairs(WATCHING) do
  describe("the example " .. name, function()
    -- Runs it until so many files are away.
    local function run_until(server, path, where, number)
      local running <close> = program.start(server.url, words:format(path))
      wait_for(function() return select(2, names_in(path, where):gsub("\n", "")) == number end)
      kill(running)
    end

    it("goes on with what a kill has left, as one batch", function()
      with_server({ stage_ms = 1000 }, function(path, server, directory)
        settle(path .. "/a.json", '{"n":1}\n')
        do
          local running <close> = program.start(server.url, words:format(path))
          wait_for(function() return count(directory, COMPLETED) == 1 end)
          kill(running)
        end
        assert.equal("a.json\n", names_in(path, "work"))
        run_until(server, path, "done", 1)
        assert.equal(1, count(directory, CREATED))
        assert.equal("", names_in(path, "work"))
        assert.equal("", names_in(path, "failed"))
      end)
    end)

    it("does not take what a kill has left of another for a file's own", function()
      with_server({}, function(path, server, directory)
        settle(path .. "/a.json", '{"n":1}\n')
        assert(core.fs.mkdir(path .. "/work"))
        shell.write(path .. "/work/a.json.journal", "of one that is away\n")
        run_until(server, path, "done", 1)
        assert.equal(1, count(directory, CREATED))
      end)
    end)

    it("keeps files of one name", function()
      with_server({}, function(path, server)
        for number = 1, 3 do
          settle(path .. "/a.json", ('{"n":%d}\n'):format(number))
          run_until(server, path, "done", number)
        end
        assert.equal("a.json\na.json.1\na.json.2\n", names_in(path, "done"))
        assert.equal('{"n":1}\n{"n":2}\n{"n":3}\n', (shell.run(("cat %s/done/* | sort"):format(path))))
      end)
    end)

    it("keeps a file while our token is refused, and ingests it afterwards", function()
      with_server({ tokens = { "another" } }, function(path, server, directory)
        settle(path .. "/a.json", "{}\n")
        do
          local running <close> = program.start(server.url, words:format(path))
          local line = running:line()
          if line == "watching" then line = running:line() end
          assert.matches("^a.json: .*401013.*; it will be tried again$", line)
          kill(running)
        end
        assert.equal("a.json\n", names_in(path, "work"))
        assert.equal("", names_in(path, "failed"))
        server:stop()
        local good <close> = assert(emulator.start { port = server.port, log = directory .. "/log" })
        run_until(good, path, "done", 1)
        assert.equal(1, count(directory, CREATED))
      end)
    end)

    it("does not take a file that is being written", function()
      with_server({}, function(path, server, directory)
        local words_of_minute = words:gsub("0.2$", "60"):format(path)
        shell.write(path .. "/a.json", "{}\n{")
        local running <close> = program.start(server.url, words_of_minute)
        shell.run "sleep 1"
        kill(running)
        assert.equal("./a.json\n", tree(path))
        assert.equal(0, count(directory, CREATED))
      end)
    end)

    it("refuses a second run", function()
      with_server({}, function(path, server)
        local running <close> = program.start(server.url, words:format(path))
        wait_for(function() return shell.run(("ls -d %s/work"):format(path)) == path .. "/work\n" end)
        local second <close> = program.start(server.url, words:format(path))
        local output, status = second:finish()
        assert.equal(1, status)
        assert.matches("another process has it", output, 1, true)
        kill(running)
      end)
    end)

    it("does without metrics, which the service may leave out", function()
      shell.with_directory(function(path)
        settle(path .. "/a.json", "{}\n")
        local server <close> = least.start "success"
        local running <close> = program.start(server.url, words:format(path))
        local line = running:line()
        if line == "watching" then line = running:line() end
        assert.equal("a.json: an unknown number of records in batch b1", line)
        wait_for(function() return names_in(path, "done") == "a.json\n" end)
        kill(running)
      end)
    end)
  end)
end

describe("the script of the C host", function()
  it("goes on with what a kill has left, as one batch, and ingests nothing twice", function()
    local build = os.getenv "CATALOG_BUILD" or "build"
    with_server({ stage_ms = 1000 }, function(path, server, directory)
      settle(path .. "/a.json", "{}\n")
      local words = ("env LUA_PATH= LUA_CPATH=';;' AEP_BASE_URL=%s AEP_ORG=o AEP_API_KEY=k AEP_ACCESS_TOKEN=t"
        .. " ASAN_OPTIONS=detect_leaks=0 %s/host-c %s/catalog_bundle.lua examples/host-c/ingest.lua 0 d %s/a.json"):format(
        server.url, build, build, path)
      local pipe = assert(io.popen("unset LD_PRELOAD; echo $$; exec " .. words))
      local pid = pipe:read "l"
      wait_for(function() return count(directory, COMPLETED) == 1 end)
      shell.run("kill -9 " .. pid)
      pipe:close()
      for _ = 1, 2 do
        local output, status = shell.run(words)
        assert.equal(0, status, output)
        assert.matches("a.json: 1 records are in batch", output, 1, true)
      end
      assert.equal(1, count(directory, CREATED))
    end)
  end)

  it("does without metrics, which the service may leave out", function()
    local build = os.getenv "CATALOG_BUILD" or "build"
    shell.with_directory(function(path)
      settle(path .. "/a.json", "{}\n")
      local server <close> = least.start "success"
      local output, status = shell.run(("env LUA_PATH= LUA_CPATH=';;' AEP_BASE_URL=%s AEP_ORG=o AEP_API_KEY=k"
        .. " AEP_ACCESS_TOKEN=t ASAN_OPTIONS=detect_leaks=0 timeout 60 %s/host-c %s/catalog_bundle.lua"
        .. " examples/host-c/ingest.lua 0 d %s/a.json"):format(server.url, build, build, path))
      assert.equal(0, status, output)
      assert.matches("a.json: an unknown number of records are in batch b1, ", output, 1, true)
    end)
  end)
end)
