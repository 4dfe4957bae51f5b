-- What ends the program from outside: signals, in each step.
local command = require "support.command"
local core = require "catalog.core"
local program = require "support.program"
local service = require "support.service"
local shell = require "support.shell"

local run, with_files = command.run, command.with_files

local CODES <const> = { INT = 130, TERM = 143, HUP = 129 }

-- Runs the program in the background and sends it a signal once the condition of the shell's holds. `before` is what
-- the shell does first.
local function interrupt(server, words, signal, condition, before)
  return shell.run((before or "") .. command.environment(server, "env --default-signal=HUP ") .. command.PROGRAM .. " "
    .. words .. (" & pid=$!; until %s; do kill -0 $pid || break; sleep 0.02; done; kill -%s $pid; wait $pid"):format(condition,
    signal))
end

-- All batches the service knows.
local function batches(client)
  return assert(client:send {
    method = "GET", path = "/data/foundation/catalog/batches?limit=10", read = core.json.decode,
  })
end

local function only(found)
  local id, fields = next(found)
  assert.is_nil(next(found, id))
  return id, fields.status
end

-- An emulator that takes its time, whose log says what has begun.
local function slowly(options, body)
  with_files(function(_, directory)
    options.data_dir, options.log, options.latency_ms = directory .. "/data", directory .. "/log", options.latency_ms or 150
    service.run(options, function(server, client) body(server, directory, client) end)
  end)
end

