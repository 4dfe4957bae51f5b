-- The examples that live in a loop, each as a program of its own.
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local hurry = require "support.hurry"
local least = require "support.least"
local program = require "support.program"
local shell = require "support.shell"
local socket = require "cqueues.socket"

-- All lines of the files of all batches, sorted.
local function lines_in(data)
  local lines = {}
  for line in shell.run(("cat %s/files/*/* | sort"):format(data)):gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

local function connect(port)
  local connection = assert(socket.connect("127.0.0.1", port))
  connection:setmode("b", "bn")
  connection:settimeout(30)
  return connection
end

local function with_server(options, body)
  shell.with_directory(function(directory)
    options.data_dir = directory .. "/data"
    options.log = options.log and directory .. "/log"
    local server <close> = assert(emulator.start(options))
    body(directory, server)
  end)
end

describe("the example receiver.lua", function()
  -- Sends so many records at once, and reads an answer to each: number -> what it said.
  local function send(port, count, extra)
    local connection, answers = connect(port), {}
    local texts = {}
    for i = 1, count do texts[i] = ('{"n":%d}\n'):format(i) end
    connection:write(table.concat(texts) .. (extra or ""))
    for _ = 1, count + (extra and 1 or 0) do
      local number, what = connection:read("*l"):match "^(%d+) (%w+)$"
      answers[tonumber(number)] = what
    end
    connection:close()
    return answers
  end

  local function start(server, more, before)
    local running = program.start(server.url, "examples/receiver.lua 0 d " .. more, before)
    return running, tonumber(running:line():match "^listening on port (%d+)$")
  end

  it("ingests every record once, in batches, and answers when they are in", function()
    with_server({ latency_ms = 2 }, function(directory, server)
      local running <close>, port = start(server, "10 0.2")
      local answers = send(port, 95, "no json\n")
      for i = 1, 95 do assert.equal("ok", answers[i]) end
      assert.equal("bad", answers[96])
      running:signal "TERM"
      local rest, status = running:finish()
      assert.equal(0, status, rest)
      assert.equal(95, #lines_in(directory .. "/data"))
      assert.equal(9, select(2, rest:gsub("10 records in batch", "")))
      assert.matches("\n5 records in batch", "\n" .. rest)
    end)
  end)

  it("keeps what it cannot get in, and tries again", function()
    with_server({}, function(directory, server)
      server:set_faults { { times = 6, action = { status = 400, body = '{"title":"Not now"}' } } }
      local running <close>, port = start(server, "3 0.05", hurry.PROGRAM)
      assert.same({ "ok", "ok", "ok" }, send(port, 3))
      assert.same({ '{"n":1}', '{"n":2}', '{"n":3}' }, lines_in(directory .. "/data"))
      running:signal "INT"
      local rest, status = running:finish()
      assert.equal(0, status, rest)
      assert.matches("Not now.*; trying again", rest)
    end)
  end)

  it("lives on when a sender leaves before its answers, or reads none of them", function()
    with_server({}, function(directory, server)
      local running <close>, port = start(server, "500 0.1")
      local leaver, deaf = connect(port), connect(port)
      leaver:write(('{"n":1}\n'):rep(500))
      leaver:close()
      for _ = 1, 60 do deaf:write(("x\n"):rep(1000)) end
      assert.same({ "ok", "ok" }, send(port, 2))
      deaf:close()
      assert.same({ "ok" }, send(port, 1))
      running:signal "TERM"
      local rest, status = running:finish()
      assert.equal(0, status, rest)
      assert.equal(503, #lines_in(directory .. "/data"))
    end)
  end)

  it("reads no more than it can get in: its senders have to wait", function()
    with_server({ latency_ms = 200 }, function(directory, server)
      local running <close>, port = start(server, "2 0.1")
      shell.write(directory .. "/send.py", ([[
import socket
sender = socket.create_connection(("127.0.0.1", %d), 1)
try:
    sender.sendall(b'{"n":1}\n' * 4194304) # 32 MiB, far more than the system buffers
    print("all of it was taken")
except TimeoutError:
    print("it has to wait")
]]):format(port))
      assert.equal("it has to wait\n", (shell.run(("timeout 60 python3 %s/send.py"):format(directory))))
      running:signal "KILL"
    end)
  end)

  it("takes long lines, and no more of who sends one that never ends", function()
    with_server({}, function(_, server)
      local running <close>, port = start(server, "3 0.1")
      local long = connect(port)
      long:write('{"n":1}\n{"long":"' .. ("x"):rep(200000) .. '"}\n{"n":3}\n')
      assert.same({ "1 ok", "2 ok", "3 ok" }, { long:read("*l", "*l", "*l") })
      long:write(("x"):rep(1024 * 1024))
      assert.equal("4 bad", long:read "*l")
      assert.is_nil(long:read "*l")
      assert.same({ "ok" }, send(port, 1))
      running:signal "TERM"
      assert.equal(0, select(2, running:finish()))
    end)
  end)

  it("goes on when descriptors run out for a while", function()
    with_server({}, function(_, server)
      local running <close>, port = start(server, "1 0.1", "ulimit -n 40;")
      local held = {}
      for i = 1, 50 do held[i] = connect(port) end
      shell.run "sleep 0.3"
      for _, connection in ipairs(held) do connection:close() end
      assert.same({ "ok" }, send(port, 1))
      running:signal "TERM"
      local rest, status = running:finish()
      assert.equal(0, status, rest)
      assert.matches("no connection can be taken now", rest, 1, true)
    end)
  end)

  it("takes no line that would spoil a batch", function()
    with_server({}, function(directory, server)
      local running <close>, port = start(server, "2 0.1")
      local connection = connect(port)
      for i, line in ipairs {
        '{"n":NaN}', '{"n":0x10}', '[1]', '"x"', '{"s":"\xFF"}', "", "{", '{"n":1}{', '{"n":1}', ' {"n":2}\r',
      } do
        connection:write(line, "\n")
        if i < 9 then assert.equal(i .. " bad", connection:read "*l") end
      end
      assert.same({ "9 ok", "10 ok" }, { connection:read("*l", "*l") })
      assert.same({ ' {"n":2}\r', '{"n":1}' }, lines_in(directory .. "/data"))
      running:signal "KILL"
    end)
  end)

  it("answers nothing before the service has said that the records are in", function()
    with_server({}, function(directory, server)
      server:set_faults { { match = { path = "/catalog/batches/" }, action = { status = 403 } } }
      local running <close>, port = start(server, "1 0.05")
      local connection = connect(port)
      connection:onerror(function(_, _, why) return why end)
      connection:write '{"n":1}\n'
      assert.matches("403.*; trying again", running:line()) -- it has been completed by now
      connection:settimeout(0.5)
      assert.is_nil((connection:read "*l"))
      connection:clearerr()
      connection:settimeout(30)
      server:set_faults {}
      assert.equal("1 ok", connection:read "*l")
      assert.same({ '{"n":1}' }, lines_in(directory .. "/data"))
      running:signal "KILL"
    end)
  end)

  it("says which records the service has refused", function()
    with_server({ log = true }, function(directory, server)
      local running <close>, port = start(server, "2 0.05")
      server:set_faults { { match = { method = "PUT" }, action = { status = 400, body = '{"title":"Not these"}' } } }
      assert.same({ "refused", "refused" }, send(port, 2))
      assert.matches("2 records are answered 'refused': .*Not these", running:line())
      assert.matches("action=ABORT", shell.read(directory .. "/log"), 1, true)
      server:set_faults {}
      assert.same({ "ok", "ok" }, send(port, 2))
      running:signal "KILL"
    end)
    local server <close> = least.start "failed"
    local running <close>, port = start(server, "2 0.05")
    assert.same({ "refused", "refused" }, send(port, 2))
    assert.matches("the batch b1 ended as failed", running:line(), 1, true)
    running:signal "KILL"
  end)

  it("says complete again when the answer was lost, and ingests nothing twice", function()
    with_server({}, function(directory, server)
      local running <close>, port = start(server, "2 0.05", hurry.PROGRAM)
      server:set_faults {
        { match = { path = "action=COMPLETE" }, times = 12, action = { drop = "after" } },
        { match = { path = "/catalog/batches/" }, times = 3, action = { status = 403 } },
      }
      assert.same({ "ok", "ok" }, send(port, 2))
      assert.same({ '{"n":1}', '{"n":2}' }, lines_in(directory .. "/data"))
      running:signal "KILL"
    end)
  end)

  it("keeps its senders while the platform is down", function()
    with_server({}, function(directory, server)
      local running <close>, port = start(server, "2 0.05", hurry.PROGRAM)
      server:stop()
      local connection = connect(port)
      connection:write '{"n":1}\n{"n":2}\n'
      assert.matches("; trying again", running:line(), 1, true)
      local back <close> = assert(emulator.start { port = server.port, data_dir = directory .. "/back" })
      assert.same({ "1 ok", "2 ok" }, { connection:read("*l", "*l") })
      assert.same({ '{"n":1}', '{"n":2}' }, lines_in(directory .. "/back"))
      back:stop()
      -- and ends at the second signal, since what it has taken cannot be ingested
      connection:write '{"n":3}\n'
      shell.run "sleep 0.3"
      running:signal "TERM"
      shell.run "sleep 0.3"
      running:signal "TERM"
      assert.equal(1, select(2, running:finish()))
      assert.is_nil((connection:read "*l"))
    end)
  end)

  it("says that its port is another's", function()
    with_server({}, function(_, server)
      local output, status = program.start(server.url, ("examples/receiver.lua %d d"):format(server.port)):finish()
      assert.equal(("cannot listen on port %d: Address already in use\n"):format(server.port), output)
      assert.equal(1, status)
    end)
  end)

  it("ingests what it holds when it is told to end", function()
    with_server({}, function(directory, server)
      local running <close>, port = start(server, "100 3600")
      local connection = connect(port)
      connection:write '{"n":1}\nbad\n'
      assert.equal("2 bad", connection:read "*l") -- so the first has been read
      running:signal "TERM"
      assert.equal("1 ok", connection:read "*l")
      connection:close()
      local _, status = running:finish()
      assert.equal(0, status)
      assert.same({ '{"n":1}' }, lines_in(directory .. "/data"))
    end)
  end)
end)

describe("the example watch_luv.lua", function()
  it("ingests what is there and what appears, several at once, and puts it away", function()
    with_server({ latency_ms = 5 }, function(directory, server)
      local watched = directory .. "/watched"
      assert(core.fs.mkdir(watched))
      shell.write(watched .. "/before.json", '{"n":1}\n')
      shell.write(watched .. "/other.txt", "x")
      local running <close> = program.start(server.url, ("examples/watch_luv.lua %s d 0.2"):format(watched))
      assert.equal("watching", running:line())
      shell.write(watched .. "/good.json", '{"n":2}\n{"n":3}\n')
      shell.write(watched .. "/bad.json", "no json\n")
      local said = {}
      for _ = 1, 3 do
        local name, text = running:line():match "^(%S+): (.*)$"
        said[name] = text
      end
      assert.matches("^1 records in batch", said["before.json"])
      assert.matches("^2 records in batch", said["good.json"])
      assert.matches("ended as failed", said["bad.json"], 1, true)
      running:signal "TERM"
      local rest, status = running:finish()
      assert.equal(0, status, rest)
      local moved = shell.run(("cd %s && ls done failed | grep json | sort"):format(watched))
      assert.equal("bad.json\nbefore.json\ngood.json\n", moved)
    end)
  end)

  it("does without the service's counts", function()
    with_server({ faults = { { action = { leave_out = "metrics" } } } }, function(directory, server)
      local watched = directory .. "/watched"
      assert(core.fs.mkdir(watched))
      shell.write(watched .. "/a.json", '{"n":1}\n')
      local running <close> = program.start(server.url, ("examples/watch_luv.lua %s d 0.2"):format(watched))
      assert.equal("watching", running:line())
      assert.matches("^a.json: an unknown number of records in batch %w+$", running:line())
      running:signal "TERM"
      local rest, status = running:finish()
      assert.equal(0, status, rest)
    end)
  end)
end)

describe("the example watch_luv.lua", function()
  it("shows its progress on a terminal, in one line", function()
    with_server({ latency_ms = 50 }, function(directory, server)
      local watched = directory .. "/watched"
      assert(core.fs.mkdir(watched))
      for i = 1, 3 do shell.write(("%s/f%d.json"):format(watched, i), ("{}\n"):rep(1000)) end
      local variables = ("AEP_BASE_URL=%s AEP_ORG=o AEP_API_KEY=k AEP_ACCESS_TOKEN=t"):format(server.url)
      local words = ("timeout -s INT 3 env %s %s examples/watch_luv.lua %s d 0.2"):format(variables, shell.LUA, watched)
      local output = shell.run(("script -qec %s /dev/null </dev/null"):format(shell.quote(words)))
      assert.matches("\r\27%[Kf%d.json %d+%%", output)
      for i = 1, 3 do assert.matches(("f%d.json: 1000 records in batch"):format(i), output, 1, true) end
    end)
  end)
end)

describe("the example watch_luv.lua, in disorder", function()
  it("goes on when a file vanishes, or changes while it is sent", function()
    with_server({ latency_ms = 150 }, function(directory, server)
      local watched = directory .. "/watched"
      assert(core.fs.mkdir(watched))
      local running <close> = program.start(server.url, ("examples/watch_luv.lua %s d 0.2"):format(watched))
      assert.equal("watching", running:line())
      shell.write(watched .. "/early.json", "{}\n")
      shell.run(("rm %s/early.json"):format(watched)) -- before it is taken
      shell.write(watched .. "/gone.json", '{"n":1}\n')
      shell.run(("while ! rm %s/work/gone.json 2>/dev/null; do sleep 0.02; done"):format(watched)) -- afterwards
      local writer = shell.start(("for i in 1 2 3 4 5 6; do echo '{}' >>%s/busy.json; sleep 0.3; done"):format(watched))
      local said = {}
      for _ = 1, 2 do
        local name = running:line():match "^(%S+): "
        said[name] = true
      end
      writer()
      assert.is_true(said["gone.json"])
      shell.write(watched .. "/again.json", '{"n":"first"}\n')
      shell.run(("sleep 0.5; echo '{\"n\":\"second\"}' >%s/new; mv %s/new %s/again.json"):format(watched, watched, watched))
      local count = 0
      while count < 2 do
        if running:line():find "^again.json: 1 records" then count = count + 1 end
      end
      assert.matches("second", shell.run(("cat %s/files/*/again.json"):format(directory .. "/data")), 1, true)
      running:signal "TERM"
      local rest, status = running:finish()
      assert.equal(0, status, rest)
    end)
  end)
end)

describe("an example in a loop", function()
  it("says how it is used, and what is missing", function()
    for _, name in ipairs { "receiver", "watch_luv" } do
      local output, status = shell.run(("%s examples/%s.lua"):format(shell.LUA, name))
      assert.equal(2, status)
      assert.matches("^usage: lua5.4 " .. name .. ".lua ", output)
      output, status = shell.run(("unset AEP_ORG; %s examples/%s.lua 0 d"):format(shell.LUA, name))
      assert.equal(1, status)
      assert.matches("org is missing", output, 1, true)
    end
  end)
end)
