-- Faults, and what is tried again.
local core = require "catalog.core"
local raw = require "support.raw"
local retry = require "catalog.client.retry"
local service = require "support.service"

local DATASET <const> = service.DATASET
local QUICK <const> = { base = 0.01, cap = 0.02 }
local created <const>, refused <const> = raw.created, raw.refused

describe("a request", function()
  it("is tried again after faults that pass, and tells the host", function()
    local server <close> = raw.start { {
      refused "503 Service Unavailable", refused("429 Too Many Requests", nil, '{"title":"TooMany"}'), created "b1",
    } }
    local told = {}
    local client = service.client(server.url, { retry = QUICK, on_retry = function(state) told[#told + 1] = state end })
    local batch, err = client:create_batch { dataset = DATASET }
    -- the page-like 503 leaves it open whether the batch exists: a creation is not repeated then
    assert.is_nil(batch)
    assert.is_true(err.ambiguous)
    assert.equal(0, #told)
    local second <close> = raw.start { {
      refused("503 No", nil, '{"title":"Unavailable"}'), refused("429 No", nil, '{"title":"TooMany"}'), created "b1",
    } }
    client = service.client(second.url, { retry = QUICK, on_retry = function(state) told[#told + 1] = state end })
    assert.equal("b1", assert(client:create_batch { dataset = DATASET }).id)
    assert.equal(2, #told)
    assert.equal(2, told[1].attempt)
    assert.equal(503, told[1].error.status)
    assert.equal(3, told[2].attempt)
    assert.is_number(told[2].pause)
  end)

  it("gives up after so many tries, with the first and the last cause", function()
    local server <close> = raw.start { {
      refused("503 No", nil, '{"title":"First"}'), refused("500 No", nil, '{"title":"Middle"}'),
      refused("500 No", nil, '{"title":"Last"}'),
    } }
    local client = service.client(server.url, { retry = { tries = 3, base = 0.01 } })
    local _, err = client:create_batch { dataset = DATASET }
    assert.equal(3, err.attempts)
    assert.equal(503, err.first.status)
    assert.matches("Last", err.message, 1, true)
    assert.matches("(after 3 tries; the first: ", err.message, 1, true)
    assert.equal(3, #server:stop())
  end)

  it("says once what every try came to", function()
    local client = service.client("http://127.0.0.1:1", { retry = { tries = 3, base = 0.001 } })
    local _, err = client:create_batch { dataset = DATASET }
    assert.matches(" (after 3 tries)", err.message, 1, true)
    assert.equal(1, select(2, err.message:gsub("cannot connect", "")), err.message)
  end)

  it("is not tried again when nothing would change", function()
    for _, status in ipairs { "400 Bad", "403 No", "404 None", "409 Conflict", "413 Large" } do
      local server <close> = raw.start { { refused(status, nil, '{"title":"No"}'), created "b1" } }
      local _, err = service.client(server.url, { retry = QUICK }):create_batch { dataset = DATASET }
      assert.equal(1, err.attempts)
      assert.equal(1, #server:stop())
    end
  end)

  it("is tried again when nobody can be reached, and not when the answerer is not to be trusted", function()
    for url, kind in pairs { ["http://127.0.0.1:1"] = "network", ["https://nobody.invalid"] = "network" } do
      local _, err = service.client(url, { retry = { tries = 3, base = 0.001 } }):create_batch { dataset = DATASET }
      assert.equal(kind, err.kind, tostring(err))
      assert.equal(3, err.attempts)
      assert.is_nil(err.ambiguous)
    end
    local certificates, shell = require "support.certificates", require "support.shell"
    shell.with_directory(function(directory)
      certificates.self_signed(directory, "own")
      service.run({ cert = directory .. "/own.pem", key = directory .. "/own.key" }, function(server)
        local _, err = service.client(server.url, { retry = QUICK }):create_batch { dataset = DATASET }
        assert.equal("tls", err.kind)
        assert.equal(1, err.attempts)
      end)
    end)
  end)

  it("is tried five times within 15 minutes, with pauses of up to 30 seconds, unless told otherwise", function()
    local policy = retry.policy(nil, 1)
    assert.same({ tries = 5, base = 0.5, cap = 30, deadline = 900, budget = policy.budget }, policy)
    local long = retry.policy({ tries = 1000 }, 1)
    local passing, repeatable, least, most = { retryable = true }, { repeatable = true }, math.huge, 0
    for attempt = 1, 50 do -- anything from nothing to a limit that doubles: who fails together does not come together
      local limit = math.min(30, 0.5 * 2 ^ (attempt - 1))
      local tries = retry.tries(long, math.huge)
      tries.attempt = attempt
      local pause = retry.again(tries, repeatable, passing)
      assert.is_true(pause >= 0 and pause <= limit)
      least, most = math.min(least, pause / limit), math.max(most, pause / limit)
    end
    assert.is_true(least < 0.25 and most > 0.75)
  end)

  it("is not tried without end by many calls at once: they share what there is", function()
    service.run({ faults = { { action = { status = 503, body = "{}" } } } }, function(server)
      local exchanges = 0
      local client = service.client(server.url, {
        retry = { tries = 5, base = 0.001, cap = 0.001 }, on_request = function() exchanges = exchanges + 1 end,
      })
      local list = {}
      for i = 1, 80 do list[i] = i end
      assert.is_nil((require("catalog").map(list, function() return client:batch("b"):get() end)))
      assert.equal(80 + 100, exchanges)
    end)
  end)

  it("that may do harm twice is not repeated when nobody knows whether it happened", function()
    local server <close> = raw.start { { { close = true } }, { created "a second" } }
    local batch, err = service.client(server.url, { retry = QUICK }):create_batch { dataset = DATASET }
    assert.is_nil(batch)
    assert.is_true(err.ambiguous)
    assert.equal(1, #server:stop())
  end)

  it("that does no harm is repeated after any fault of the network", function()
    local answer = { send = raw.answer("200 OK", '{"b1":{"status":"loading"}}') }
    for _, fault in ipairs {
      { close = true }, { send = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", close = true },
      refused("502 Bad", nil, "<html>"),
    } do
      local server <close> = raw.start { { fault, answer }, { answer } }
      local batch, err = service.client(server.url, { retry = QUICK }):batch("b1"):get()
      assert.equal("loading", (batch or error(tostring(err))).status)
    end
  end)

  it("waits as long as the service asks, and fails at once when that is beyond the deadline", function()
    local server <close> = raw.start { {
      refused("503 No", "retry-after: 1\r\n", '{"title":"No"}'), created "b1",
    } }
    local pauses = {}
    local client = service.client(server.url, { retry = QUICK, on_retry = function(state) pauses[#pauses + 1] = state.pause end })
    assert(client:create_batch { dataset = DATASET })
    assert.is_true(pauses[1] >= 1)
    local later <close> = raw.start { { refused("503 No", "retry-after: 120\r\n", '{"title":"No"}'), created "b1" } }
    local _, err = service.client(later.url, { retry = { deadline = 10 } }):create_batch { dataset = DATASET }
    assert.matches("the next try would be in 120 seconds, after the deadline", err.message, 1, true)
    assert.equal(1, #later:stop())
  end)

  -- Without the deadline each request would wait for an hour.
  it("ends a call of several requests when its deadline is over", function()
    local silent = { { hang = true } }
    local server <close> = raw.start { silent }
    local settings = { timeout = 3600, retry = { tries = 5, base = 0.01, cap = 0.01, deadline = 0.3 } }
    local client = service.client(server.url, settings)
    local batch, err = client:create_batch { dataset = DATASET, once = true }
    assert.is_nil(batch)
    assert.equal("timeout", err.kind)
    assert.is_true(err.ambiguous)
    local done, unknown = client:batch("b1"):complete()
    assert.is_nil(done)
    assert.equal("timeout", unknown.kind)
  end)

  it("does not wait for a look-up longer than for the batch", function()
    local server <close> = raw.start { { { hang = true } } }
    local client = service.client(server.url, { timeout = 3600 })
    local done, err = client:batch("b1"):wait { timeout = 0.2 }
    assert.is_nil(done)
    assert.matches("the batch b1 was still unknown after 0.2 seconds", err.message, 1, true)
  end)

  it("takes from a budget that all of a client's calls share", function()
    local policy = retry.policy({ tries = 1000, base = 0, cap = 0 }, 1)
    local tries, count = retry.tries(policy, math.huge), 0
    while retry.again(tries, {}, core.failure.new { kind = "network", message = "no", retryable = true }) do count = count + 1 end
    assert.equal(100, count)
    retry.succeeded(policy)
    retry.succeeded(policy)
    assert.is_number(retry.again(tries, {}, core.failure.new { kind = "network", message = "no", retryable = true }))
  end)
end)

describe("Retry-After", function()
  -- Seconds between the requests of two calls of a function.
  local function seconds_of(body)
    local before = core.system.monotonic()
    body()
    return core.system.monotonic() - before
  end

  it("may be a date in each form that HTTP knows", function()
    for _, text in ipairs { "Fri, 15 Mar 2019 16:54:33 GMT", "Friday, 15-Mar-19 16:54:33 GMT", "Fri Mar 15 16:54:33 2019" } do
      local at = 1552668873
      assert.equal(60, retry.after(text, (at - 60) * 1000), text)
      assert.equal(0, retry.after(text, (at + 60) * 1000), text)
    end
    for _, text in ipairs { "soon", "", "Fri, 99 Mar 2019", "-1 s" } do assert.is_nil(retry.after(text, 0), text) end
  end)

  it("as a date is waited for", function()
    -- a whole second, so that at least one passes
    local date = os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + 2)
    local server <close> = raw.start { { refused("429 Slow", "retry-after: " .. date .. "\r\n", "{}"), created "b1" } }
    local client = service.client(server.url, { retry = QUICK })
    assert.is_true(seconds_of(function() assert(client:create_batch { dataset = DATASET }) end) > 0.9)
  end)

  it("is obeyed where a batch is waited for, and the end where it comes too late", function()
    local slow = refused("503 Slow", "retry-after: 1\r\n", "{}")
    local done = { send = raw.answer("200 OK", '{"b1":{"id":"b1","status":"success"}}') }
    local server <close> = raw.start { { slow, done } }
    local client = service.client(server.url)
    assert.is_true(seconds_of(function() assert(client:batch("b1"):wait()) end) >= 1)
    local late <close> = raw.start { { refused("503 Slow", "retry-after: 30\r\n", "{}"), done } }
    local batch, err = service.client(late.url):batch("b1"):wait { timeout = 5 }
    assert.is_nil(batch)
    assert.matches("the next try would be in 30 seconds, after the deadline", err.message, 1, true)
    assert.equal(1, #late:stop())
    local later <close> = raw.start { { refused("503 Slow", "retry-after: 30\r\n", "{}"), done } }
    batch, err = service.client(later.url, { retry = { deadline = 10 } }):batch("b1"):wait()
    assert.is_nil(batch)
    assert.equal(1, select(2, err.message:gsub("after the deadline", "")))
  end)

  it("is seconds or a date", function()
    assert.equal(7, retry.after("7", 0))
    assert.equal(0, retry.after("0", 0))
    local now = 1552694873602 -- 2019-03-16 00:07:53.602 UTC
    assert.equal(1, math.ceil(retry.after("Sat, 16 Mar 2019 00:07:54 GMT", now)))
    assert.equal(0, retry.after("Sat, 16 Mar 2019 00:07:53 GMT", now))
    assert.equal(86400, math.ceil(retry.after("Sun, 17 Mar 2019 00:07:53 GMT", now)) + 0)
    assert.equal(951782400, retry.after("Tue, 29 Feb 2000 00:00:00 GMT", 0))
    for _, text in ipairs { "", "soon", "-1", "1.5", "Sat, 16 Foo 2019 00:07:54 GMT" } do assert.is_nil(retry.after(text, 0)) end
    assert.is_nil(retry.after(nil, 0))
  end)
end)

describe("a call that is ended in the middle", function()
  local catalog = require "catalog"

  local function cancelled(client, call, seconds)
    local batch, err
    catalog.run(function()
      local task = catalog.spawn(call, client)
      require("catalog.scheduler.scheduler").sleep(seconds)
      task:cancel()
      batch, err = task:await()
    end)
    assert.is_nil(batch)
    assert.equal("cancelled", err.kind)
    return err
  end

  it("says that nobody knows what became of a creation that was sent", function()
    local silent <close> = raw.start { { { hang = true } } }
    local client = service.client(silent.url)
    assert.is_true(cancelled(client, function() return client:create_batch { dataset = DATASET } end, 0.2).ambiguous)
    assert.is_nil(cancelled(client, function() return client:batch("b"):get() end, 0.2).ambiguous)
  end)

  it("says so in the pause before the next try, too, and how often it was tried", function()
    local server <close> = raw.start { { { close = true } } }
    -- the pause is anything up to this many seconds
    local client = service.client(server.url, { retry = { base = 800, cap = 800 } })
    local err = cancelled(client, function() return client:batch("b"):complete() end, 0.3)
    assert.is_true(err.ambiguous)
    assert.equal("network", err.first.kind)
    assert.equal(2, err.attempts)
  end)
end)

describe("the deadline", function()
  it("ends an upload that stands still", function()
    local server <close> = raw.start { { created "b1", { hang = true } }, { { hang = true } } }
    local client = service.client(server.url, { retry = { tries = 1, deadline = 0.3 } })
    local batch = assert(client:create_batch { dataset = DATASET, format = "json" })
    local done, err = batch:upload("x", { data = "{}\n" })
    assert.is_nil(done)
    assert.matches("no answer within 0%.[23]%d* seconds", err.message)
  end)

  it("passes while the host does other work, too", function()
    service.run({}, function(server)
      local client = service.client(server.url, { retry = { base = 0.01, deadline = 0.5 } })
      local batch = assert(client:create_batch { dataset = DATASET, format = "json" })
      server:set_faults { { match = { method = "PATCH" }, times = 1, action = { status = 503, body = "{}" } } }
      local out = assert(batch:writer("x", { part_size = 100 }))
      local wrote, err
      for i = 1, 40 do
        wrote, err = out:write { n = i }
        if i == 20 then os.execute "sleep 0.8" end
      end
      if wrote then wrote, err = out:close() end
      assert.is_nil(wrote)
      assert.equal(503, err.status)
      assert.matches("after the deadline", err.message, 1, true)
    end)
  end)
end)
