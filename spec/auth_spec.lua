-- Tokens: shared, renewed, and never shown.
local Group = require "catalog.scheduler.group"
local catalog = require "catalog"
local raw = require "support.raw"
local service = require "support.service"
local shell = require "support.shell"

local DATASET <const> = service.DATASET
local SECRET <const> = "s3cret-secret"

local QUICK <const> = { base = 0.01, cap = 0.02 }
local created <const>, refused <const> = raw.created, raw.refused

local function grant(token, more)
  return { send = raw.answer("200 OK", ('{"access_token":"%s"%s}'):format(token, more or ',"expires_in":86399')) }
end

-- A client that fetches its tokens.
local function fetching(url, changes)
  local settings = service.settings(url, { client_secret = SECRET, scopes = "a" })
  settings.token = nil
  for name, value in pairs(changes or {}) do settings[name] = value end
  return assert(catalog.client(settings))
end

local tokens_of <const> = raw.tokens_of

describe("a token that is fetched", function()
  it("is fetched once however long that takes, and the others wait", function()
    local answer = grant "t1"
    answer.pause = 1.5
    local ims <close> = raw.start { { answer }, { grant "another" } }
    local server <close> = raw.start { { created "b", created "b", created "b", created "b" } }
    local client = fetching(server.url, { ims_url = ims.url })
    assert(catalog.map({ 1, 2, 3, 4 }, function() return client:create_batch { dataset = DATASET } end))
    assert.equal(1, #ims:stop())
  end)

  it("is asked for so often as a call is tried, and not that often again", function()
    local down, told = { send = raw.answer("503 Down", '{"title":"Down"}') }, 0
    local ims <close> = raw.start { { down, down, down, down, down, down, down, down, down, down } }
    local client = fetching("http://127.0.0.1:1", {
      ims_url = ims.url, retry = { tries = 3, base = 0.001 }, on_retry = function() told = told + 1 end,
    })
    local batch, err = client:create_batch { dataset = DATASET }
    assert.is_nil(batch)
    assert.equal(503, err.status)
    assert.equal(3, err.attempts)
    assert.is_nil(err.ambiguous)
    assert.equal(2, told)
    assert.equal(3, #ims:stop())
    assert.equal(1, select(2, err.message:gsub("after 3 tries", "")))
  end)

  it("is not asked for again where it was refused for good", function()
    local no = { send = raw.answer("400 Bad", '{"error":"invalid_client","error_description":"no such client"}') }
    local ims <close> = raw.start { { no, no, no } }
    local client = fetching("http://127.0.0.1:1", { ims_url = ims.url, retry = { tries = 5, base = 0.001 } })
    local _, err = client:create_batch { dataset = DATASET }
    assert.equal("invalid_client", err.code)
    assert.equal(1, err.attempts)
    assert.equal(1, #ims:stop())
  end)

  it("is not given up for that of a request that was sent with the one before", function()
    -- both are refused the first token; by the time the slower hears of it, there is a second
    service.run({ clients = { key = SECRET }, tokens = {}, faults = {
      { match = { path = "/import/batches$", nth = 2 }, action = { expire_tokens = true } },
      { match = { path = "/import/batches$", nth = 2 }, action = { delay_ms = 400 } },
    } }, function(server)
      local seen = {}
      local client = fetching(server.url, { on_request = function(exchange)
        seen[#seen + 1] = exchange.url:match "[^/]+$" .. " " .. exchange.status
      end })
      assert(client:create_batch { dataset = DATASET })
      assert(catalog.map({ 1, 2 }, function() return client:create_batch { dataset = DATASET } end))
      assert.same({
        "v3 200", "batches 201", "batches 401", "v3 200", "batches 201", "batches 401", "batches 201",
      }, seen)
    end)
  end)

  it("is kept where it is said to be good for a short time, or nothing is said", function()
    for _, more in ipairs { ',"expires_in":40', "" } do
      local ims <close> = raw.start { { grant("t1", more), grant("t2", more) } }
      local server <close> = raw.start { { created "b1", created "b2", created "b3" } }
      local client = fetching(server.url, { ims_url = ims.url })
      for _ = 1, 3 do assert(client:create_batch { dataset = DATASET }) end
      assert.equal(1, #ims:stop())
    end
  end)

  it("is kept, too, where what is said of its time is nothing", function()
    for _, said in ipairs { "-1", "0", "null", "{}", '"x"' } do
      local more = ',"expires_in":' .. said
      local ims <close> = raw.start { { grant("t1", more), grant("t2", more) } }
      local server <close> = raw.start { { created "b1", created "b2", created "b3" } }
      local client = fetching(server.url, { ims_url = ims.url })
      for _ = 1, 3 do assert(client:create_batch { dataset = DATASET }) end
      assert.equal(1, #ims:stop())
    end
  end)

  it("is none that cannot be sent", function()
    local bad = { '""', "null", "1", "{}", '"a b"', '"a\\nb"', '"ä"', '"a\\u0000b"' }
    for _, text in ipairs(bad) do
      local body = ('{"access_token":%s,"expires_in":86399}'):format(text)
      local ims <close> = raw.start { { { send = raw.answer("200 OK", body) } } }
      local server <close> = raw.start { { created "b1" } }
      local batch, err = fetching(server.url, { ims_url = ims.url }):create_batch { dataset = DATASET }
      assert.is_nil(batch)
      assert.equal("auth", err.kind)
      assert.is_nil(err.ambiguous)
      assert.matches(ims.url .. "/ims/token/v3: the server answered 200, but the identity service gave no access token",
        err.message, 1, true)
      assert.same({}, server:stop())
    end
    local server <close> = raw.start { { created "b1" } }
    local client = service.client(server.url, { token = function() return "" end })
    local _, err = client:create_batch { dataset = DATASET }
    assert.equal("auth", err.kind)
    assert.matches("the token function gave an empty string", err.message, 1, true)
    assert.same({}, server:stop())
  end)

  it("is renewed before it ends", function()
    local ims <close> = raw.start { { grant("t1", ',"expires_in":1'), grant("t2", ',"expires_in":86399') } }
    local server <close> = raw.start { { created "b1", created "b2", created "b3" } }
    local client = fetching(server.url, { ims_url = ims.url })
    assert(client:create_batch { dataset = DATASET })
    os.execute "sleep 0.6"
    for _ = 1, 2 do assert(client:create_batch { dataset = DATASET }) end
    assert.same({ "t1", "t2", "t2" }, tokens_of(server:stop()))
  end)

  it("that one call had no time for is fetched for another that has", function()
    local slow = grant "t1"
    slow.pause = 0.6
    local ims <close> = raw.start { { slow }, { grant "t2" } }
    local server <close> = raw.start { { created "b1" } }
    local client, waited = fetching(server.url, { ims_url = ims.url }), nil
    catalog.run(function()
      catalog.spawn(function() waited = select(2, client:batch("b"):wait { timeout = 0.2 }) end)
      assert.equal("b1", assert(client:create_batch { dataset = DATASET }).id)
    end)
    assert.equal("timeout", waited.kind)
  end)
end)

describe("the fetching of a token", function()
  it("ends for all who wait for it when the client is closed", function()
    local silent <close> = raw.start { { { hang = true } } }
    local client, kinds = fetching(silent.url, { timeout = 3600 }), {}
    catalog.run(function()
      for i = 1, 3 do
        catalog.spawn(function() kinds[i] = select(2, client:create_batch { dataset = DATASET }).kind end)
      end
      require("catalog.scheduler.scheduler").sleep(0.1)
      client:close()
    end)
    assert.same({ "cancelled", "cancelled", "cancelled" }, kinds)
  end)

  it("of a coroutine that is dropped is dropped with it, and another begins", function()
    local ims <close> = raw.start { { grant "t1" } }
    local server <close> = raw.start { { created "b1" } }
    local client = fetching(server.url, { ims_url = ims.url, loop = { wait = function() coroutine.yield() end } })
    local held = setmetatable({}, { __mode = "k" })
    do
      local thread = coroutine.create(function() client:create_batch { dataset = DATASET } end)
      held[thread] = true
      coroutine.resume(thread)
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(held))
    assert.equal("b1", assert(client:create_batch { dataset = DATASET }).id)
  end)

  -- In a state of its own: luv takes only one `require` in a state, and busted makes one for each file.
  it("is not waited for where the loop of who fetches does not turn", function()
    assert.equal("true\ttrue\n", (shell.lua [[
      local catalog, uv, raw, service = require "catalog", require "luv", require "support.raw", require "support.service"
      local function grant(token) return raw.answer("200 OK", ('{"access_token":"%s","expires_in":9999}'):format(token)) end
      local created = { send = raw.answer("201 Created", '{"id":"b"}') }
      local ims <close> = raw.start { { { pause = 0.3, send = grant "t1" } }, { { send = grant "t2" } } }
      local server <close> = raw.start { { created, created }, { created, created } }
      local settings = service.settings(server.url, {
        client_secret = "s3cret-secret", ims_url = ims.url, timeout = 3600, loop = require "catalog.loop.luv",
      })
      settings.token = nil
      local client, first, second = assert(catalog.client(settings)), nil, nil
      coroutine.wrap(function() first = client:create_batch { dataset = "d" } end)()
      local timer = uv.new_timer()
      timer:start(20, 0, function()
        timer:close()
        second = catalog.map({ 1 }, function() return client:create_batch { dataset = "d" } end)
      end)
      uv.run()
      print(first.id == "b", second[1].id == "b")
    ]]))
  end)

  it("is not waited for by a callback within it", function()
    service.run({ clients = { key = SECRET }, tokens = { first = 3600 } }, function(server)
      local batch = assert(service.client(server.url, { token = "first" }):create_batch { dataset = DATASET, format = "json" })
      local client, asked
      client = fetching(server.url, { on_request = function(exchange)
        if asked or not exchange.url:find "/ims/" then return end
        asked = true
        client:batch(batch.id):get()
        catalog.map({ 1, 2 }, function() return client:batch(batch.id):get() end)
      end })
      assert(client:batch(batch.id, { dataset = DATASET }):upload("x", { data = "{}\n" }))
      assert.is_true(asked)
    end)
  end)
end)

describe("a token that a function gives", function()
  it("is asked for each time, or as long as it is said to be good", function()
    for seconds, count in pairs { [0] = 3, [3600] = 1 } do
      local server <close> = raw.start { { created "b1", created "b2", created "b3" } }
      local asked = 0
      local client = service.client(server.url, { token = function()
        asked = asked + 1
        return "token-" .. asked, seconds > 0 and seconds or nil
      end })
      for _ = 1, 3 do assert(client:create_batch { dataset = DATASET }) end
      assert.equal(count, asked)
    end
  end)

  it("may take its time, and is asked once for all who wait for it", function()
    local server <close> = raw.start { { created "b" }, { created "b" }, { created "b" } }
    local asked = 0
    local slow <close> = raw.start { { { pause = 0.2, send = raw.answer("404 No", "{}") } } }
    local client = service.client(server.url, { token = function()
      asked = asked + 1
      service.client(slow.url):batch("b"):get() -- a call of its own
      return "token"
    end })
    assert(catalog.map({ 1, 2, 3 }, function() return client:create_batch { dataset = DATASET } end))
    assert.equal(1, asked)
  end)
end)

describe("no token is shown", function()
  it("where two are under way and the server repeats the first", function()
    local echo = { pause = 0.3, send = raw.answer("400 Bad", '{"title":"Bad","detail":"Bearer first-token-1234"}') }
    local server <close> = raw.start { { echo }, { created "b" } }
    local given = { "first-token-1234", "second-token-5678" }
    local client = service.client(server.url, { token = function() return table.remove(given, 1) end })
    local _, err = catalog.map({ 1, 2 }, function() return client:create_batch { dataset = DATASET } end)
    assert.equal(400, err.status)
    assert.is_nil(tostring(err):find("first-token", 1, true), tostring(err))
  end)

  it("to on_request or in an error when the server makes it the request's id", function()
    local header, seen = "x-request-id: long-token-1234\r\n", nil
    local server <close> = raw.start { { created("b", header), { send = raw.answer("201 Created", "[]", header) } } }
    local client = service.client(server.url, {
      token = "long-token-1234", on_request = function(exchange) seen = exchange.request_id end,
    })
    assert(client:create_batch { dataset = DATASET })
    assert.equal("***", seen)
    assert.equal("***", select(2, client:create_batch { dataset = DATASET }).request_id)
  end)

  it("however a body of no known shape writes it", function()
    local token <const> = "s3cret/tok+en=="
    for _, body in ipairs {
      [[{"headers":{"Authorization":"Bearer s3cret\/tok\u002ben=="}}]], "<p>s3cret/<wbr>tok+en==</p>",
      "<b>s3cret</b>/tok+en==", "s3cret/tok+\nen==",
    } do
      local server <close> = raw.start { { { send = raw.answer("400 Bad", body) } } }
      local _, err = service.client(server.url, { token = token }):create_batch { dataset = DATASET }
      local text = tostring(err)
      assert.is_nil(text:find("tok", 1, true), text)
    end
    local long = ("abcdefgh"):rep(100)
    for _, body in ipairs {
      "<p>Bearer " .. long:sub(1, 10) .. "<wbr>" .. long:sub(11) .. "</p>",
      ('{"title":"Bad","detail":"got %s %s"}'):format(long:sub(1, 20), long:sub(21)),
    } do
      local server <close> = raw.start { { { send = raw.answer("502 Bad", body) } } }
      local _, err = service.client(server.url, { token = long }):create_batch { dataset = DATASET }
      assert.is_nil(tostring(err):find("abcdefgh", 1, true), tostring(err))
    end
  end)
end)

describe("a token that has expired", function()
  it("is renewed, and the request sent again with its body", function()
    service.run({
      clients = { key = "s3cret" }, tokens = {},
      faults = { { match = { path = "/import/", nth = 2 }, action = { expire_tokens = true } } },
    }, function(server)
      local seen = {}
      local settings = service.settings(server.url, {
        client_secret = "s3cret",
        on_request = function(exchange) seen[#seen + 1] = exchange.url:match "[^/]+$" .. " " .. exchange.status end,
      })
      settings.token = nil
      local client = assert(catalog.client(settings))
      assert(client:create_batch { dataset = DATASET })
      assert.equal(DATASET, assert(client:create_batch { dataset = DATASET }).relatedObjects[1].id)
      assert.same({ "v3 200", "batches 201", "batches 401", "v3 200", "batches 201" }, seen)
    end)
  end)

  it("is fetched once for all that are in flight", function()
    service.run({ clients = { key = "s3cret" }, tokens = {}, latency_ms = 20 }, function(server)
      local fetched = 0
      local settings = service.settings(server.url, {
        client_secret = "s3cret",
        on_request = function(exchange) if exchange.url:find "token" then fetched = fetched + 1 end end,
      })
      settings.token = nil
      local client = assert(catalog.client(settings))
      local jobs = Group.new(nil, 8)
      jobs:add(function() return client:create_batch { dataset = DATASET } end, 20)
      assert(jobs:wait())
      assert.equal(1, fetched)
    end)
  end)

  it("is fetched anew when a callback raised or called within the fetching", function()
    service.run({ clients = { key = "s3cret" }, tokens = {} }, function(server)
      local client, settings, acts
      settings = service.settings(server.url, {
        client_secret = "s3cret", retry = QUICK, on_retry = function() table.remove(acts)() end,
      })
      settings.token = nil
      local fault = { match = { path = "/ims" }, times = 1, action = { status = 503, body = "{}" } }
      for _, act in ipairs {
        function() error "on purpose" end, function() assert(client:create_batch { dataset = DATASET }) end,
      } do
        acts = { act }
        client = assert(catalog.client(settings))
        server:set_faults { fault }
        pcall(client.create_batch, client, { dataset = DATASET })
        assert(client:create_batch { dataset = DATASET })
      end
    end)
  end)

  it("that cannot be fetched is fetched once for all who wait for it", function()
    local answer = refused("400 Bad", "", '{"error":"invalid_client"}')
    answer.pause = 0.1
    local server <close> = raw.start { { answer } }
    local settings = service.settings(server.url, { client_secret = "s3cret" })
    settings.token = nil
    local client = assert(catalog.client(settings))
    local _, _, results = catalog.map({ 1, 2, 3, 4, 5 }, function() return client:batch("b"):get() end,
      { parallel = 5 })
    for i = 1, 5 do assert.equal("invalid_client", results[i].error.code) end
    assert.equal(1, #server:stop())
  end)

  it("that cannot be fetched is no creation that may have happened, and the call ends in time", function()
    local silent <close> = raw.start { { { hang = true } } }
    local settings = service.settings("http://127.0.0.1:1", {
      ims_url = silent.url, client_secret = "s3cret", timeout = 3600, retry = { deadline = 0.2 },
    })
    settings.token = nil
    local batch, err = assert(catalog.client(settings)):create_batch { dataset = DATASET, once = true }
    assert.is_nil(batch)
    assert.equal("timeout", err.kind)
    assert.is_nil(err.ambiguous)
  end)

  it("is asked for again where a function gives it, and is the end where it is all there is", function()
    service.run({ tokens = { "good-token" } }, function(server)
      local given = { "bad-token", "good-token" }
      local asking = service.client(server.url, { token = function() return table.remove(given, 1) or "good-token" end })
      assert(asking:create_batch { dataset = DATASET })
      assert.equal("401013", select(2, service.client(server.url, { retry = QUICK }):create_batch { dataset = DATASET }).code)
    end)
  end)
end)

describe("credentials", function()
  it("are fetched with the client's secret, once", function()
    service.run({ clients = { key = "s3cret" }, tokens = {} }, function(server)
      local client = service.client(server.url, { client_secret = "s3cret", scopes = { "openid", "AdobeID" } })
      local calls = {}
      client.on_request = function(exchange) calls[#calls + 1] = exchange.url:match "[^/]+$" end
      -- a token in the table wins over the secret
      assert.is_nil((client:create_batch { dataset = DATASET }))
      local settings = service.settings(server.url, {
        client_secret = "s3cret", scopes = { "openid", "AdobeID" },
        on_request = function(exchange) calls[#calls + 1] = exchange.url:match "[^/]+$" end,
      })
      settings.token = nil
      calls = {}
      local one = assert(catalog.client(settings))
      assert(one:create_batch { dataset = DATASET })
      assert(one:create_batch { dataset = DATASET })
      assert.same({ "v3", "batches", "batches" }, calls)
    end)
  end)

  it("are refused with the identity service's words", function()
    service.run({ clients = { key = "s3cret" } }, function(server)
      local settings = service.settings(server.url, { client_secret = "wr0ng" })
      settings.token = nil
      local batch, err = assert(catalog.client(settings)):create_batch { dataset = DATASET }
      assert.is_nil(batch)
      assert.equal("auth", err.kind)
      assert.equal("invalid_client", err.code)
      assert.is_nil(tostring(err):find("wr0ng", 1, true))
    end)
  end)
end)
