-- The server under the emulator: clients that close, keep quiet, or send half of a request.
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local exchange = require "support.exchange"
local shell = require "support.shell"
local socket = require "cqueues.socket"

local BATCHES <const> = "/data/foundation/import/batches"
local CATALOG <const> = "/data/foundation/catalog/batches"
local HEADERS <const> = "Authorization: Bearer t\r\nx-api-key: k\r\nx-gw-ims-org-id: o\r\nx-sandbox-name: prod\r\n"

-- Connects, and sends some bytes.
local function connect(port, bytes)
  local connection = assert(socket.connect("127.0.0.1", port))
  connection:setmode("b", "bn")
  connection:settimeout(10)
  connection:onerror(function(_, _, why) return why end)
  connection:write(bytes)
  connection:flush()
  return connection
end

local POST <const> = "POST " .. BATCHES .. " HTTP/1.1\r\nHost: x\r\n" .. HEADERS .. "Content-Type: application/json\r\n"

-- Parts of requests.
local PARTS <const> = {
  "G", "GET / HTTP/1.1\r\nHo", "GET / HTTP/1.1\r\nHost: x\r\n", POST .. "Content-Length: 100\r\n\r\n{",
  POST .. "Transfer-Encoding: chunked\r\n\r\n5\r\n{", POST .. "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx:",
  "PUT " .. BATCHES .. "/b/datasets/d/files/f HTTP/1.1\r\nHost: x\r\n" .. HEADERS .. "Content-Length: 100000\r\n\r\n"
    .. ("x"):rep(70000),
}

-- How many sockets the kernel has in a state, on a port, on the server's side. 01 is ESTABLISHED, 08 is CLOSE_WAIT.
local function sockets(port, state)
  local count = 0
  for line in io.lines "/proc/net/tcp" do
    local here, is = line:match "^%s*%d+: %x+:(%x+) %x+:%x+ (%x+) "
    if here and tonumber(here, 16) == port and is == state then count = count + 1 end
  end
  return count
end

-- Looks again and again, for as long as ten seconds, whether something is so.
local function eventually(holds)
  local deadline = core.system.now() + 10000
  repeat
    if holds() then return true end
    os.execute "sleep 0.02"
  until core.system.now() > deadline
  return false
end

describe("the emulator's connections", function()
  it("end when a client has closed in the midst of a request, and its spool file goes", function()
    shell.with_directory(function(directory)
      local server <close> = assert(emulator.start { data_dir = directory .. "/data" })
      for i = 1, 10 * #PARTS do connect(server.port, PARTS[i % #PARTS + 1]):close() end
      assert.is_true(eventually(function()
        return sockets(server.port, "08") + sockets(server.port, "01") == 0
          and shell.run("ls " .. directory .. "/data/spool") == ""
      end))
    end)
  end)

  it("go on when a client that has sent a whole request closes its side for sending", function()
    local server <close> = assert(emulator.start { latency_ms = 50 })
    for _, size in ipairs { 10, 900000 } do
      local body = '{"datasetId":"' .. ("x"):rep(size) .. '"}'
      local connection = connect(server.port, POST .. ("Content-Length: %d\r\n\r\n%s"):format(#body, body))
      connection:shutdown "w"
      assert.matches("^HTTP/1.1 201 ", (connection:read "*a"))
      connection:close()
    end
    assert.is_true(eventually(function() return sockets(server.port, "08") == 0 end))
  end)

  -- Runs an emulator in a process that may have 64 descriptors, and calls `body(port)`.
  local function with_few_descriptors(body)
    shell.with_directory(function(directory)
      local ended = shell.start(([[ulimit -n 64
        env TMPDIR=%s %s lua/catalog/cli/main.lua emulator --port 0 >%s/out & echo $! >%s/pid; wait]]):format(directory,
        shell.LUA, directory, directory))
      local fine, why = pcall(function()
        local port
        assert.is_true(eventually(function()
          port = tonumber((shell.run("cat " .. directory .. "/out"):match "AEP_BASE_URL=http://127.0.0.1:(%d+)"))
          return port ~= nil
        end))
        body(port)
      end)
      os.execute("kill $(cat " .. directory .. "/pid)")
      ended()
      if not fine then error(why, 0) end
    end)
  end

  it("of clients that keep quiet make room for others when there are no more descriptors", function()
    with_few_descriptors(function(port)
      local held = {}
      for i = 1, 150 do held[i] = connect(port, PARTS[i % #PARTS + 1]) end
      for _ = 1, 5 do
        local answer = exchange.raw(port, "GET " .. CATALOG .. " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" .. HEADERS
          .. "\r\n", 20)
        assert.matches("^HTTP/1.1 200 ", answer)
      end
      for _, connection in ipairs(held) do connection:close() end
    end)
  end)

  it("of clients that are not quiet stay, whoever else knocks", function()
    with_few_descriptors(function(port)
      local body = '{"datasetId":"' .. ("x"):rep(40) .. '"}'
      local slow = connect(port, POST .. ("Content-Length: %d\r\n\r\n"):format(#body))
      local held = {}
      for i = 1, 150 do held[i] = connect(port, PARTS[i % #PARTS + 1]) end
      for byte in body:gmatch "." do
        slow:write(byte)
        slow:flush()
        os.execute "sleep 0.03"
      end
      assert.matches("^HTTP/1.1 201 ", (slow:read(-4096)))
      for _, connection in ipairs(held) do connection:close() end
      slow:close()
    end)
  end)
end)
