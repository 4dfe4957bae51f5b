-- What only a program that embeds Lua can show; spec/scripts/host.c is that program.
local emulator = require "catalog.emulator"
local raw = require "support.raw"
local shell = require "support.shell"

local BUILD <const> = os.getenv "CATALOG_BUILD" or "build"

-- Leaks are looked for where the build has a sanitizer; elsewhere the variables mean nothing.
local SANITIZER <const> = "ASAN_OPTIONS=detect_leaks=1"
  .. " LSAN_OPTIONS=suppressions=spec/support/leaks.txt:print_suppressions=0"

local function command(words)
  return ("%s %s/host %s"):format(SANITIZER, shell.quote(BUILD), words)
end

local function host(words)
  local output, status = shell.run(command(words))
  assert.equal(0, status, output)
  return output
end

-- Some 20,000 batches with their files are made, each by a state that reads the module's Lua. On a disk most of the
-- time goes into making files, and where it is read, into compiling Lua: so both are done beforehand, or in memory.
local function in_memory()
  local made = shell.run [[
    room=$(df --output=avail /dev/shm 2>/dev/null | tail -n 1)
    if [ "${room:-0}" -gt 500000 ]; then mktemp -d -p /dev/shm; else mktemp -d; fi]]
  return (made:gsub("%s+$", ""))
end

local function compile_to(directory)
  for path in shell.run "find lua -name '*.lua'":gmatch "[^\n]+" do
    shell.run(("mkdir -p %s/%s"):format(directory, path:match "^(.*)/"))
    shell.write(("%s/%s"):format(directory, path), string.dump(assert(loadfile(path))))
  end
end

describe("a host program in which every allocation fails in turn", function()
  local WHOSE <const> = { allocations = "Lua's", curl = "libcurl's" }
  local SCRIPTS <const> = {
    creates = "creations", runs = "many things at once", uploads = "uploads", ingests = "ingests",
  }
  local directory
  local runs = {} -- all at once: they wait for their emulators

  local function start(whose, script)
    local name = whose .. script
    local server = assert(emulator.start { data_dir = directory .. "/" .. name })
    shell.write(("%s/%s.source"):format(directory, name), '{"a":1}\n{"a":2}\n{"a":3}\n')
    local words = ("%s spec/scripts/%s.lua %s %s/%s.source"):format(whose, script, server.url, directory, name)
    runs[name] = {
      server = server, finish = shell.start(("LUA_PATH='%s/lua/?.lua;;' %s"):format(directory, command(words))),
    }
  end

  setup(function()
    directory = in_memory()
    compile_to(directory)
    for script in pairs(SCRIPTS) do
      for whose in pairs(WHOSE) do start(whose, script) end
    end
  end)

  teardown(function()
    for _, run in pairs(runs) do run.server:stop() end
    shell.run("rm -rf " .. directory)
  end)

  for script, what in pairs(SCRIPTS) do
    for whose, of in pairs(WHOSE) do
      it(("gets an error each time, loses nothing, and goes on: %s, %s"):format(what, of), function()
        local output, status = runs[whose .. script].finish()
        assert.equal(0, status, output)
        local once = tonumber(output:match "ok (%d+) allocations failed once")
        local for_good = tonumber(output:match "ok (%d+) allocations failed for good")
        assert.is_true(once > 100 and for_good > 100, output)
      end)
    end
  end
end)

describe("a host program with a spool", function()
  it("gets an error for each allocation that fails, and goes on", function()
    local directory = in_memory()
    local output, status = shell.run(command(("allocations spec/scripts/spool_calls.lua %s/spool"):format(directory)))
    shell.run("rm -rf " .. directory)
    assert.equal(0, status, output)
    assert.is_true(tonumber(output:match "ok (%d+) allocations failed once") > 50, output)
  end)

  it("may have one on each of its threads", function()
    shell.with_directory(function(directory)
      assert.equal("ok 3 threads\n", host(("threads 3 spec/scripts/spool_calls.lua %s own"):format(directory)))
    end)
  end)
end)

