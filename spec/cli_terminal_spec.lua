-- What people see on a terminal, and what is there where none is: in a pipe, and in cron.
local command = require "support.command"
local shell = require "support.shell"

local with_files = command.with_files

-- Runs the program with a terminal as its standard error; gives what it wrote, and its exit code.
local function on_terminal(server, words, before)
  if shell.run "command -v script" == "" then pending "script (bsdutils) is not there" end
  local whole = ("%s %s %s %s"):format(before or "", command.environment(server), command.PROGRAM, words)
  local output, status = shell.run(("script -qec %s /dev/null </dev/null"):format(shell.quote(whole)))
  return output:gsub("\r\n", "\n"), status
end

local DRAWN <const> = "\r[^\n]-\27%[K"

describe("on a terminal", function()
  it("a bar is drawn over itself, and stands at the end", function()
    with_files(function(server, directory)
      local output, status = on_terminal(server, ("ingest --dataset d %s/a.json %s/b.json"):format(directory, directory))
      assert.equal(0, status, output)
      assert.matches("\r%[#+%] 2/2 files, 64 B of 64 B, [%d.]+ k?M?B/s \27%[K\nthe batch is ", output)
      assert.matches("\nbatch %w+: success\n  8 of 8 records are in\n2 files, 64 B in [%d.]+ seconds\n$", output)
    end)
  end)

  it("what is read of a pipe is counted", function()
    with_files(function(server)
      local output, status = on_terminal(server, "ingest --dataset d -", "yes {} | head -n 100000 |")
      assert.equal(0, status, output)
      assert.matches("\r300 kB read \27%[K\n", output)
      local id = command.run(server, "-q create --dataset d --format json"):gsub("%s", "")
      assert.matches("\r[%d.]+ B read \27%[K\nstdin.json: 3 B\n$", (on_terminal(server, ("upload %s -"):format(id), "echo {} |")))
      assert.is_nil(on_terminal(server, "-q ingest --dataset d -", "echo {} |"):find "read")
    end)
  end)

  it("an error has a line of its own", function()
    with_files(function(server, directory)
      for words, before in pairs { [directory .. "/a.json"] = "", ["- --name c.json"] = "echo {} |" } do
        server:set_faults { { match = { method = "PUT" }, action = { status = 400 } } }
        local output, status = on_terminal(server, "ingest --dataset d " .. words, before)
        assert.equal(1, status, output)
        assert.matches(DRAWN .. "\nbatch %w+: aborted\n.*\ncatalog: PUT ", output)
        assert.is_nil(output:find("\27%[K[^\r\n]"), output)
      end
      server:set_faults { { match = { method = "PUT" }, action = { delay_ms = 60000 } } }
      local output = on_terminal(server, ("ingest --dataset d %s/a.json"):format(directory), "timeout -s TERM 1 env")
      assert.matches(DRAWN .. "\ncatalog: ended by SIGTERM\n", output)
    end)
  end)
end)

describe("where no terminal is", function()
  it("nothing is drawn, and the result is alone on standard output", function()
    with_files(function(server, directory)
      local cron = ("env -i PATH=/usr/bin:/bin LUA_PATH=\"$LUA_PATH\" LUA_CPATH=\"$LUA_CPATH\" LD_PRELOAD=%s %s"):format(
        shell.PRELOAD:match "=(%S*)" or "", command.environment(server))
      local words = ("%s %s ingest --dataset d %s/a.json 2>%s/said </dev/null"):format(cron, command.PROGRAM, directory,
        directory)
      local output, status = shell.run(words)
      assert.equal(0, status, output)
      assert.matches("^batch %w+: success\n  5 of 5 records are in\n1 file, 40 B in [%d.]+ seconds\n$", output)
      assert.matches("^1/1 file, 40 B of 40 B\nthe batch is [^\r\27]*success\n$", shell.read(directory .. "/said"))
      -- cron sends what is printed: with --quiet that is nothing but the result
      assert.matches("^%w+\n$", (shell.run(words:gsub("ingest ", "ingest -q ") .. "; cat " .. directory .. "/said")))
    end)
  end)
end)

describe("a batch that has failed", function()
  it("is told with how to learn why", function()
    with_files(function(server, directory)
      local hint <const> = "with --error-diagnostics the service says which rows are bad\n"
      local output = command.run(server, ("ingest --dataset d %s/bad.json"):format(directory))
      assert.matches(hint, output, 1, true)
      output = command.run(server, ("ingest --dataset d --error-diagnostics %s/bad.json"):format(directory))
      local id = output:match "batch (%w+): failed"
      local shown = ("catalog errors %s shows what is wrong with it\n"):format(id)
      assert.matches(shown, output, 1, true)
      assert.matches(shown, (command.run(server, "wait " .. id)), 1, true)
      assert.is_nil(command.run(server, "-q wait " .. id):find(shown, 1, true))
    end)
  end)
end)