describe("the program, interrupted", function()
  it("says so, and goes on from its journal", function()
    for signal, code in pairs(CODES) do
      slowly({}, function(server, directory, client)
        local words = ("ingest --dataset d --format json --journal %s/journal %s/a.json %s/b.json"):format(directory, directory,
          directory)
        local output, status = interrupt(server, words, signal, ("grep -qs '\"done\"' %s/journal"):format(directory))
        assert.equal(code, status, output)
        local id = only(batches(client))
        assert.matches(signal == "INT" and "catalog: interrupted\n" or "catalog: ended by SIG" .. signal, output, 1, true)
        assert.matches(("the batch %s is kept; the same command again goes on from here\n"):format(id), output, 1, true)
        assert.is_nil(output:find "traceback")
        local again, done = run(server, words)
        assert.equal(0, done, again)
        assert.matches("8 of 8 records are in", again, 1, true)
        assert.equal("success", select(2, only(batches(client))))
      end)
    end
  end)

  it("keeps what it has downloaded, and goes on from there", function()
    slowly({}, function(server, directory, client)
      local batch = assert(client:create_batch { dataset = "d", format = "json" })
      for _, name in ipairs { "a", "b", "c" } do assert(batch:upload(name, { data = '{"n":1}\n' })) end
      assert(assert(batch:complete()):wait())
      local words = ("download %s --to %s/out --parallel 1"):format(batch.id, directory)
      local output, status = interrupt(server, words, "INT", ("[ -e %s/out/a ]"):format(directory))
      assert.equal(130, status, output)
      assert.matches("catalog: interrupted\n", output, 1, true)
      assert.matches(("the batch %s is there in part; the same command again goes on\n"):format(batch.id), output, 1, true)
      assert.is_nil(output:find "traceback")
      local again, done = run(server, words)
      assert.equal(0, done, again)
      assert.equal("a\nb\nc\n", (shell.run(("ls -A %s/out"):format(directory))))
    end)
  end)

  it("leaves nothing of rows that it was sending again, and sends them when it is called again", function()
    slowly({}, function(server, directory, client)
      local given = { dataset = "d", format = "json", error_diagnostics = true, partial_ingestion = 100 }
      local batch = assert(client:create_batch(given))
      assert(batch:upload("a", { data = "n=1\nn=2\n" }))
      assert(assert(batch:complete()):wait())
      shell.write(directory .. "/mend.lua", 'return function(row) return { n = row._corrupt_record:match "%d" } end')
      local words = ("resend %s --transform %s/mend.lua"):format(batch.id, directory)
      local output, status = interrupt(server, words, "INT", ("grep -q '^PUT .*resend.json' %s/log"):format(directory))
      assert.equal(130, status, output)
      assert.matches(("the batch %s keeps its rows; the same command again sends them\n"):format(batch.id), output, 1, true)
      assert.is_nil(output:find "traceback")
      local states = {}
      for _, fields in pairs(batches(client)) do states[#states + 1] = fields.status end
      table.sort(states)
      assert.same({ "aborted", "success" }, states)
      local again, done = run(server, words)
      assert.equal(0, done, again)
      assert.matches("2 rows failed; 2 sent again, 0 dropped", again, 1, true)
    end)
  end)

  it("gives up the batch that has no journal, and says so", function()
    for signal, code in pairs(CODES) do
      slowly({}, function(server, directory, client)
        local output, status = interrupt(server, ("ingest --dataset d --format json %s/a.json %s/b.json --parallel 1"):format(
          directory, directory), signal, ("grep -q '^PUT' %s/log"):format(directory))
        assert.equal(code, status, output)
        local id, state = only(batches(client))
        assert.equal("aborted", state)
        assert.matches(("the batch %s is aborted; nothing of it is ingested\n"):format(id), output, 1, true)
      end)
    end
  end)

  it("says in each step what became of the batch, or that there may be one", function()
    local created <const>, aborted <const> = "a batch may have been created; it is empty, and the service gives it up by itself",
      "the batch ID is aborted; nothing of it is ingested"
    local left <const>, later <const> = "the batch ID was left; catalog status ID shows its state",
      "the batch ID is kept; the same command again goes on from here"
    local files <const>, parts <const> = "ingest --dataset d FOLDER/a.json", " --part-size 10 --part-threshold 10"
    for i, case in ipairs {
      { "POST", "/batches$", files, created }, { "POST", "/batches$", "ingest --dataset d - <FOLDER/a.json", created },
      { "POST", "/batches$", "create --dataset d", created },
      { "POST", "/batches$", files .. " --journal FOLDER/j", "the same command again goes on from here" },
      { "PUT", "/a.json", files, aborted }, { "PUT", "/a.json", files .. " --journal FOLDER/j", later },
      { "PUT", "/stdin.json", "ingest --dataset d - <FOLDER/a.json", aborted },
      { "POST", "INITIALIZE", files .. parts, aborted }, { "PATCH", "/a.json", files .. parts, aborted },
      { "POST", "/files/a.json%?action=COMPLETE", files .. parts, aborted },
      { "POST", "/batches/%w+%?action=COMPLETE", files, left },
      { "PUT", "/a.json", "upload ID FOLDER/a.json", "the batch ID takes files still; the same command again sends them" },
      { "POST", "COMPLETE", "complete ID", left }, { "POST", "ABORT", "abort ID", left }, { "POST", "REVERT", "revert ID", left },
      { "GET", "/catalog/", "wait ID", "the batch ID goes on; catalog wait ID waits for it again" },
      { "GET", "/catalog/", "status ID" }, { "GET", "/catalog/", "errors ID" },
    } do
      slowly({ latency_ms = 0 }, function(server, directory, client)
        local method, path, words, fate = table.unpack(case)
        local id = assert(client:create_batch { dataset = "d", format = "json" }).id
        server:set_faults { { match = { method = method, path = path }, action = { delay_ms = 60000 } } }
        local signal = ({ "INT", "TERM", "HUP" })[i % 3 + 1]
        local seen = ("[ $(grep -cE '^%s .*%s' %s/log) -gt %d ]"):format(method, path:gsub("%%w", "[A-Z0-9]"):gsub("%%", "\\")
          :gsub("%$", "( |$)"), directory, method == "POST" and path == "/batches$" and 1 or 0)
        local output, status = interrupt(server, (words:gsub("%u+", { FOLDER = directory, ID = id })), signal, seen)
        assert.equal(CODES[signal], status, words .. ": " .. output)
        local first = signal == "INT" and "catalog: interrupted\n" or "catalog: ended by SIG" .. signal .. "\n"
        local said = output:match("(" .. first .. ".*)$")
        if words:find "^ingest" then id = said:match "the batch (%d%w+)" or id end
        said = said:gsub(id, "ID")
        assert.equal(first .. (fate and "catalog: " .. fate .. "\n" or ""), said, words)
      end)
    end
  end)

  it("says that nothing was sent where it waits for its input", function()
    with_files(function(server, directory)
      local id = run(server, "create -q --dataset d --format json"):gsub("%s", "")
      for _, words in ipairs { "ingest --dataset d FOLDER/pipe", ("upload %s FOLDER/pipe"):format(id) } do
        -- the pipe has a writer, who says nothing
        local output, status = interrupt(server, (words:gsub("FOLDER", directory)), "TERM",
          ("ls -l /proc/$pid/fd 2>/dev/null | grep -q %s/pipe"):format(directory),
          ("rm -f %s/pipe; mkfifo %s/pipe; sleep 60 >%s/pipe & trap \"kill $!\" EXIT; "):format(directory, directory, directory))
        assert.same({ "catalog: ended by SIGTERM\ncatalog: nothing was sent\n", 143 }, { output, status })
      end
    end)
  end)

  it("says of a batch that is completed how it can be waited for", function()
    slowly({ stage_ms = 60000 }, function(server, directory, client)
      local output, status = interrupt(server, ("ingest --dataset d --format json %s/a.json"):format(directory), "TERM",
        ("grep -q '^GET /data/foundation/catalog' %s/log"):format(directory))
      assert.equal(143, status, output)
      local id = only(batches(client))
      assert.matches(("the batch %s is completed, and goes on; catalog wait %s waits for it\n"):format(id, id), output, 1, true)
      output, status = interrupt(server, "wait " .. id, "TERM", ("[ $(grep -c '^GET' %s/log) -gt 4 ]"):format(directory))
      assert.equal(143, status, output)
      assert.matches(("the batch %s goes on; catalog wait %s waits for it again\n"):format(id, id), output, 1, true)
      server:set_faults { { match = { method = "GET" }, action = { delay_ms = 60000 } } }
      local before = select(2, shell.read(directory .. "/log"):gsub("\n", ""))
      output, status = interrupt(server, "status " .. id, "INT", ("[ $(wc -l <%s/log) -gt %d ]"):format(directory, before))
      assert.same({ "catalog: interrupted\n", 130 }, { output, status }) -- there was nothing to leave
    end)
  end)

  it("ends at once where a coroutine waits", function()
    slowly({}, function(server, _, client)
      local batch = assert(client:create_batch { dataset = "d", format = "json", error_diagnostics = true })
      assert(batch:upload("bad.json", { data = "no\n" }))
      assert(batch:complete())
      batch:wait()
      server:set_faults { { match = { path = "/export/batches/" }, action = { delay_ms = 60000 } } }
      -- it asks for the rows once it has shown the batch's own errors
      local output, status = interrupt(server, "errors " .. batch.id, "TERM", "sleep 2")
      assert.equal(143, status, output)
      assert.matches("catalog: ended by SIGTERM\n", output, 1, true)
    end)
  end)

  it("aborts what comes through a pipe", function()
    slowly({}, function(server, directory, client)
      shell.run("mkfifo " .. directory .. "/pipe")
      local words = ("ingest --dataset d --part-size 1K %s/pipe"):format(directory)
      local output, status = interrupt(server, words, "INT", ("grep -q '^P.*pipe' %s/log"):format(directory),
        ("(yes '{}' | head -c 100K; exec sleep 60) >%s/pipe 2>/dev/null & trap \"kill $!\" EXIT; "):format(directory))
      assert.equal(130, status, output)
      local id, state = only(batches(client))
      assert.equal("aborted", state, output)
      assert.matches(("the batch %s is aborted"):format(id), output, 1, true)
    end)
  end)

  it("does not hear a hang-up that was ignored when it began", function()
    slowly({}, function(server, directory)
      local output, status = run(server, ("ingest --dataset d --format json %s/a.json & pid=$!; until grep -q '^PUT' %s/log; do"
        .. " sleep 0.02; done; kill -HUP $pid; wait $pid"):format(directory, directory), "nohup env")
      assert.equal(0, status, output)
      assert.matches("5 of 5 records are in", output, 1, true)
    end)
  end)
end)

describe("signals that are waited for", function()
  local WAITS <const> = [[-e 'local core, scheduler = require "catalog.core", require "catalog.scheduler.scheduler"
    core.system.raise_signals()
    local signals = core.system.catch_signals()
    local listener = core.listener.new(signals:fd())
    print(signals:take())
    while true do
      io.stdout:flush()
      listener:start()
      scheduler.transfer(listener)
      print(signals:take())
    end']]

  it("raise and end nothing, until one comes after SIGINT or SIGTERM", function()
    for _, case in ipairs { { "TERM", "INT", 2 }, { "INT", "TERM", 15 }, { "TERM", "TERM", 15 } } do
      local started <close> = program.start("http://127.0.0.1:1", WAITS)
      assert.equal("", started:line())
      for _, name in ipairs { "HUP", "HUP", case[1] } do
        started:signal(name)
        assert.equal("SIG" .. name, started:line())
      end
      started:signal(case[2])
      assert.same({ "", case[3] }, { started:finish() })
    end
  end)

  it("do what they did before, when they are waited for no more", function()
    local output, status = shell.lua([[
      local core = require "catalog.core"
      do local signals <close> = core.system.catch_signals() end
      print "caught"
      io.stdout:flush()
      os.execute "kill -TERM $PPID"]])
    assert.matches("^caught\n", output)
    assert.equal(143, status)
  end)
end)
