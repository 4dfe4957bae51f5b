-- How requests travel: connections are kept, and a creation is never sent twice.
local raw = require "support.raw"
local service = require "support.service"
local shell = require "support.shell"

local DATASET <const> = service.DATASET
local created <const> = raw.created

describe("a connection", function()
  it("serves one creation after another", function()
    local server <close> = raw.start { { created "b1", created "b2", created "b3" }, { created "another connection" } }
    local client = service.client(server.url)
    for i = 1, 3 do assert.equal("b" .. i, assert(client:create_batch { dataset = DATASET }).id) end
  end)

  it("is shared by the clients of a state", function()
    local server <close> = raw.start { { created "b1", created "b2" }, { created "another connection" } }
    assert.equal("b1", assert(service.client(server.url):create_batch { dataset = DATASET }).id)
    assert.equal("b2", assert(service.client(server.url):create_batch { dataset = DATASET }).id)
  end)

  -- libcurl before 8.3.0 loses the zone of a URL that it is given parsed.
  it("goes to an address that only its zone makes whole", function()
    local list <close> = io.open "/proc/net/if_inet6"
    local address, zone = (list and list:read "a" or ""):match "(fe80%x+) [^\n]- (%S+)\n"
    if not address then return pending "this machine has no address of a link" end
    address = address:gsub("%x%x%x%x", "%0:"):sub(1, -2)
    local server <close> = raw.start({ { created "b1", created "b2" } }, "::")
    local client = service.client(("http://[%s%%25%s]:%d"):format(address, zone, server.port), { insecure = true })
    for i = 1, 2 do assert.equal("b" .. i, assert(client:create_batch { dataset = DATASET }).id) end
  end)

  -- Two creations over one connection, the second of which is answered with `bytes`, and one after that.
  local function answered_with(bytes)
    local open = bytes:find "content%-length" ~= nil -- else its end is that of the connection
    local server <close> = raw.start {
      { created "b1", { send = bytes, close = not open }, created "b3" }, { created "b3" },
    }
    local client = service.client(server.url)
    assert(client:create_batch { dataset = DATASET })
    local batch, err = client:create_batch { dataset = DATASET }
    assert.equal("b3", assert(client:create_batch { dataset = DATASET }).id)
    return batch, err
  end

  -- libcurl before 8.1.0 writes these into freed memory when the handle had had a reply before: make asan would say so.
  it("whose server begins its headers with a blank gives an error", function()
    local folded = " folded: into what came before\r\ncontent-length: 2\r\n\r\n{}"
    for _, bytes in ipairs {
      "HTTP/1.1 201 Created\r\n" .. folded,
      "HTTP/1.1 201 Created\r\n" .. folded:gsub("^ ", "\t"),
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n" .. folded,
      "HTTP/1.1 201 " .. ("long "):rep(8000) .. "\r\n" .. folded,
    } do
      local batch, err = answered_with(bytes)
      assert.is_nil(batch)
      assert.equal("protocol", err.kind, tostring(err))
      assert.is_true(err.ambiguous)
    end
    local server <close> = raw.start { { { send = "HTTP/1.1 201 Created\r\n" .. folded } } }
    assert.equal("protocol", select(2, service.client(server.url):create_batch { dataset = DATASET }).kind)
  end)

  -- So would it this, where a proxy answers CONNECT: its trailers are seen by nobody but libcurl.
  it("whose proxy ends its refusal with a blank gives an error", function()
    local refusal = "HTTP/1.1 407 No\r\nproxy-authenticate: Basic realm=x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n x: y\r\n\r\n"
    local proxy <close> = raw.start { { created "b1" }, { { send = refusal, close = true } } }
    local plain = service.client("http://127.0.0.1:1", { proxy = proxy.url })
    assert(plain:create_batch { dataset = DATASET })
    plain.base_url = "https://127.0.0.1:1"
    local batch, err = plain:create_batch { dataset = DATASET }
    assert.is_nil(batch)
    assert.is_string(err.kind)
  end)

  it("whose server has few headers, or long ones, or folds a later one, is understood", function()
    local body <const> = '{"id":"b2"}'
    local rest <const> = ("content-length: %d\r\n\r\n%s"):format(#body, body)
    for _, bytes in ipairs {
      "HTTP/1.1 201 Created\r\n\r\n" .. body,
      "HTTP/1.1 201 Created\r\n" .. rest,
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n\r\n" .. body,
      "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 201 Created\r\n" .. rest,
      "HTTP/1.1 201 " .. ("long "):rep(8000) .. "\r\n" .. rest,
      "HTTP/1.1 201 Created\r\nx-long: " .. ("long "):rep(8000) .. "\r\n" .. rest,
      "HTTP/1.1 201 Created\r\nx-folded: a\r\n b\r\n" .. rest,
    } do
      assert.equal("b2", assert(answered_with(bytes)).id)
    end
  end)

  -- libcurl 7.88 would send the headers once more, without the body, and stand still.
  it("that is closed during the TLS handshake is tried again", function()
    local closed = { { silent = true, close = true } }
    local server <close> = raw.start { closed, closed, closed }
    local client = service.client("https://127.0.0.1:" .. server.port, { retry = { tries = 3, base = 0.001 } })
    local batch, err = client:create_batch { dataset = DATASET }
    assert.is_nil(batch)
    assert.equal("network", err.kind, tostring(err))
    assert.equal(3, err.attempts)
    assert.is_nil(err.ambiguous)
  end)

  it("that dies under an upload is replaced, and the upload sent again as a whole", function()
    service.run({}, function(server)
      local seen = {}
      local client = service.client(server.url, {
        retry = { base = 0.001 }, on_request = function(exchange) seen[#seen + 1] = exchange end,
      })
      local batch = assert(client:create_batch { dataset = DATASET, format = "json" })
      for _, action in ipairs { { drop = "before" }, { drop_after = 300 }, { drop = "after" } } do
        server:set_faults { { match = { method = "PUT" }, times = 1, action = action } }
        seen = {}
        assert.equal(600, assert(batch:upload("x", { data = ("{}\n"):rep(200) })).bytes)
        assert.equal(2, #seen)
        assert.equal("network", seen[1].error.kind, tostring(seen[1].error))
        assert.equal(200, seen[2].status)
      end
    end)
  end)

  it("that dies after serving one request does not make a creation happen twice", function()
    local server <close> = raw.start { { created "b1", { close = true } }, { created "a second send" } }
    local client = service.client(server.url)
    assert(client:create_batch { dataset = DATASET })
    local batch, err = client:create_batch { dataset = DATASET, external_id = "dropped" }
    assert.is_nil(batch)
    assert.equal("network", err.kind)
    assert.matches("the connection was closed before an answer came", err.message, 1, true)
    assert.is_true(err.ambiguous)
    local requests, sends = server:stop(), 0
    for _, request in ipairs(requests) do
      if request:find("dropped", 1, true) then sends = sends + 1 end
    end
    assert.equal(1, sends)
  end)

  it("that dies makes a look-up happen again, which does no harm", function()
    local server <close> = raw.start {
      { created "b1", { close = true } }, { { send = raw.answer("200 OK", '{"b1":{"status":"loading"}}') } },
    }
    assert.equal("loading", assert(assert(service.client(server.url):create_batch { dataset = DATASET }):get()).status)
  end)

  it("that was closed between two creations is replaced", function()
    local server <close> = raw.start {
      { { send = raw.answer("201 Created", '{"id":"b1"}', "connection: close\r\n"), close = true } }, { created "b2" },
    }
    local client = service.client(server.url)
    assert(client:create_batch { dataset = DATASET })
    assert.equal("b2", assert(client:create_batch { dataset = DATASET }).id)
  end)

  -- Whoever closes idle connections on the way may do so without a word. A server that reads a request and closes is as
  -- one whose close had not come yet.
  it("that was idle for a while is left to requests that may be sent again", function()
    local looked_up <const> = { send = raw.answer("200 OK", '{"b1":{"status":"loading"}}') }
    local put <const> = { send = raw.answer("200 OK", "") }
    local posts <close> = raw.start { { created "b1", created "b2", { close = true } }, { created "b3", created "b4" } }
    local puts <close> = raw.start { { created "b1", { close = true } }, { put } }
    local gets <close> = raw.start { { created "b1", looked_up }, { { close = true } } }
    local creating, putting = service.client(posts.url), service.client(puts.url)
    local getting = service.client(gets.url)
    assert.equal("b1", assert(creating:create_batch { dataset = DATASET }).id)
    assert.equal("b2", assert(creating:create_batch { dataset = DATASET }).id)
    local filled = assert(putting:create_batch { dataset = DATASET })
    local found = assert(getting:create_batch { dataset = DATASET })
    require "cqueues".sleep(2.1)
    assert.equal("loading", assert(found:get()).status)
    assert.equal("b3", assert(creating:create_batch { dataset = DATASET }).id)
    assert.equal("b4", assert(creating:create_batch { dataset = DATASET }).id)
    assert(filled:upload("x", { data = "{}" }))
    assert.equal(4, #posts:stop())
    assert.equal(2, #gets:stop())
  end)

  it("of a proxy, which may close it after any answer, takes one creation of plain http", function()
    local closed <const> = { close = true }
    local proxy <close> = raw.start { { created "b1", closed }, { created "b2", closed }, { created "b3" } }
    local client = service.client("http://127.0.0.1:1", { proxy = proxy.url })
    for i = 1, 3 do assert.equal("b" .. i, assert(client:create_batch { dataset = DATASET }).id) end
    assert.equal(3, #proxy:stop())
  end)

  it("is not handed to a program that is run", function()
    local function sockets()
      local _, count = shell.run("ls -l /proc/self/fd"):gsub("socket:", "")
      return count
    end
    local before = sockets()
    local server <close> = raw.start { { created "b1" } }
    assert(service.client(server.url):create_batch { dataset = DATASET })
    assert.equal(before, sockets())
  end)
end)
