-- The examples that live in a loop, each as a program of its own.
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local program = require "support.program"
local shell = require "support.shell"
local sinking = require "support.sinking"
local socket = require "cqueues.socket"

local numbers = sinking.numbers

local function connect(port)
  local connection = assert(socket.connect("127.0.0.1", port))
  connection:setmode("b", "bn")
  connection:settimeout(30)
  assert(connection:connect())
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

-- The options of a sink that is small, whose pauses pass faster, for `program.start`.
local SMALL <const> = [[export LUA_INIT='
  local Client = require("catalog.client.client")
  require("catalog.sink.open")
  local open = Client.sink
  function Client:sink(given)
    given.roll, given.file_bytes, given.limit = { bytes = 1e6 }, 1e6, { bytes = 2e6, free = 0 }
    return open(self, given)
  end
  require("support.hurry").always()';]]

-- Pauses of cqueues take the hundredth of their time.
local BUSY <const> = [[export LUA_INIT='
  local cqueues = require("cqueues")
  local sleep = cqueues.sleep
  function cqueues.sleep(seconds) sleep(seconds / 100) end';]]

local NOBODY <const> = "http://127.0.0.1:1"

describe("the example receiver.lua", function()
  local function start(run, url, before)
    local running = program.start(url, "examples/receiver.lua 0 d " .. run.spool, before)
    local line = running:line()
    while line:find "the access token is fixed" do line = running:line() end
    return running, tonumber(line:match "listening on port (%d+)$")
  end

  -- Starts it where the platform is down, or elsewhere; calls `body(port, running)`, and ends it.
  local function serve(run, body, url, before)
    local running <close>, port = start(run, url or NOBODY, before)
    body(port, running)
    running:signal "TERM"
    local rest, status = running:finish()
    assert.equal(0, status, rest)
    return rest
  end

  -- Sends text and asks; gives the answer.
  local function ask(connection, text)
    connection:write(text .. "\n")
    return tonumber((connection:read "*l"))
  end

  it("has what it answered for on disk, and the next start sends it", function()
    sinking.run(function(run)
      serve(run, function(port)
        local connection, other = connect(port), connect(port)
        assert.equal(3, ask(connection, numbers(1, 3)))
        assert.equal(numbers(1, 3), run:waiting())
        assert.equal(1, ask(other, numbers(4, 4)))
        assert.equal(5, ask(connection, "no json\n" .. numbers(5, 5)))
        connection:write '{"n":6}'
        connection:shutdown "w"
        assert.same({ "6" }, { connection:read("*l", "*l") })
        other:write(numbers(7, 7)) -- it asks nothing, and neither leaves
        run:wait_for(function() return ask(other, "") == 2 end)
      end)
      assert.matches('"text":"no json"', shell.read(run.spool .. "/rejected/records.jsonl"), 1, true)
      local output, status = run:send()
      assert.equal(0, status, output)
      assert.equal(numbers(1, 7), run:sent())
    end)
  end)

  it("loses nothing that it answered for when it is killed, and goes on", function()
    sinking.run(function(run)
      local answered, last = {}, 0
      for _ = 1, 4 do
        local running <close>, port = start(run, run.server.url, SMALL)
        local connection, first = connect(port), last
        connection:onerror(function(_, _, why) return why end)
        local pipe = shell.start(("sleep %.3f; kill -9 %s"):format(0.05 + math.random() * 0.2, running.pid))
        repeat
          connection:write(numbers(last + 1, last + 20) .. "\n")
          last = last + 20
          local answer = tonumber((connection:read "*l"))
          for i = 1, answer or 0 do answered[first + i] = true end
        until not answer
        pipe()
      end
      local output, status = run:send()
      assert.equal(0, status, output)
      local counts = {}
      for n in run:sent():gmatch '{"n":(%d+)}\n' do counts[tonumber(n)] = (counts[tonumber(n)] or 0) + 1 end
      assert.is_true(#answered > 0)
      for n = 1, last do assert(counts[n] == 1 or not counts[n] and not answered[n], n) end
    end)
  end)

  it("lives on when a sender leaves, or reads none of its answers", function()
    sinking.run(function(run)
      serve(run, function(port)
        local leaver = connect(port)
        leaver:write(numbers(1, 500) .. "\n")
        leaver:close()
        shell.write(run.directory .. "/deaf.py", ([[
import socket, sys
sender = socket.socket()
sender.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
sender.settimeout(0.5)
sender.connect(("127.0.0.1", %d))
try:
    while True:
        sender.send(b"\n" * 100000)
except TimeoutError:
    print("nothing is read any more", flush=True)
sys.stdin.readline()
]]):format(port))
        local deaf <close> = assert(io.popen(("sleep 2 | timeout 60 python3 %s/deaf.py 2>&1"):format(run.directory)))
        assert.equal("nothing is read any more", deaf:read "*l")
        assert.equal(2, ask(connect(port), numbers(501, 502)))
        assert.equal("", deaf:read "*a")
        assert.equal(1, ask(connect(port), numbers(503, 503)))
        run:wait_for(function() return run:waiting() == numbers(1, 503) end)
      end)
    end)
  end)

  it("reads nothing while the spool is full, and goes on when there is room", function()
    sinking.run(function(run)
      run.server:stop()
      serve(run, function(port)
        shell.write(run.directory .. "/send.py", ([[
import socket, sys
sender = socket.create_connection(("127.0.0.1", %d), 1)
line = b'{"s":"' + b'x' * 9000 + b'"}\n'
sent = 0
def send():
    global sent
    while sent < 32000000:
        sent += sender.send((line * 3600)[sent:sent + 1000000])
try:
    send()
    print("all of it was taken", flush=True)
except TimeoutError:
    print("it has to wait", flush=True)
sys.stdin.readline()
sender.settimeout(60)
send()
sender.shutdown(socket.SHUT_WR)
print(sender.recv(100).decode(), end="", flush=True)
]]):format(port))
        local again = run.directory .. "/again"
        shell.run("mkfifo " .. again)
        local sender <close> = assert(io.popen(("timeout 90 python3 %s/send.py 2>&1 <%s"):format(run.directory, again)))
        local pipe <close> = assert(io.open(again, "w"))
        assert.equal("it has to wait", sender:read "*l")
        local _ <close> = assert(emulator.start { port = run.server.port })
        pipe:write "\n"
        pipe:flush()
        assert.equal(("%d"):format(32000000 // 9009 + 1), sender:read "*l")
      end, run.server.url, SMALL)
    end)
  end)

  it("takes long lines, and no more of who sends one that never ends", function()
    sinking.run(function(run)
      serve(run, function(port)
        local long = connect(port)
        local text = '{"n":1}\n{"long":"' .. ("x"):rep(900000) .. '"}\n'
        assert.equal(2, ask(long, text))
        long:onerror(function(_, _, why) return why end)
        long:write(("x"):rep(3000000))
        long:read "*a"
        assert.equal(1, ask(connect(port), numbers(3, 3)))
        assert.equal(text .. numbers(3, 3), run:waiting())
        assert.matches('"reason":"the record has 1000100 bytes', shell.read(run.spool .. "/rejected/records.jsonl"))
      end)
    end)
  end)

  it("goes on when descriptors run out for a while", function()
    sinking.run(function(run)
      local rest = serve(run, function(port)
        local held = {}
        for i = 1, 60 do held[i] = connect(port) end
        held[1]:write(numbers(1, 1) .. "\n") -- there is none for its file either
        shell.run "sleep 0.3"
        for i = 2, #held do held[i]:close() end
        assert.equal("1", held[1]:read "*l")
        assert.equal(1, ask(connect(port), numbers(2, 2)))
      end, NOBODY, "ulimit -n 50;" .. BUSY)
      assert.matches("receiver: no connection can be taken: errno 24", rest, 1, true)
      assert.equal(numbers(1, 2), run:waiting())
    end)
  end)

  it("takes a hundred senders at a time, and then the others", function()
    sinking.run(function(run)
      serve(run, function(port)
        local held = {}
        for i = 1, 101 do
          held[i] = connect(port)
          held[i]:write(numbers(i, i) .. "\n")
        end
        for i = 1, 100 do assert.equal("1", held[i]:read "*l") end
        held[101]:settimeout(0.2)
        held[101]:onerror(function(_, _, why) return why end)
        assert.is_nil((held[101]:read "*l"))
        held[101]:clearerr()
        held[101]:settimeout(30)
        held[1]:close()
        assert.equal("1", held[101]:read "*l")
      end)
    end)
  end)

  it("says that its port is another's, and that its spool is", function()
    sinking.run(function(run)
      local output, status = program.start(NOBODY, ("examples/receiver.lua %d d %s"):format(
        run.server.port, run.spool)):finish()
      assert.matches(("receiver: port %d cannot be listened on\n"):format(run.server.port), output, 1, true)
      assert.equal(1, status)
      serve(run, function()
        output, status = program.start(NOBODY, "examples/receiver.lua 0 d " .. run.spool):finish()
        assert.matches("receiver: the spool .* is another sink's", output)
        assert.equal(1, status)
      end)
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
    for name, words in pairs { receiver = "0 d /nowhere", watch_luv = "0 d" } do
      local output, status = shell.run(("%s examples/%s.lua"):format(shell.LUA, name))
      assert.is_true(status == 1 or status == 2)
      assert.matches("usage: lua5.4 " .. name .. ".lua ", output)
      output, status = shell.run(("unset AEP_ORG; %s examples/%s.lua %s"):format(shell.LUA, name, words))
      assert.equal(1, status)
      assert.matches("org is missing", output, 1, true)
    end
  end)
end)
