-- `catalog sink`: where its records come from, what is told, and how it ends.
local command = require "support.command"
local core = require "catalog.core"
local exchange = require "support.exchange"
local follow_kills = require "support.follow_kills"
local shell = require "support.shell"
local sinking = require "support.sinking"

local numbers = sinking.numbers

local function append(path, text)
  local file <close> = assert(io.open(path, "ab"))
  assert(file:write(text))
end

-- A command of the shell that prints lines.
local function echo(first, last) return ("printf '%s'"):format(numbers(first, last):gsub("\n", "\\n")) end

describe("catalog sink", function()
  it("puts what comes by standard input on disk, and the next start sends it", function()
    sinking.run(function(run)
      local output, code = run:pipe(echo(1, 3), "", sinking.DOWN)
      assert.equal(0, code, output)
      assert.matches("catalog: all is on disk in .*/spool; the next start sends it", output)
      assert.equal(numbers(1, 3), run:waiting())
      output, code = run:pipe("printf '{\"n\":4}'", "--wait")
      assert.equal(0, code, output)
      assert.matches("catalog: batch %w+: success, %d records?\n", output)
      assert.equal(numbers(1, 4), run:sent())
      assert.equal("", run:waiting())
    end)
  end)

  it("rejects a bad line, tells which, and takes the others", function()
    sinking.run(function(run)
      local output, code = run:pipe("printf '{\"n\":1}\\nbad\\n{\"n\":2}\\n'", "--wait")
      assert.equal(3, code, output)
      assert.matches("catalog: standard input, line 2: it is no JSON object\n", output)
      assert.matches("catalog: 1 record rejected %(%-%-allow%-failed 0%); catalog spool status .*/spool shows", output)
      assert.equal(numbers(1, 2), run:sent())
      assert.equal(0, select(2, run:pipe("echo bad", "--allow-failed 1")))
      assert.matches('"text":"bad"', shell.read(run.spool .. "/rejected/records.jsonl"))
    end)
  end)

  it("changes lines by a function of a file", function()
    sinking.run(function(run)
      local path = run.directory .. "/change.lua"
      shell.write(path, [[
        return function(record, message)
          if record.n == 2 then return nil end
          if record.n == 3 then return { { n = 31 }, { n = message.source and 32 } } end
          record.n = record.n * 10
          return record
        end]])
      append(run.directory .. "/a", numbers(1, 3) .. '{"m":4}\n' .. numbers(5, 5))
      local output, code = run:pipe(":", ("--transform %s --wait %s/a"):format(path, run.directory))
      assert.equal(3, code, output)
      assert.matches("a, line 4: the transform raised: .*arithmetic", output)
      assert.equal('{"n":10}\n{"n":31}\n{"n":32}\n{"n":50}\n', run:sent())
      for text, said in pairs { ["return 5"] = "change.lua returns no function", ["="] = "unexpected symbol" } do
        shell.write(path, text)
        output, code = run:pipe(":", "--transform " .. path)
        assert.equal(1, code, output)
        assert.matches("catalog: %-%-transform: .*" .. said, output)
      end
    end)
  end)

  it("tells the first of many bad lines", function()
    sinking.run(function(run)
      local output = run:pipe("yes bad | head -n 50", "")
      assert.equal(10, select(2, output:gsub("it is no JSON object", "")))
      assert.matches("50 records rejected", output)
    end)
  end)

  it("rejects a line that is too long, however long it is", function()
    sinking.run(function(run)
      local output, code = run:pipe("head -c 5000000 /dev/zero | tr '\\0' x; " .. echo(1, 2), "--wait --record-bytes 1000",
        run.server)
      assert.equal(3, code, output)
      assert.matches("longer than %-%-record%-bytes", output)
      assert.equal(numbers(2, 2), run:sent()) -- the first is the end of the long line
      assert.is_true(#shell.read(run.spool .. "/rejected/records.jsonl") < 3000)
    end)
  end)

  it("says what does not fit together", function()
    local cases = {
      ["--follow"] = "--follow needs the files that are followed",
      ["--follow -"] = "--follow is for files; a pipe is read as it comes without it",
      ["--confirm x"] = "--confirm answers what comes by standard input, not files",
      ["- -"] = "standard input (-) can be read once",
      ["--follow x --wait"] = "--wait is for what has an end: standard input or files",
      ["--sync-seconds x"] = "'x' is no time",
    }
    for words, text in pairs(cases) do
      local output, code = command.run(sinking.DOWN, "sink --dataset d --spool /nowhere/spool " .. words)
      assert.equal(2, code)
      assert.is_truthy(output:find(text, 1, true), output)
    end
  end)
end)

describe("files for catalog sink", function()
  it("are taken once, and go on where they were left", function()
    sinking.run(function(run)
      local path = run.directory .. "/a.jsonl"
      append(path, numbers(1, 3))
      for _ = 1, 2 do
        local output, code = run:pipe(":", path)
        assert.equal(0, code, output)
      end
      append(path, numbers(4, 5))
      os.rename(path, path .. ".old")
      append(path, numbers(6, 7)) -- another file of that name
      local output, code = run:pipe(":", ("%s.old %s"):format(path, path))
      assert.equal(0, code, output)
      run:send()
      assert.equal(numbers(1, 7), run:sent())
    end)
  end)

  it("are kept in mind by one name each, and are taken once all the same", function()
    sinking.run(function(run)
      local path = run.directory .. "/a.jsonl"
      local function names()
        local text = assert(core.spool.look(run.spool))
        return select(2, text:gsub('"source/file:', "%0"))
      end
      append(path, numbers(1, 3))
      run:pipe(":", path)
      append(path, numbers(4, 600)) -- now it has a name that stays
      run:pipe(":", path)
      run:send()
      assert.equal(numbers(1, 600), run:sent())
      assert.equal(1, names()) -- the start that has sent it has forgotten the first
      append(path, numbers(601, 602))
      run:pipe(":", path)
      run:pipe(":", path)
      run:send()
      assert.equal(numbers(1, 602), run:sent())
      assert.equal(1, names())
    end)
  end)

  it("may be pipes", function()
    sinking.run(function(run)
      local path = run.directory .. "/pipe"
      shell.run("mkfifo " .. path)
      local output, code = shell.run(("{ %s >%s & } ; %s %s %s; wait"):format(echo(1, 2), path,
        command.environment(run.server), command.PROGRAM, run:words("--wait -q " .. path)))
      assert.equal(0, code, output)
      assert.equal(numbers(1, 2), run:sent())
    end)
  end)

  it("are named when they are not there; what came before is kept", function()
    sinking.run(function(run)
      append(run.directory .. "/a", numbers(1, 2))
      local output, code = run:pipe(":", ("%s/a %s/b"):format(run.directory, run.directory))
      assert.equal(1, code)
      assert.matches("cannot read .*/b: No such file or directory", output)
      assert.equal(numbers(1, 2), run:waiting())
    end)
  end)
end)

describe("files that catalog sink follows", function()
  it("are taken exactly once, over rotations, ends and kills", function()
    sinking.run(function(run)
      local path, last = run.directory .. "/app.jsonl", 0
      local function add(count)
        append(path, numbers(last + 1, last + count))
        last = last + count
      end
      for round = 1, 6 do
        local started <close> = run:start("--sync-seconds 10ms --follow " .. path)
        add(500)
        if round % 2 == 0 then
          run:wait_for(function() return select(2, run:waiting():gsub("\n", "")) > last - 500 end)
          os.rename(path, path .. "." .. round)
        end
        add(500)
        if round == 3 then
          started:signal "TERM"
          assert.equal(0, select(2, started:finish()))
        else
          started:signal "KILL"
          started:finish()
        end
        add(300)
        if round == 5 then os.rename(path, path .. ".5") end
        add(200)
      end
      local started <close> = run:start("--roll-seconds 1 --follow " .. path)
      run:wait_for(function() return #run:waiting() + #run:sent() >= #numbers(1, last) end)
      started:signal "INT"
      assert.equal(0, select(2, started:finish()))
      run:send()
      assert.is_true(numbers(1, last) == run:sent())
    end)
  end)
end)

describe("catalog sink --follow", function()
  it("tells of a batch that has ended, though no line comes any more", function()
    sinking.run(function(run)
      local path, said = run.directory .. "/app.jsonl", run.directory .. "/said"
      append(path, numbers(1, 2))
      local started <close> = run:start("--roll-records 2 --follow " .. path, ("exec >%s;"):format(said))
      run:wait_for(function() return shell.read(said):find("success, 2 records", 1, true) end)
      started:signal "TERM"
      assert.equal(0, select(2, started:finish()))
    end)
  end)
end)

describe("catalog sink --follow, killed at random moments,", function()
  for way, by_copying in pairs { renaming = false, copying = true } do
    it("takes each line once, over rotation by " .. way .. "; make torture does so more often", function()
      follow_kills.run(3, by_copying, { faults = {} }, 800)
    end)
  end
end)

describe("catalog sink --confirm", function()
  it("answers at the start, and each line once it is on disk", function()
    sinking.run(function(run)
      local output, code = run:pipe(("%s; echo bad"):format(echo(1, 2)), "-q --confirm", sinking.DOWN)
      assert.equal(3, code)
      assert.equal(4, select(2, output:gsub("OK\n", "")))
      assert.equal(numbers(1, 2), run:waiting())
    end)
  end)

  it("has on disk what it has answered, when it is killed then", function()
    sinking.run(function(run)
      shell.run("mkfifo " .. run.directory .. "/in")
      local started <close> = run:start("-q --sync-seconds 1h --confirm", ("exec <>%s/in;"):format(run.directory))
      local function next_answer()
        repeat local line = started:line() until line == "OK" or not line
        return assert(started.pid)
      end
      next_answer()
      for i = 1, 3 do
        shell.run(("%s >%s/in"):format(echo(i, i), run.directory))
        next_answer()
      end
      started:signal "KILL"
      started:finish()
      assert.equal(numbers(1, 3), run:waiting())
    end)
  end)
end)

describe("a signal for catalog sink", function()
  it("ends it with all on disk, also while the service is down", function()
    for _, name in ipairs { "TERM", "INT" } do
      sinking.run(function(run)
        shell.run("mkfifo " .. run.directory .. "/in")
        local started <close> = run:start("--sync-seconds 1h", ("exec <>%s/in;"):format(run.directory), sinking.DOWN)
        shell.run(("%s >%s/in"):format(echo(1, 3), run.directory))
        started:signal(name)
        local output, code = started:finish()
        assert.equal(0, code, output)
        assert.matches("catalog: ended by SIG" .. name .. "; what was taken is on disk in .*/spool, and the next start", output)
        assert.equal(numbers(1, 3), run:waiting())
      end)
    end
  end)

  it("says what has no end yet, and is not written", function()
    sinking.run(function(run)
      shell.run("mkfifo " .. run.directory .. "/in")
      local started <close> = run:start("", ("exec <>%s/in;"):format(run.directory), sinking.DOWN)
      shell.run(("printf '{\"n\":1}\\n{\"n\"' >%s/in"):format(run.directory))
      started:signal "TERM"
      local output, code = started:finish()
      assert.equal(1, code, output)
      assert.matches("1 record was read and not written", output)
      assert.equal(numbers(1, 1), run:waiting())
    end)
  end)

  it("reads credentials again, when it is SIGHUP", function()
    sinking.run(function(run)
      local token = run.directory .. "/token"
      shell.write(token, "token")
      shell.run("mkfifo " .. run.directory .. "/in")
      local started <close> = run:start("-q --roll-records 1",
        ("export AEP_ACCESS_TOKEN_FILE=%s; unset AEP_ACCESS_TOKEN; exec <>%s/in;"):format(token, run.directory))
      shell.run(("%s >%s/in"):format(echo(1, 2), run.directory))
      run:wait_for(function() return run:sent() ~= "" end)
      os.remove(token) -- nobody has looked
      started:signal "HUP"
      shell.run(("%s >%s/in"):format(echo(3, 4), run.directory))
      repeat local line = assert(started:line()) until line:find "AEP_ACCESS_TOKEN_FILE cannot be read"
      shell.write(token, "token")
      run:wait_for(function() return run:sent() == numbers(1, 4) end)
      started:signal "TERM"
      assert.equal(0, select(2, started:finish()))
    end)
  end)

  it("ends it while the spool is full, and says what was not written", function()
    sinking.run(function(run)
      local full = "--file-bytes 100kB --record-bytes 1kB --limit-bytes 200kB --limit-free 1"
      shell.run("mkfifo " .. run.directory .. "/in")
      local started <close> = run:start(full, ("yes '{\"n\":1}' >%s/in & exec <%s/in;"):format(run.directory, run.directory),
        sinking.DOWN)
      repeat local line = assert(started:line()) until line:find "is full"
      started:signal "TERM"
      local output, code = started:finish()
      assert.equal(1, code, output)
      assert.matches("records were .*not written", output)
    end)
  end)
end)

describe("the progress of catalog sink", function()
  it("is one line on a terminal", function()
    if shell.run "command -v script" == "" then pending "script (util-linux) is not there" end
    sinking.run(function(run)
      local line = ("%s | %s %s %s"):format(echo(1, 5), command.environment(run.server), command.PROGRAM, run:words "--wait")
      local output = shell.run(("script -qec %s /dev/null </dev/null"):format(shell.quote(line)))
      assert.matches("\r5 records, %d+/s; spool [%d.]+ k?B; batches 1 sent", output)
      assert.matches("catalog: batch %w+: success, 5 records", output)
    end)
  end)

  it("shows its numbers by HTTP", function()
    sinking.run(function(run)
      shell.write(run.directory .. "/token", "s3cret\n")
      shell.run(("mkfifo %s/pipe"):format(run.directory))
      local started <close> = run:start(("--metrics-listen 127.0.0.1:0 --listen-token-file %s/token %s/pipe"):format(
        run.directory, run.directory))
      local pipe <close> = assert(io.open(run.directory .. "/pipe", "w"))
      pipe:write(numbers(1, 3), "none\n")
      pipe:flush()
      local said
      repeat said = started:line() until not said or said:find "shows its numbers"
      local port = math.tointeger(tonumber(said:match "^catalog: shows its numbers at http://127%.0%.0%.1:(%d+)$"))
      local headers = { Authorization = "Bearer s3cret" }
      run:wait_for(function()
        local status, text = exchange.request(port, "GET", "/metrics", headers)
        return status == 200 and text:find('\ncatalog_sink_records_total{dataset="d"} 3\n', 1, true)
          and text:find('\ncatalog_sink_rejected_total{dataset="d"} 1\n', 1, true)
      end)
      local status, text = exchange.request(port, "GET", "/ready")
      assert.same({ 200, "ready\n" }, { status, text })
      assert.equal(401, (exchange.request(port, "GET", "/metrics")))
      assert.equal(404, (exchange.request(port, "POST", "/", headers, "{}")))
      shell.run("rm -r " .. run.spool)
      repeat said = assert(started:line()) until said:find "removed"
      assert.equal(("catalog: the spool %s: its directory was removed"):format(run.spool), said)
      status, text = exchange.request(port, "GET", "/ready")
      assert.same({ 503, ("the spool %s: its directory was removed\n"):format(run.spool) }, { status, text })
    end)
    assert.matches("%-%-listen%-token%-file is for %-%-metrics%-listen", (command.run(sinking.DOWN,
      "sink --dataset d --spool /nowhere --listen-token-file x </dev/null")))
  end)
end)