describe("a host program with a consumer of Kafka", function()
  it("gets an error for each allocation that fails, and loses nothing", function()
    if not pcall(require, "catalog.kafka") then return pending "was not built: librdkafka is missing" end
    local output, status = shell.run(command "allocations spec/scripts/kafka_calls.lua 127.0.0.1:1")
    assert.equal(0, status, output)
    assert.is_true(tonumber(output:match "ok (%d+) allocations failed once") > 30, output)
  end)

  it("may have one on each of its threads", function()
    if not pcall(require, "catalog.kafka") then return pending "was not built: librdkafka is missing" end
    assert.equal("ok 4 threads\n", host "threads 4 spec/scripts/kafka_calls.lua 127.0.0.1:1")
  end)
end)

describe("a host program", function()
  it("may have a state on each of its threads", function()
    local server <close> = assert(emulator.start {})
    assert.equal("ok 4 threads\n", host("threads 4 spec/scripts/creates.lua " .. server.url))
  end)

  it("may fork: a client goes on in the child, on connections of its own, and the parent's live on", function()
    local created = { send = raw.answer("201 Created", '{"id":"b1"}') }
    local another = { send = raw.answer("500 Another connection", "") }
    local server <close> = raw.start { { created, created }, { created }, { another } }
    assert.equal("child: ok\nok the parent goes on\n", host("fork spec/scripts/creates_one.lua " .. server.url))
  end)

  -- How often the server was asked for what, in all.
  local function requests_of(what, directory)
    local log = directory .. "/" .. what
    local server <close> = assert(emulator.start { latency_ms = 60, log = log })
    assert.equal("ok once\n", host(("once spec/scripts/forks.lua %s %s/source %s"):format(server.url, directory, what)))
    local counts = {}
    for line in shell.read(log):gmatch "[^\n]+" do
      local name = line:match "action=(%u+)" or line:match "PATCH" or line:match "PUT" or line:match "POST"
      if name then counts[name] = (counts[name] or 0) + 1 end
    end
    return counts
  end

  for what, expected in pairs {
    on_progress = { POST = 4, INITIALIZE = 2, PATCH = 6, COMPLETE = 3 }, handles = { POST = 6, PUT = 0, COMPLETE = 3 },
    tasks = { POST = 4, COMPLETE = 1 }, callbacks = { POST = 7 }, endings = { POST = 8 },
    sink = { POST = 4, PUT = 1, COMPLETE = 1 },
  } do
    it("may fork in the middle of " .. what .. ": the child does nothing in its parent's place, and both go on", function()
      shell.with_directory(function(directory)
        shell.write(directory .. "/source", '{"a":1}\n{"a":2}\n{"a":3}\n')
        local counts = requests_of(what, directory)
        assert.is_nil(counts.ABORT)
        for name, count in pairs(expected) do
          assert.equal(count, counts[name] or 0, name)
        end
      end)
    end)
  end

  it("may fork and end the child's copy of a state, with all that was under way in it", function()
    assert.equal("ok the child has harmed nothing\n", host "copied spec/scripts/copied.lua")
  end)

  it("has the journal of an ingest on disk before it sends what must not be forgotten", function()
    shell.with_directory(function(directory)
      shell.write(directory .. "/source", '{"a":1}\n{"a":2}\n{"a":3}\n')
      local server <close> = assert(emulator.start {})
      local steps = {}
      for line in host(("order spec/scripts/ingests.lua %s %s/source"):format(server.url, directory)):gmatch "[^\n]+" do
        steps[#steps + 1] = line:match '^write %x+ {"event":"(%a+)"' or line:match '^%x+ {"event":"(%a+)"' or line:match "^sync"
          or line:match "action=(%a+)" or line:match "^send (%a+ /%a+)"
      end
      assert.equal("POST /ims POST /data run file ready sync create sync POST /data batch sync begin sync INITIALIZE"
        .. " PATCH /data part PATCH /data part COMPLETE done complete sync COMPLETE GET /data end sync",
        table.concat(steps, " "))
    end)
  end)

  it("may end a state in the middle of calls", function()
    local server <close> = assert(emulator.start { latency_ms = 60000 })
    assert.equal("ok once\n", host("once spec/scripts/leaves.lua " .. server.url))
  end)

  it("lives on when a state ends during a look-up at a DNS that says nothing", function()
    assert.equal("ok the process lives on\n", host "lookup spec/scripts/looks_up.lua http://silent.example")
  end)

  it("does not wait for a look-up whose call is cancelled", function()
    assert.equal("ok the process lives on\n", host "lookup spec/scripts/cancels_lookup.lua http://silent.example")
  end)
end)
