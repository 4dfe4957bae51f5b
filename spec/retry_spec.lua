-- Faults, and what is tried again.
local core = require "catalog.core"
local Group = require "catalog.scheduler.group"
local once = require "catalog.batch.once"
local raw = require "support.raw"
local retry = require "catalog.client.retry"
local service = require "support.service"

local DATASET <const> = service.DATASET
local QUICK <const> = { base = 0.01, cap = 0.02 }

local function created(id)
  return { send = raw.answer("201 Created", ('{"id":"%s"}'):format(id)) }
end

local function error_answer(status, headers, body)
  return { send = raw.answer(status, body or "", headers) }
end

describe("a request", function()
  it("is tried again after faults that pass, and tells the host", function()
    local server <close> = raw.start { {
      error_answer "503 Service Unavailable", error_answer("429 Too Many Requests", nil, '{"title":"TooMany"}'), created "b1",
    } }
    local told = {}
    local client = service.client(server.url, { retry = QUICK, on_retry = function(state) told[#told + 1] = state end })
    local batch, err = client:create_batch { dataset = DATASET }
    -- the page-like 503 leaves it open whether the batch exists: a creation is not repeated then
    assert.is_nil(batch)
    assert.is_true(err.ambiguous)
    assert.equal(0, #told)
    local second <close> = raw.start { {
      error_answer("503 No", nil, '{"title":"Unavailable"}'), error_answer("429 No", nil, '{"title":"TooMany"}'), created "b1",
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
      error_answer("503 No", nil, '{"title":"First"}'), error_answer("500 No", nil, '{"title":"Middle"}'),
      error_answer("500 No", nil, '{"title":"Last"}'),
    } }
    local client = service.client(server.url, { retry = { tries = 3, base = 0.01 } })
    local _, err = client:create_batch { dataset = DATASET }
    assert.equal(3, err.attempts)
    assert.equal(503, err.first.status)
    assert.matches("Last", err.message, 1, true)
    assert.matches("(after 3 tries; the first: ", err.message, 1, true)
    assert.equal(3, #server:stop())
  end)

  it("is not tried again when nothing would change", function()
    for _, status in ipairs { "400 Bad", "403 No", "404 None", "409 Conflict", "413 Large" } do
      local server <close> = raw.start { { error_answer(status, nil, '{"title":"No"}'), created "b1" } }
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
      error_answer("502 Bad", nil, "<html>"),
    } do
      local server <close> = raw.start { { fault, answer }, { answer } }
      local batch, err = service.client(server.url, { retry = QUICK }):batch("b1"):get()
      assert.equal("loading", (batch or error(tostring(err))).status)
    end
  end)

  it("waits as long as the service asks, and fails at once when that is beyond the deadline", function()
    local server <close> = raw.start { {
      error_answer("503 No", "retry-after: 1\r\n", '{"title":"No"}'), created "b1",
    } }
    local pauses = {}
    local client = service.client(server.url, { retry = QUICK, on_retry = function(state) pauses[#pauses + 1] = state.pause end })
    assert(client:create_batch { dataset = DATASET })
    assert.is_true(pauses[1] >= 1)
    local later <close> = raw.start { { error_answer("503 No", "retry-after: 120\r\n", '{"title":"No"}'), created "b1" } }
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
      local client = assert(require("catalog").client(settings))
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
      local client = assert(require("catalog").client(settings))
      local jobs, left = Group.new(8), 20
      jobs:add(function()
        left = left - 1
        return left >= 0 and function() return client:create_batch { dataset = DATASET } end or nil
      end, 20)
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
        client = assert(require("catalog").client(settings))
        server:set_faults { fault }
        pcall(client.create_batch, client, { dataset = DATASET })
        assert(client:create_batch { dataset = DATASET })
      end
    end)
  end)

  it("that cannot be fetched is fetched once for all who wait for it", function()
    local answer = error_answer("400 Bad", "", '{"error":"invalid_client"}')
    answer.pause = 0.1
    local server <close> = raw.start { { answer } }
    local settings = service.settings(server.url, { client_secret = "s3cret" })
    settings.token = nil
    local client = assert(require("catalog").client(settings))
    local _, _, results = require("catalog").map({ 1, 2, 3, 4, 5 }, function() return client:batch("b"):get() end,
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
    local batch, err = assert(require("catalog").client(settings)):create_batch { dataset = DATASET, once = true }
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

describe("a creation that is to happen once", function()
  -- How many batches there are, and how many of them were not aborted.
  local function count(client)
    local total, alive, page = 0, 0
    repeat
      page = 0
      local ids = assert(client:send {
        method = "GET", path = "/data/foundation/catalog/batches?limit=100&start=" .. total, read = core.json.decode,
      })
      for _, fields in pairs(ids) do
        page = page + 1
        if fields.status ~= "aborted" then alive = alive + 1 end
      end
      total = total + page
    until page < 100
    return total, alive
  end

  -- Many of them, a share of whose answers are lost.
  local function create_many(number, options)
    service.run(options, function(server)
      local client = service.client(server.url, { retry = { tries = 20, base = 0.01, cap = 0.02 } })
      local jobs, left, seen = Group.new(250), number, {}
      jobs:add(function()
        left = left - 1
        if left < 0 then return nil end
        return function()
          local batch, err = client:create_batch { dataset = DATASET, once = true }
          if not batch then return nil, err end
          seen[batch.id] = true
          return batch
        end
      end, number)
      assert(jobs:wait())
      local different = 0
      for _ in pairs(seen) do different = different + 1 end
      assert.equal(number, different)
      assert.equal(number, count(client))
    end)
  end

  local LOST <const> = { { match = { method = "POST", path = "/import/batches$" }, rate = 0.5, action = { drop = "after" } } }

  it("leaves exactly one batch, 1000 times of 1000, when answers are lost", function()
    create_many(1000, { faults = LOST, seed = 7 })
  end)

  it("leaves exactly one batch, 1000 times of 1000, when the catalog lags behind too", function()
    create_many(1000, { faults = LOST, seed = 8, catalog_lag_ms = 700 })
  end)

  it("leaves exactly one when it never came to the service", function()
    create_many(40, { seed = 9, faults = {
      { match = { method = "POST", path = "/import/batches$" }, rate = 0.5, times = 20, action = { drop = "before" } },
    } })
  end)

  it("of which the catalog knew too late leaves one, and the other is aborted", function()
    service.run({
      catalog_lag_ms = 6000, unique_ids = false,
      faults = { { match = { method = "POST", path = "/import/batches$" }, times = 1, action = { drop = "after" } } },
    }, function(_, client)
      local batch = assert(client:create_batch { dataset = DATASET, format = "json", once = true })
      assert(batch:upload("a.json", { data = "{}\n" }))
      os.execute "sleep 2" -- by now the catalog knows the first
      assert(batch:complete())
      assert.equal("success", assert(batch:wait { timeout = 60 }).status)
      local total, alive = count(client)
      assert.equal(2, total)
      assert.equal(1, alive)
    end)
  end)

  it("is aborted with the others that its lost answers have left", function()
    local function listed(id) return ('"%s":{"id":"%s","externalId":"ours","status":"loading"}'):format(id, id) end
    local done = { send = raw.answer("200 OK", "") }
    local server <close> = raw.start {
      { { close = true } },
      { { send = raw.answer("200 OK", "{" .. listed "b1" .. "}") }, done,
        { send = raw.answer("200 OK", "{" .. listed "b1" .. "," .. listed "b2" .. "}") }, done },
    }
    local given = { dataset = DATASET, external_id = "ours" }
    local batch = assert(once.create(service.client(server.url), given, { ours = true }))
    assert.equal("b1", batch.id)
    assert(batch:abort())
    local aborted = {}
    for _, request in ipairs(server:stop()) do
      aborted[#aborted + 1] = request:match "^POST /data/foundation/import/batches/(%w+)%?action=ABORT"
    end
    assert.same({ "b1", "b2" }, aborted)
  end)

  it("takes the oldest of several, and aborts the others, whoever looks", function()
    local function listing(...)
      local members = {}
      for i, id in ipairs { ... } do
        members[i] = ('"%s":{"id":"%s","externalId":"ours","created":%d,"status":"loading"}'):format(id, id, id:byte(2))
      end
      return { send = raw.answer("200 OK", "{" .. table.concat(members, ",") .. "}") }
    end
    local done = { send = raw.answer("200 OK", "") }
    for _, listed in ipairs { { "b1", "b2", "b3" }, { "b3", "b2", "b1" } } do
      local server <close> = raw.start { { { close = true } }, { listing(table.unpack(listed)), done, done } }
      local given = { dataset = DATASET, external_id = "ours" }
      local batch = assert(once.create(service.client(server.url), given, { ours = true }))
      assert.equal("b1", batch.id)
      local aborted = {}
      for _, request in ipairs(server:stop()) do
        local id = request:match "^POST /data/foundation/import/batches/(%w+)%?action=ABORT"
        if id then aborted[#aborted + 1] = id end
      end
      table.sort(aborted)
      assert.same({ "b2", "b3" }, aborted)
    end
  end)

  it("does not touch another's batch with the caller's external id that was made before, though unseen then", function()
    service.run({ catalog_lag_ms = 2500, unique_ids = false }, function(server, client)
      local other = assert(client:create_batch { dataset = DATASET, external_id = "mine" })
      os.execute "sleep 2.2" -- the catalog does not know it yet
      server:set_faults { { match = { method = "POST", path = "/import/batches$" }, times = 1, action = { drop = "after" } } }
      local batch = assert(client:create_batch { dataset = DATASET, format = "json", external_id = "mine", once = true })
      assert.not_equal(other.id, batch.id)
      assert(batch:upload("a.json", { data = "{}\n" }))
      assert(batch:complete())
      os.execute "sleep 0.5"
      assert.equal("loading", assert(other:get()).status)
    end)
  end)

  it("leaves exactly one when the answer is cut, garbage, or a page", function()
    for _, action in ipairs { { cut = 40 }, { cut = 200 }, { wrong_length = 10 } } do
      create_many(20, { seed = 10, faults = {
        { match = { method = "POST", path = "/import/batches$" }, rate = 0.5, action = action },
      } })
    end
  end)

  it("is never another's batch that has the caller's external id, though the refusal is lost", function()
    service.run({}, function(server, client)
      local other = assert(client:create_batch { dataset = DATASET, external_id = "mine" })
      server:set_faults { { match = { method = "POST", path = "/import/batches$" }, action = { drop = "after" } } }
      local batch, err = client:create_batch { dataset = DATASET, external_id = "mine", once = true }
      assert.is_nil(batch)
      assert.equal("conflict", err.kind)
      assert.is_nil(err.ambiguous)
      assert.matches("the external id mine is that of the batch " .. other.id, err.message, 1, true)
    end)
  end)

  it("is no batch that was not asked for", function()
    -- the second is what a service lists that knows no such filter
    for _, listing in ipairs {
      '{"b9":{"id":"b9","externalId":"others"}}', '{"b8":{"id":"b8","status":"loading"},"b9":{"id":"b9"}}',
    } do
      local wrong = { send = raw.answer("200 OK", listing) }
      local server <close> = raw.start { { { close = true } }, { wrong } }
      local batch, err = service.client(server.url):create_batch { dataset = DATASET, once = true }
      assert.is_nil(batch)
      assert.is_true(err.ambiguous)
      assert.equal(2, #server:stop()) -- nothing was aborted
    end
  end)

  it("is never another's batch with the caller's external id, be it made as those are that are not the caller's", function()
    service.run({}, function(server, client)
      local given = { dataset = DATASET, external_id = once.new_id() }
      local other = assert(client:create_batch(given))
      given.once = true
      server:set_faults { { match = { method = "POST", path = "/import/batches$" }, times = 1, action = { drop = "before" } } }
      local made, err = client:create_batch(given)
      assert.is_nil(made)
      assert.equal("conflict", err.kind)
      assert.equal("loading", assert(other:get()).status)
    end)
  end)

  it("is never another's batch of another dataset, made at the same time", function()
    service.run({ unique_ids = false }, function(server, client)
      -- the answer to the first look-up is from before the other was created
      server:set_faults {
        { match = { path = "externalId=" }, times = 1, action = { status = 200, body = "{}" } },
        { match = { method = "POST", path = "/import/batches$", nth = 2 }, action = { drop = "before" } },
      }
      local other = assert(client:create_batch { dataset = "another", external_id = "mine" })
      local made = assert(client:create_batch { dataset = DATASET, format = "json", external_id = "mine", once = true })
      assert.not_equal(other.id, made.id)
      assert(made:abort())
      assert.equal("loading", assert(other:get()).status)
    end)
  end)

  it("is refused as taken by another whom the catalog has known too late", function()
    local function answered(body, status)
      return { send = raw.answer(status or "200 OK", body, os.date "!date: %a, %d %b %Y %H:%M:%S GMT\r\n") }
    end
    local none = answered "{}"
    local server <close> = raw.start { { none, { close = true } }, {
      none, none, answered('{"title":"the externalId is taken"}', "409 Conflict"),
      answered '{"b1":{"id":"b1","externalId":"mine","created":1,"status":"loading"}}',
    } }
    local client = service.client(server.url, { retry = { deadline = 1 } })
    local made, err = client:create_batch { dataset = DATASET, external_id = "mine", once = true }
    assert.is_nil(made)
    assert.equal("conflict", err.kind, tostring(err))
    assert.matches("the external id mine is that of the batch b1", err.message, 1, true)
  end)

  it("does not wait long for what is of no use to be aborted, neither now nor when the batch is completed", function()
    service.run({ unique_ids = false }, function(server)
      local tried = {}
      local client = service.client(server.url, { retry = { tries = 2, base = 0.01 }, on_request = function(exchange)
        local what = exchange.url:match "action=(%u+)" or exchange.url:match "externalId"
        if what then tried[#tried + 1] = what end
      end })
      local slow = { status = 503, headers = { ["retry-after"] = "11" }, body = "{}" }
      local given = { dataset = DATASET, format = "json", external_id = "ours" }
      for _ = 1, 2 do assert(client:create_batch(given)) end
      server:set_faults { { match = { path = "ABORT" }, action = slow } }
      local made = assert(once.create(client, given, { ours = true, open = true }))
      assert(made:upload("a.json", { data = "{}\n" }))
      server:set_faults { { match = { path = "externalId" }, action = slow } }
      assert(made:complete())
      assert.same({ "externalId", "ABORT", "COMPLETE", "externalId" }, tried)
    end)
  end)

  it("leaves another's batch alone that came later, also when the catalog does not know the own one", function()
    service.run({}, function(_, client)
      local other = assert(client:create_batch { dataset = DATASET, external_id = "mine" })
      local own = client:batch("unknown", { dataset = DATASET })
      once.doubt(own, "mine", other.created - 100000)
      once.abort_others(own)
      assert.equal("loading", assert(other:get()).status)
    end)
  end)

  it("may have its external id among the extra fields", function()
    service.run({ faults = {
      { match = { method = "POST", path = "/import/batches$" }, times = 1, action = { drop = "after" } },
    } }, function(_, client)
      local batch = assert(client:create_batch { dataset = DATASET, once = true, extra = { externalId = "mine" } })
      assert.equal("mine", batch.externalId)
    end)
  end)

  it("is refused when the caller's own external id is taken by another", function()
    for _, unique_ids in ipairs { false, true } do
      service.run({ unique_ids = unique_ids }, function(_, client)
        local other = assert(client:create_batch { dataset = DATASET, external_id = "mine" })
        local batch, err = client:create_batch { dataset = DATASET, external_id = "mine", once = true }
        assert.is_nil(batch)
        assert.equal("conflict", err.kind)
        assert.is_nil(err.ambiguous)
        assert.matches(other.id, err.message, 1, true)
        assert.equal(1, (count(client))) -- nothing was sent that could have created another
      end)
    end
  end)
end)

describe("faults on the way", function()
  it("do not keep an ingest from being whole", function()
    local shell = require "support.shell"
    shell.with_directory(function(directory)
      local path, lines = directory .. "/source.json", {}
      for i = 1, 5000 do lines[i] = ('{"n":%d}\n'):format(i) end
      shell.write(path, table.concat(lines))
      service.run({ data_dir = directory .. "/data", seed = 11, faults = {
        { rate = 0.05, action = { drop = "after" } }, { rate = 0.05, action = { drop = "before" } },
        { rate = 0.05, action = { status = 503, body = "{}" } }, { rate = 0.05, action = { cut = 30 } },
      } }, function(server)
        local client = service.client(server.url, { retry = { tries = 10, base = 0.01, cap = 0.05 } })
        for run = 1, 5 do
          local report = assert(client:ingest {
            dataset = DATASET, format = "json", files = { { name = "whole", file = path }, { name = "parts", file = path } },
            part_size = 3000 + run, part_threshold = run == 1 and 200000 or 1000, parallel = 4,
          })
          assert.equal(10000, report.metrics.outputRecordCount)
          for _, name in ipairs { "whole", "parts" } do
            local kept <close> = assert(io.open(("%s/data/files/%s/%s"):format(directory, report.id, name), "rb"))
            assert.equal(table.concat(lines), kept:read "a")
          end
        end
      end)
    end)
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
    local server <close> = raw.start { { error_answer("429 Slow", "retry-after: " .. date .. "\r\n", "{}"), created "b1" } }
    local client = service.client(server.url, { retry = QUICK })
    assert.is_true(seconds_of(function() assert(client:create_batch { dataset = DATASET }) end) > 0.9)
  end)

  it("is obeyed where a batch is waited for, and the end where it comes too late", function()
    local slow = error_answer("503 Slow", "retry-after: 1\r\n", "{}")
    local done = { send = raw.answer("200 OK", '{"b1":{"id":"b1","status":"success"}}') }
    local server <close> = raw.start { { slow, done } }
    local client = service.client(server.url)
    assert.is_true(seconds_of(function() assert(client:batch("b1"):wait()) end) >= 1)
    local late <close> = raw.start { { error_answer("503 Slow", "retry-after: 30\r\n", "{}"), done } }
    local batch, err = service.client(late.url):batch("b1"):wait { timeout = 5 }
    assert.is_nil(batch)
    assert.matches("the next try would be in 30 seconds, after the deadline", err.message, 1, true)
    assert.equal(1, #late:stop())
    local later <close> = raw.start { { error_answer("503 Slow", "retry-after: 30\r\n", "{}"), done } }
    batch, err = service.client(later.url, { retry = { deadline = 10 } }):batch("b1"):wait()
    assert.is_nil(batch)
    assert.equal(1, select(2, err.message:gsub("after the deadline", "")))
  end)

  it("leaves it open what became of a creation, where it comes too late", function()
    local none = { send = raw.answer("200 OK", "{}") }
    for _, answer in ipairs {
      error_answer("409 Taken", "retry-after: 5000\r\n", '{"title":"externalId exists"}'),
      error_answer("400 Bad", "", '{"title":"No more"}'), -- nor is the one before undone by a refusal
    } do
      local server <close> = raw.start { { { close = true } }, { none, none, none, none, none, answer } }
      local client = service.client(server.url, { retry = { deadline = 60 } })
      local batch, err = client:create_batch { dataset = DATASET, once = true }
      assert.is_nil(batch)
      assert.is_true(err.status == 409 or err.status == 400)
      assert.is_true(err.ambiguous)
    end
  end)

  it("is obeyed by a creation that is to happen once", function()
    local slow = error_answer("503 Slow", "retry-after: 1\r\n", "a page")
    local none = { send = raw.answer("200 OK", "{}") }
    local server <close> = raw.start { { slow, none, none, none, none, none, created "b1", none } }
    local client = service.client(server.url, { retry = QUICK })
    assert.is_true(seconds_of(function() assert(client:create_batch { dataset = DATASET, once = true }) end) >= 5.2)
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

describe("the rate of creations", function()
  local new_rate_limiter = require "catalog.client.rate_limiter"

  it("is slowed down once for all that meet the limit together", function()
    local free = new_rate_limiter(false)
    for _ = 1, 12 do free:observe { status = 429, retry_after = "1" } end
    assert.equal(1, free.interval)
    service.run({ faults = { {
      match = { method = "POST", path = "/import/batches$" }, times = 3,
      action = { status = 429, headers = { ["retry-after"] = "1" }, body = "{}" },
    } } }, function(server)
      local client = service.client(server.url, { retry = { tries = 5, base = 0.01, deadline = 60 } })
      assert(require("catalog").map({ 1, 2, 3 }, function() return client:create_batch { dataset = DATASET } end))
    end)
  end)

  it("is not taken from a few creations", function()
    for count = 0, 3 do
      local free = new_rate_limiter(false)
      for _ = 1, count do free:observe(nil) end
      free:observe { status = 429 }
      assert.equal(1, free.interval)
    end
  end)

  it("is without limit until the service shows one, and is let go again", function()
    local free = new_rate_limiter(false)
    for _ = 1, 30 do
      assert.equal(0, free:reserve(math.huge))
      free:observe(nil)
    end
    free:observe { status = 429 }
    assert.is_true(free:reserve(math.huge) > 1.5) -- thirty a minute is one every two seconds
    assert.is_true(free:reserve(math.huge) > 3.5)
    for _ = 1, 300 do free:observe(nil) end
    assert.is_nil(free.interval)
  end)

  it("is that of the last minute, however many were created before", function()
    local free = new_rate_limiter(false)
    for _ = 1, 12000 do free:observe(nil) end
    for i, at in ipairs(free.made) do free.made[i] = at - 120 end -- two minutes pass
    for _ = 1, 30 do free:observe(nil) end
    free:observe { status = 429 }
    assert.equal(2, free.interval)
  end)

  -- The pace after a 429 is one a second; the pauses of tries are a few milliseconds.
  it("is in the pause that the host is told of, for each of those who wait", function()
    service.run({ faults = { {
      match = { method = "POST", path = "/import/batches$" }, times = 2, action = { status = 429, body = "{}" },
    } } }, function(server)
      local told = {}
      local client = service.client(server.url, {
        retry = QUICK, on_retry = function(state) told[#told + 1] = state.pause end,
      })
      assert(require("catalog").map({ 1, 2 }, function() return client:create_batch { dataset = DATASET } end))
      assert.equal(2, #told)
      assert.is_true(told[1] > 0.5)
      assert.is_true(told[2] > told[1] + 0.5)
    end)
  end)

  it("is not waited for beyond the deadline of the call: nothing is sent then", function()
    local server <close> = raw.start { { error_answer("429 Slow", "", '{"title":"Slow"}'), created "b1" } }
    local client = service.client(server.url, { retry = { tries = 1, deadline = 0.2 } })
    client:create_batch { dataset = DATASET }
    local told = 0
    local often = service.client(server.url, {
      retry = { tries = 5, deadline = 0.2 }, on_retry = function() told = told + 1 end,
    })
    often.rate_limiter = client.rate_limiter
    for _, one in ipairs { client, client, often } do
      local batch, err = one:create_batch { dataset = DATASET }
      assert.is_nil(batch)
      assert.equal("limit", err.kind)
      assert.is_true(err.retryable)
      assert.is_nil(err.ambiguous)
    end
    assert.equal(0, told) -- it would be so each time
    assert.equal(1, #server:stop())
  end)

  it("is what the caller says, and never more", function()
    local bound = new_rate_limiter(60)
    assert.equal(0, bound:reserve(math.huge))
    assert.is_true(bound:reserve(math.huge) > 0.9)
    bound:observe { status = 429 }
    for _ = 1, 300 do bound:observe(nil) end
    assert.equal(1, bound.interval)
  end)

  it("is kept to by creations", function()
    local server <close> = raw.start { { created "b1", created "b2", created "b3" } }
    local client = service.client(server.url, { rate = 1200 })
    local before = core.system.monotonic()
    for _ = 1, 3 do assert(client:create_batch { dataset = DATASET }) end
    assert.is_true(core.system.monotonic() - before >= 0.1)
    local refused, err = require("catalog").client(service.settings(server.url, { rate = 0 }))
    assert.is_nil(refused)
    assert.matches("rate is a number of batches a minute", err.message, 1, true)
  end)
end)
