-- Hosts of others deliver to `catalog serve` and to `catalog sink --confirm` by the configurations of examples/serve. They
-- and ours are killed in the middle: everything arrives, some of it perhaps twice, as these hosts deliver at least once.
local command = require "support.command"
local daemons = require "support.daemons"
local ports = require "support.ports"
local serving = require "support.serving"
local shell = require "support.shell"
local sinking = require "support.sinking"

local EACH <const>, ROUNDS <const> = 300, 3

-- How many different records are in the spool and in batches.
local function arrived(run)
  local text = shell.run(("cat %s/seg/*.jsonl 2>/dev/null; find %s/data/files -type f -exec cat {} + 2>/dev/null"):format(
    run.spool, run.directory))
  local seen, count = {}, 0
  for number in text:gmatch '{"n":(%d+)}\n' do
    count, seen[number] = count + (seen[number] and 0 or 1), true
  end
  return count
end

-- Writes records, round by round, and lets something happen when a part of each has arrived.
local function feed(run, happens, first)
  local file <close> = assert(io.open(run.directory .. "/events.jsonl", "ab"))
  for round = 1, ROUNDS do
    file:write(sinking.numbers((round - 1) * EACH + 1, round * EACH))
    file:flush()
    if round == 1 and first then first() end
    run:wait_for(function() return arrived(run) > (round - 1) * EACH end)
    if round < ROUNDS then happens(round) end
  end
  run:wait_for(function() return arrived(run) == ROUNDS * EACH end)
end

-- Everything is in batches that ended well, once what waits was sent.
local function check(run)
  local output, code = run:send()
  assert.equal(0, code, output)
  local seen = {}
  for line in run:sent():gmatch "[^\n]+" do seen[line] = true end
  for line in sinking.numbers(1, ROUNDS * EACH):gmatch "[^\n]+" do
    assert(seen[line], line .. " is lost")
    seen[line] = nil
  end
  assert.same({}, seen)
end

describe("syslog-ng, with http() to catalog serve,", function()
  it("loses nothing when either is killed", function()
    if not daemons.has "syslog-ng" then return pending "syslog-ng is not unpacked in build/hosts" end
    sinking.run(function(run)
      local where = "127.0.0.1:" .. ports.free()
      local function serve()
        local started = serving.start(run.directory, "--roll-seconds 1 --listen " .. where, { url = run.server.url })
        assert(started.port, started.said)
        return started
      end
      -- what no line can be used of is refused, and is rejected once there are others with it
      shell.write(run.directory .. "/events.jsonl", "no record\n")
      local server, host <close> = serve(), daemons.start("syslog-ng", run.directory, "examples/serve/syslog-ng.conf", {
        ["/var/log/app"] = run.directory, ["127.0.0.1:8087"] = where, ["time-reopen(10)"] = "time-reopen(1)",
      })
      local _ <close> = setmetatable({}, { __close = function() server:__close() end })
      run:wait_for(function() return server:metric("catalog_serve_requests_total", 'code="400"') end)
      feed(run, function(round)
        if round % 2 == 0 then
          host:kill()
          host:run()
        else
          server:__close()
          server = serve()
        end
      end)
      host:kill()
      server:stop()
      check(run)
      assert.matches('"text":"no record"', shell.read(run.spool .. "/rejected/records.jsonl"), 1, true)
    end)
  end)
end)

describe("rsyslog, with omprog and catalog sink --confirm,", function()
  it("loses nothing when either is killed", function()
    if not daemons.has "rsyslog" then return pending "rsyslog is not unpacked in build/hosts" end
    sinking.run(function(run)
      local program = run.directory .. "/catalog"
      shell.write(program, ("#!/bin/sh\nunset LD_LIBRARY_PATH\n[ ! -e %s/refuse ] || { : >%s/refused; exit 1; }\ncd %s"
        .. "export %s; exec env %s \"$@\" --roll-seconds 1 2>>%s/said\n"):format(run.directory, run.directory,
        shell.run "pwd", command.environment(run.server), command.PROGRAM, run.directory))
      shell.run("chmod +x " .. program)
      shell.write(run.directory .. "/refuse", "")
      local host <close> = daemons.start("rsyslog", run.directory, "examples/serve/rsyslog.conf", {
        ["/var/log/app"] = run.directory, ["/var/spool/rsyslog"] = run.directory, ["/usr/bin/catalog"] = program,
        ["/var/spool/catalog/events"] = run.spool, ['resumeInterval="10"'] = 'resumeInterval="1"',
        ["5c8c3c555033b814b69f947f"] = "d",
      })
      local function kill_ours() shell.run("kill -9 " .. shell.read(run.spool .. "/lock"):match "%d+") end
      feed(run, function(round)
        if round == 2 then host:kill() end
        kill_ours()
        if round == 2 then host:run() end
      end, function() -- nobody takes anything at first
        run:wait_for(function() return shell.read(run.directory .. "/refused") end)
        host:kill()
        os.remove(run.directory .. "/refuse")
        host:run()
      end)
      host:kill()
      run:wait_for(function() return select(2, run:send()) == 0 end) -- once its program has left
      check(run)
    end)
  end)
end)
