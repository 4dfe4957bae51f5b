-- The C host of examples/host-hooks: one that calls hooks, and whose calls never wait.
local program = require "support.program"
local shell = require "support.shell"
local sinking = require "support.sinking"

local BUILD <const> = os.getenv "CATALOG_BUILD" or "build"

-- The hooks of the example, with a sink that is soon full.
local HOOKS <const> = [[
local Client = require "catalog.client.client"
require "catalog.sink.open"
local open = Client.sink
function Client:sink(given)
  given.roll, given.limit = { bytes = 3e5 }, { bytes = 6e5, free = 0 }
  given.file_bytes, given.record_bytes, given.sync_seconds = 5e4, 1e4, 0.01
  return open(self, given)
end
return dofile "examples/host-hooks/hooks.lua"
]]

-- Starts the host with an input, which is as a shell has it.
local function start(run, url, input)
  local script = run.directory .. "/hooks.lua"
  shell.write(script, HOOKS)
  return program.run(url, ("%s/host-hooks %s d %s %s"):format(shell.quote(BUILD), script, run.spool, input))
end

describe("the C host that has hooks only", function()
  it("is killed and goes on, and each line is in the platform once", function()
    sinking.run(function(run)
      local last, script, fifo = 6000, run.directory .. "/feed.py", run.directory .. "/fifo"
      shell.run("mkfifo " .. fifo)
      shell.write(script, [[
import sys, time
with open(sys.argv[1], "w", 1) as pipe: # a second, in all
    for n in range(1, int(sys.argv[2]) + 1):
        pipe.write("line %d %s\n" % (n, "." * 50))
        if n % 100 == 0:
            time.sleep(0.016)
]])
      local output, status
      for i = 1, 4 do
        local fed = shell.start(("timeout 60 python3 %s %s %d 2>/dev/null"):format(script, fifo, last))
        local running <close> = start(run, run.server.url, "<" .. fifo)
        if i < 4 then
          shell.run(("sleep %.3f"):format(0.2 + math.random() * 0.7))
          running:signal "KILL"
        end
        output, status = running:finish()
        fed()
      end
      assert.equal(0, status, output)
      output, status = run:send()
      assert.equal(0, status, output)
      local counts = {}
      for number in run:sent():gmatch '"number":(%d+)[,}]' do
        number = tonumber(number)
        counts[number] = (counts[number] or 0) + 1
      end
      for number = 1, last do assert.equal(1, counts[number], number) end
      assert.equal(last, #counts)
    end)
  end)

  it("reads no further while there is no room, and ends when it is told to", function()
    sinking.run(function(run)
      local script, fifo = run.directory .. "/send.py", run.directory .. "/fifo"
      shell.write(script, [[
import os, select, sys, time
pipe = os.open(sys.argv[1], os.O_WRONLY)
os.set_blocking(pipe, False)
sent, since = 0, time.monotonic()
while sent < 20e6 and time.monotonic() < since + 1.2: # its timer has had a chance
    try:
        sent += os.write(pipe, b"x" * 99 + b"\n")
        since = time.monotonic()
    except BlockingIOError:
        time.sleep(0.01)
print(sent, flush=True)
until_it_ends = select.poll()
until_it_ends.register(pipe, 0)
until_it_ends.poll()
]])
      shell.run("mkfifo " .. fifo)
      local sender <close> = assert(io.popen(("timeout 60 python3 %s %s 2>&1"):format(script, fifo)))
      local running <close> = start(run, sinking.DOWN.url, "<" .. fifo)
      local sent = sender:read "n"
      assert.is_true(sent < 20e6) -- it has to wait
      running:signal "TERM"
      local output, status = running:finish()
      assert.equal(0, status, output)
      local lines = select(2, run:waiting():gsub("\n", ""))
      assert.is_true(lines > 1000 and lines < sent // 100, lines)
    end)
  end)

  it("says what is wrong", function()
    sinking.run(function(run)
      local host = shell.quote(BUILD) .. "/host-hooks"
      assert.same({ "usage: host-hooks SCRIPT DATASET SPOOL <FILE\n", 2 }, { shell.run(host) })
      local output, status = shell.run(("%s /nowhere.lua d %s </dev/null"):format(host, run.spool))
      assert.matches("host-hooks: cannot open /nowhere.lua", output, 1, true)
      assert.equal(1, status)
      output, status = program.run(sinking.DOWN.url, ("%s examples/host-hooks/hooks.lua d /proc/none </dev/null"):format(
        host)):finish()
      assert.matches("host%-hooks: .*/proc/none.*%[config%]", output)
      assert.equal(1, status)
      shell.write(run.directory .. "/short.lua", "return { init = function() return 0 end }")
      output = shell.run(("echo a | %s %s/short.lua d %s"):format(host, run.directory, run.spool))
      assert.equal("host-hooks: the script has no function 'process'\n", output)
    end)
  end)
end)
