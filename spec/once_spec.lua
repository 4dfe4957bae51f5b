-- Creations that are to happen once, whatever becomes of their answers.
local Group = require "catalog.scheduler.group"
local core = require "catalog.core"
local hurry = require "support.hurry"
local once = require "catalog.batch.once"
local raw = require "support.raw"
local service = require "support.service"

local DATASET <const> = service.DATASET
local QUICK <const> = { base = 0.01, cap = 0.02 }
local created <const>, refused <const> = raw.created, raw.refused

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
      local jobs, seen = Group.new(nil, 250), {}
      jobs:add(function()
        local batch, err = client:create_batch { dataset = DATASET, once = true }
        if not batch then return nil, err end
        seen[batch.id] = true
        return batch
      end, number)
      hurry.during(function() assert(jobs:wait()) end)
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
    create_many(1000, { faults = LOST, seed = 8, catalog_lag_ms = 70 })
  end)

  it("leaves exactly one when it never came to the service", function()
    create_many(40, { seed = 9, faults = {
      { match = { method = "POST", path = "/import/batches$" }, rate = 0.5, times = 20, action = { drop = "before" } },
    } })
  end)

  it("of which the catalog knew too late leaves one, and the other is aborted", function()
    service.run({
      catalog_lag_ms = 600, unique_ids = false,
      faults = { { match = { method = "POST", path = "/import/batches$" }, times = 1, action = { drop = "after" } } },
    }, function(_, client)
      local batch
      hurry.during(function() batch = assert(client:create_batch { dataset = DATASET, format = "json", once = true }) end)
      assert(batch:upload("a.json", { data = "{}\n" }))
      os.execute "sleep 0.3" -- by now the catalog knows the first
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
    service.run({ unique_ids = false }, function(server, client)
      local other = assert(client:create_batch { dataset = DATASET, external_id = "mine" })
      os.execute "sleep 2.2" -- dates have whole seconds
      server:set_faults {
        { match = { path = "externalId=" }, times = 1, action = { status = 200, body = "{}" } }, -- it is not known yet
        { match = { method = "POST", path = "/import/batches$" }, times = 1, action = { drop = "after" } },
      }
      local batch = assert(client:create_batch { dataset = DATASET, format = "json", external_id = "mine", once = true })
      assert.not_equal(other.id, batch.id)
      assert(batch:upload("a.json", { data = "{}\n" }))
      assert(batch:complete())
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
      local made
      hurry.during(function()
        made = assert(client:create_batch { dataset = DATASET, format = "json", external_id = "mine", once = true })
      end)
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

describe("Retry-After", function()
  it("leaves it open what became of a creation that is to happen once, where it comes too late", function()
    local none = { send = raw.answer("200 OK", "{}") }
    for _, answer in ipairs {
      refused("409 Taken", "retry-after: 5000\r\n", '{"title":"externalId exists"}'),
      refused("400 Bad", "", '{"title":"No more"}'), -- nor is the one before undone by a refusal
    } do
      local server <close> = raw.start { { { close = true } }, { none, none, none, none, none, answer } }
      local client = service.client(server.url, { retry = { deadline = 60 } })
      local batch, err
      hurry.during(function() batch, err = client:create_batch { dataset = DATASET, once = true } end)
      assert.is_nil(batch)
      assert.is_true(err.status == 409 or err.status == 400)
      assert.is_true(err.ambiguous)
    end
  end)

  it("is obeyed by a creation that is to happen once", function()
    local slow = refused("503 Slow", "retry-after: 1\r\n", "a page")
    local none = { send = raw.answer("200 OK", "{}") }
    local server <close> = raw.start { { slow, none, none, none, none, none, created "b1", none } }
    local client = service.client(server.url, { retry = QUICK })
    local pauses = hurry.during(function() assert(client:create_batch { dataset = DATASET, once = true }) end)
    assert.same({ 1, 0.25, 1, 1, 2 }, pauses)
  end)
end)
