-- How the server listens, how many requests are under way at once, and how it ends.
local emulator = require "catalog.emulator"
local exchange = require "support.exchange"
local readable = require "support.poll"
local serve_kills = require "support.serve_kills"
local service = require "support.service"
local serving = require "support.serving"
local shell = require "support.shell"
local socket = require "cqueues.socket"

local RECORD <const> = '{"n":1}\n'

-- A connection to a port of the loopback, or to a socket.
local function connect(where)
  local connection = assert(type(where) == "number" and socket.connect("127.0.0.1", where) or socket.connect { path = where })
  connection:setmode("b", "bn")
  connection:settimeout(10)
  connection:onerror(function(_, _, why) return why end)
  return connection
end

local function send(connection, bytes)
  connection:write(bytes)
  connection:flush()
end

local function post(body, more)
  return ("POST / HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s"):format(more or "", #body, body)
end

-- The status and the body of the next answer on a connection.
local function read_answer(connection)
  local status, length
  for line in connection:lines "*L" do
    status = status or line:match "^HTTP/1.1 (%d+)"
    length = length or line:lower():match "^content%-length: (%d+)"
    if line == "\r\n" then break end
  end
  return tonumber(status), length and tonumber(length) > 0 and connection:read(tonumber(length)) or ""
end

-- Calls `body(server, set_disk)` with a server whose disk does what is set.
local function with_disk(body)
  shell.with_directory(function(directory)
    local path = directory .. "/disk"
    serving.run("", function(server)
      body(server, function(text) shell.write(path, text) end)
    end, serving.disk(path))
  end)
end

describe("catalog serve", function()
  it("answers requests that wait for the disk together, and others meanwhile", function()
    with_disk(function(server, set_disk)
      local connections = {}
      set_disk "hang"
      for i = 1, 8 do
        connections[i] = connect(server.port)
        send(connections[i], post(RECORD))
      end
      server:wait_for(function() return server:metric "catalog_sink_records_total" == 8 end)
      assert.equal(200, (server:request("GET", "/health")))
      for _, connection in ipairs(connections) do assert.is_false(readable(connection:pollfd(), 0.01)) end
      set_disk ""
      for _, connection in ipairs(connections) do
        assert.equal(200, (read_answer(connection)))
        connection:close()
      end
      assert.equal(RECORD:rep(8), server:taken())
    end)
  end)

  it("takes a request once that comes again while it is taken", function()
    with_disk(function(server, set_disk)
      local record = ('{"n":"%s"}\n'):format(("x"):rep(990))
      local bytes, connections = post(record:rep(12000), "Catalog-Source: s\r\nCatalog-Position: 1\r\n"), {}
      assert.equal(200, (server:post(RECORD)))
      set_disk "hang"
      send(connect(server.port), post(RECORD)) -- has the disk begin to hang
      server:wait_for(function() return server:metric "catalog_sink_records_total" == 2 end)
      for i = 1, 2 do -- it is more than waits for the disk
        connections[i] = connect(server.port)
        send(connections[i], bytes)
      end
      for _ = 1, 10 do assert.equal(200, (server:request("GET", "/health"))) end -- by now both wait
      set_disk ""
      local taken = 0
      for _, connection in ipairs(connections) do
        local status, text = read_answer(connection)
        assert.equal(200, status, text)
        taken = taken + tonumber(text:match '"accepted":(%d+)')
        connection:close()
      end
      assert.equal(12000, taken)
      assert.equal(12000, select(2, server:taken():gsub("xxx\"}", "")))
    end)
  end)

  it("takes one request after another on a connection, and those that are sent at once", function()
    serving.run("", function(server)
      local connection = connect(server.port)
      for _ = 1, 3 do
        send(connection, post(RECORD))
        assert.equal(200, (read_answer(connection)))
      end
      send(connection, post(RECORD):rep(3))
      for _ = 1, 3 do assert.equal(200, (read_answer(connection))) end
      connection:close()
      assert.equal(RECORD:rep(6), server:taken())
    end)
  end)

  it("tells who asks whether to send a body that it will not take", function()
    serving.run("--body-bytes 10", function(server)
      local connection = connect(server.port)
      send(connection, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n")
      assert.equal(413, (read_answer(connection)))
      connection:close()
      connection = connect(server.port)
      send(connection, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n")
      assert.equal(100, (read_answer(connection)))
      send(connection, RECORD)
      assert.equal(200, (read_answer(connection)))
      connection:close()
    end)
  end)

  it("drops what a client sends of a body that it will not take, and goes on with the next", function()
    serving.run("--body-bytes 10", function(server)
      local connection = connect(server.port)
      send(connection, post(("x"):rep(1000000)) .. post(RECORD))
      assert.equal(413, (read_answer(connection)))
      assert.equal(200, (read_answer(connection)))
      connection:close()
      assert.equal(RECORD, server:taken())
    end)
  end)

  it("keeps no more bodies than four of the largest, and tells the others to come again", function()
    serving.run("--body-bytes 64KiB", function(server)
      local body, held = ('{"n":"%s"}'):format(("x"):rep(65000)), {}
      for i = 1, 6 do
        held[i] = connect(server.port)
        send(held[i], post(body):sub(1, -2))
      end
      assert.equal(200, (server:request("GET", "/health")))
      local counts = {}
      for _, connection in ipairs(held) do
        send(connection, "}")
        local status = read_answer(connection)
        counts[status] = (counts[status] or 0) + 1
        connection:close()
      end
      assert.same({ [200] = 4, [429] = 2 }, counts)
      assert.equal(200, (server:post(body)))
    end)
  end)

  it("outlives clients that close in the midst of everything", function()
    serving.run("", function(server)
      for _, bytes in ipairs {
        "P", "POST / HT", post(RECORD):sub(1, -3), post(RECORD), post(RECORD):rep(10),
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        post("\31\139", "Content-Encoding: gzip\r\n"):sub(1, -2),
      } do
        local connection = connect(server.port)
        send(connection, bytes)
        connection:close()
      end
      assert.equal(200, (server:post(RECORD)))
      assert.equal("", exchange.raw(server.port, "nonsense\r\n\r\n"))
      local output, status = server:stop()
      assert.same({ "", 0 }, { output, status })
    end)
  end)
end)

describe("catalog serve, killed at random moments,", function()
  it("has each record once that was posted with a position until it was answered", function()
    serve_kills.run(3, { faults = {} }, 300)
  end)
end)

describe("catalog serve listens", function()
  local function refused(words, before)
    return shell.with_directory(function(directory)
      local server <close> = serving.start(directory, words, { before = before })
      local _, status = server.program:finish()
      assert.equal(1, status, server.said)
      return (server.said:gsub(" %[config%]$", ""))
    end)
  end

  it("on a socket that is its user's alone, and takes the place of one that is left over", function()
    shell.with_directory(function(directory)
      local path = directory .. "/socket"
      local words = "--listen unix:" .. path
      for _ = 1, 2 do
        local server <close> = serving.start(directory, words, { before = "umask 0;" })
        assert.equal("catalog: takes records at unix:" .. path, server.said)
        assert.equal("srw-------", shell.run("ls -l " .. path):match "^%S+")
        local connection = connect(path)
        send(connection, post(RECORD))
        assert.equal(200, (read_answer(connection)))
        connection:close()
        assert.equal(("catalog: cannot listen on %s: Address already in use"):format(path), refused(words))
        server.program:signal "KILL"
        server.program:finish()
        assert.equal("srw-------", shell.run("ls -l " .. path):match "^%S+")
      end
      local server <close> = serving.start(directory, words)
      assert.same({ "", 0 }, { server:stop() })
      assert.is_nil(io.open(path))
      shell.write(path, "kept")
      assert.equal(("catalog: cannot listen on %s: Address already in use"):format(path), refused(words))
      assert.equal("kept", shell.read(path))
    end)
  end)

  it("beyond the loopback with a token only", function()
    for _, address in ipairs { "0.0.0.0", "[::]", "[::ffff:10.0.0.1]" } do
      assert.matches("^catalog: cannot listen on .*, port 0: other machines can reach it; give %-%-listen%-token%-file$",
        refused("--listen " .. address .. ":0"))
    end
    shell.with_directory(function(directory)
      shell.write(directory .. "/token", "s3cret\n")
      serving.run("--listen 0.0.0.0:0 --listen-token-file " .. directory .. "/token", function(server)
        assert.equal(401, (server:post(RECORD)))
      end)
      serving.run("--listen localhost:0", function(server) assert.equal(200, (server:post(RECORD))) end)
    end)
  end)

  it("on the socket that systemd has opened", function()
    if shell.run "command -v systemd-socket-activate" == "" then return pending "systemd-socket-activate is not installed" end
    shell.with_directory(function(directory)
      local path = directory .. "/socket"
      local by = ("systemd-socket-activate -l %s"):format(path)
      for _, name in ipairs {
        "LUA_PATH", "LUA_CPATH", "AEP_BASE_URL", "AEP_IMS_URL", "AEP_ORG", "AEP_API_KEY", "AEP_ACCESS_TOKEN_FILE",
      } do
        by = by .. " -E " .. name
      end
      local server <close> = serving.start(directory, "--listen fd", { by = by .. " env" })
      assert.equal(("Listening on %s as 3."):format(path), server.said)
      local answered
      for _ = 1, 200 do -- it has the socket before it takes anything
        local connection = connect(path)
        send(connection, post(RECORD))
        answered = read_answer(connection)
        connection:close()
        if answered ~= 503 then break end
        shell.run "sleep 0.05"
      end
      assert.equal(200, answered)
      local output, status = server:stop()
      assert.equal(0, status, output)
      assert.matches("catalog: takes records at a socket of systemd's\n$", output)
    end)
  end)

  it("on no socket where systemd has opened none", function()
    assert.equal("catalog: there are 0 sockets of systemd's (LISTEN_FDS), and one is needed", refused "--listen fd")
    assert.equal("catalog: there are 2 sockets of systemd's (LISTEN_FDS), and one is needed",
      refused("--listen fd", "export LISTEN_PID=$$ LISTEN_FDS=2;"))
    assert.matches("^catalog: cannot listen on descriptor 3: ", refused("--listen fd", "export LISTEN_PID=$$ LISTEN_FDS=1;"))
  end)
end)

-- One request on a connection of its own; nil: nobody listens.
local function ask(path, request)
  local connection = connect(path)
  send(connection, request)
  local status, body = read_answer(connection)
  connection:close()
  return status, body
end

local READY <const>, HEALTH <const> = "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n", "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"

describe("catalog serve, started", function()
  it("lives, and takes nothing until its spool is open", function()
    shell.with_directory(function(directory)
      local platform <close> = assert(emulator.start {})
      assert(service.client(platform.url):create_dataset { name = "People" })
      platform:set_faults { { match = { path = "dataSets" }, action = { status = 503 } } }
      local path = directory .. "/socket"
      local server <close> = serving.start(directory, "--dataset-name People --limit-free 0 --listen unix:" .. path,
        { url = platform.url, is_quiet = true })
      server:wait_for(function() return ask(path, HEALTH) == 200 end)
      local text = "the server starts; send this again"
      assert.same({ 503, text .. "\n" }, { ask(path, READY) })
      assert.same({ 503, ('{"error":"%s"}\n'):format(text) }, { ask(path, post(RECORD)) })
      platform:set_faults()
      server:wait_for(function() return ask(path, READY) == 200 end)
      assert.equal(200, (ask(path, post(RECORD))))
    end)
  end)
end)

describe("catalog serve, ended", function()
  it("says so to who is connected already", function()
    shell.with_directory(function(directory)
      local manager = assert(socket.listen { path = directory .. "/notify", type = socket.SOCK_DGRAM })
      manager:setmode("b", "bn")
      manager:settimeout(10)
      local disk = directory .. "/disk"
      local server <close> = serving.start(directory, "--limit-free 0",
        { before = ("%s export NOTIFY_SOCKET=%s/notify;"):format(serving.disk(disk), directory) })
      assert.equal("READY=1", manager:read(7))
      local waiting, asking, posting = connect(server.port), connect(server.port), connect(server.port)
      for _, connection in ipairs { asking, posting } do
        send(connection, HEALTH)
        assert.equal(200, (read_answer(connection)))
      end
      shell.write(disk, "hang") -- so that it does not end before it was asked
      send(waiting, post(RECORD))
      server:wait_for(function() return server:metric "catalog_sink_records_total" == 1 end)
      server.program:signal "TERM"
      assert.equal("STOPPING=1", manager:read(10))
      send(asking, READY)
      send(posting, post(RECORD))
      local text = "the server stops; send this again"
      assert.same({ 503, text .. "\n" }, { read_answer(asking) })
      assert.same({ 503, ('{"error":"%s"}\n'):format(text) }, { read_answer(posting) })
      shell.write(disk, "")
      assert.same({ "", 0 }, { server.program:finish() })
      for _, one in ipairs { waiting, asking, posting, manager } do one:close() end
    end)
  end)

  it("answers what it has, and takes no more", function()
    with_disk(function(server, set_disk)
      local connection, idle = connect(server.port), connect(server.port)
      set_disk "hang"
      send(idle, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n{")
      send(connection, post(RECORD))
      server:wait_for(function() return server:metric "catalog_sink_records_total" == 1 end)
      server.program:signal "TERM"
      set_disk ""
      assert.same({ "", 0 }, { server.program:finish() })
      assert.equal(200, (read_answer(connection)))
      connection:close()
      idle:close()
      assert.equal(RECORD, server:taken())
    end)
  end)

  it("says how many records the disk has not taken, and fails", function()
    with_disk(function(server, set_disk)
      assert.equal(200, (server:post(RECORD)))
      local connection = connect(server.port)
      set_disk "fail"
      send(connection, post(RECORD:rep(3)))
      server:wait_for(function() return server:metric "catalog_sink_blocked" == 1 end)
      local output, status = server:stop()
      assert.equal(1, status)
      assert.matches("catalog: 3 records were not written to the spool: Input/output error %[config%]\n$", output)
      assert.equal(503, (read_answer(connection)))
      connection:close()
    end)
  end)

  it("goes on after SIGHUP, which lets it read its token again", function()
    shell.with_directory(function(directory)
      local path = directory .. "/token"
      shell.write(path, "first\n")
      serving.run("--listen-token-file " .. path, function(server)
        shell.write(path, "\n")
        server.program:signal "HUP"
        assert.equal(("catalog: --listen-token-file cannot be used: %s is empty [config]"):format(path), server.program:line())
        assert.equal(200, (server:post(RECORD, { Authorization = "Bearer first" })))
        shell.write(path, "second\n")
        server.program:signal "HUP"
        server.program:signal "INT"
        assert.same({ "", 0 }, { server.program:finish() })
      end)
    end)
  end)

  it("tells systemd when it is ready, and when it stops", function()
    shell.with_directory(function(directory)
      local path = directory .. "/notify"
      local manager = assert(socket.listen { path = path, type = socket.SOCK_DGRAM })
      manager:setmode("b", "bn")
      manager:settimeout(10)
      local server <close> = serving.start(directory, "", { before = ("export NOTIFY_SOCKET=%s;"):format(path) })
      assert.equal("READY=1", (manager:read(7)))
      server:stop()
      assert.equal("STOPPING=1", (manager:read(10)))
      manager:close()
    end)
  end)
end)
