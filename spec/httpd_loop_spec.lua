-- A server that its caller turns, and that answers later.
local httpd = require "catalog.httpd"
local shell = require "support.shell"
local socket = require "cqueues.socket"

local GET <const> = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"

local function connect(server, bytes)
  local connection = assert(socket.connect("127.0.0.1", server:port()))
  connection:setmode("b", "bn")
  connection:onerror(function(_, _, why) return why end)
  connection:settimeout(10)
  connection:write(bytes)
  connection:flush()
  connection:settimeout(0.01)
  return connection
end

-- Turns the server until there is an answer, or the connection is closed. Gives all that came.
local function read_answer(server, connection)
  local text = ""
  for _ = 1, 1000 do
    server:turn()
    local part, why = connection:read(-4096)
    text = text .. (part or "")
    if text:find "\r\n\r\n.+" or not part and why == nil then return text end
    connection:clearerr()
  end
  error("no answer came: " .. text)
end

local function start(given)
  given.max_body = given.max_body or 1000
  given.open = given.open or function() end
  return assert(httpd.start(given))
end

-- Turns a server until it has called its handler so often.
local function turn_until(server, seen, count)
  for _ = 1, 100000 do
    if #seen >= count then return end
    server:turn()
  end
  error "the request did not come"
end


describe("a server that is turned", function()
  it("shows a request to its opener and its handler, and sends the answer when there is one", function()
    local opened, seen = {}, {}
    local server <close> = start {
      open = function(request) opened[#opened + 1] = request end,
      handle = function(request, reply) seen[#seen + 1] = { request = request, reply = reply } end,
    }
    assert.is_true(server:fd() >= 0)
    local first, second = connect(server, GET), connect(server, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
    turn_until(server, seen, 2)
    assert.equal(2, server:requests())
    for _, one in ipairs(seen) do
      assert.is_true(one.reply:send(200, { ["x-target"] = one.request.target }, one.request.method .. one.request.body))
      assert.is_false(one.reply:send(200, {}, "again"))
    end
    assert.matches("^HTTP/1.1 200 .*x%-target: /b.*\r\n\r\nPOST{}$", read_answer(server, second))
    assert.matches("^HTTP/1.1 200 .*x%-target: /a.*\r\n\r\nGET$", read_answer(server, first))
    assert.same({ "/a", "/b" }, { opened[1].target, opened[2].target })
    first:close()
    second:close()
  end)

  it("answers for a handler that cannot", function()
    local said = shell.lua [[
      local httpd, socket = require "catalog.httpd", require "cqueues.socket"
      local cases = {
        function() error "broken" end,
        function() error({}) end,
        function() collectgarbage() end,
        function(_, reply) reply:send(200, { ["bad\tname"] = "x" }, "x") end,
        function(_, reply) reply:send("none") end,
      }
      for _, handle in ipairs(cases) do
        local server <close> = assert(httpd.start { max_body = 10, name = "spec", open = function() end, handle = handle })
        local connection = assert(socket.connect("127.0.0.1", server:port()))
        connection:setmode("b", "bn")
        connection:onerror(function(_, _, why) return why end)
        connection:write "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        connection:flush()
        connection:settimeout(0.01)
        local text
        repeat
          server:turn()
          collectgarbage()
          text = connection:read(-4096)
          connection:clearerr()
        until text
        print(text:match "^HTTP/1.1 (%d+)")
      end]]
    local statuses = 0
    for line in said:gmatch "[^\n]+" do
      if line == "500" then statuses = statuses + 1 else assert.matches("^spec: /: ", line) end
    end
    assert.equal(5, statuses, said)
  end)

  it("that ends answers what it has, and a reply that is left does nothing", function()
    local seen = {}
    local server = start { handle = function(_, reply) seen[1] = reply end }
    local connection = connect(server, GET)
    turn_until(server, seen, 1)
    assert.is_true(server:stop())
    assert.matches("^HTTP/1.1 503 ", (connection:read(-4096)))
    assert.is_false(seen[1]:send(200, {}, "late"))
    assert.same({ false, -1, 0 }, { server:turn(), server:fd(), server:requests() })
    assert.is_true(server:stop())
    connection:close()
  end)

  it("is not turned or stopped by what it calls", function()
    local whys = {}
    local server
    server = start {
      open = function() whys[1] = select(2, pcall(server.turn, server)) end,
      handle = function(_, reply)
        whys[2] = select(2, pcall(server.stop, server))
        reply:send(200, {}, "x")
      end,
    }
    local connection = connect(server, GET)
    assert.matches("^HTTP/1.1 200 ", read_answer(server, connection))
    assert.same({ "a server cannot be turned by what it calls", "a server cannot be stopped by what it calls" }, whys)
    connection:close()
    server:stop()
  end)

  it("lets nobody in once it is quiesced, and goes on with who is there", function()
    local server <close> = start { handle = function(_, reply) reply:send(200, {}, "x") end }
    local connection = connect(server, GET)
    assert.matches("^HTTP/1.1 200 ", read_answer(server, connection))
    server:quiesce()
    server:quiesce()
    connection:settimeout(10)
    connection:write(GET)
    connection:flush()
    connection:settimeout(0.01)
    assert.matches("^HTTP/1.1 200 ", read_answer(server, connection))
    local other = socket.connect("127.0.0.1", server:port())
    other:onerror(function(_, _, why) return why end)
    assert.is_falsy(other:connect(10))
    connection:close()
    other:close()
  end)

  it("is collected with what it calls", function()
    local weak = setmetatable({}, { __mode = "v" })
    do
      local server
      server = start { handle = function() return server end }
      weak[1] = server
      server:turn()
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(weak[1])
  end)

  it("needs both functions, and knows what it can decode", function()
    assert.has_error(function() httpd.start { max_body = 1, open = print } end)
    assert.has_error(function() httpd.start { max_body = 1, handle = print } end)
    for _, coding in ipairs(httpd.codings) do assert.is_truthy(coding == "gzip" or coding == "zstd") end
  end)
end)
