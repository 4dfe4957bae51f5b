-- Listings of batches.
local catalog = require "catalog"
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local raw = require "support.raw"
local service = require "support.service"

-- A page of batches: so many, each a millisecond older than the one before, from a moment on.
local function page(first, count, created)
  local members = {}
  for i = 1, count do
    members[i] = ('"b%d":{"created":%d,"status":"success"}'):format(first + i - 1, created or 10000 - first - i)
  end
  return { send = raw.answer("200 OK", "{" .. table.concat(members, ",") .. "}") }
end

local function ids_of(iterator)
  local ids = {}
  for batch in iterator do ids[#ids + 1] = batch.id end
  return ids
end

-- What the listing asked for, in the order of the requests.
local function queries(server)
  local list = {}
  for i, request in ipairs(server:stop()) do list[i] = request:match "^GET /data/foundation/catalog/batches%?(%S*)" end
  return list
end

-- What is asked for with some options.
local function query(options)
  local server <close> = raw.start { { { send = raw.answer("200 OK", "{}") } } }
  for _ in service.client(server.url):batches(options) do error "there is none" end
  return queries(server)[1]
end

local function raised(options, url)
  local ok, err = pcall(function()
    for _ in service.client(url or "http://127.0.0.1:1"):batches(options) do error "there is none" end
  end)
  assert.is_false(ok)
  return err
end

describe("a listing of batches", function()
  it("asks the service for what fits, and for nothing else", function()
    local rest <const> = "&limit=100&start=0"
    assert.equal("orderBy=desc%3Acreated&status=failed%2Cfailure" .. rest, query { status = "failed" })
    assert.equal("orderBy=desc%3Acreated&status=failed%2Cfailure%2Cstalled" .. rest,
      query { status = { "failure", "stalled" } })
    assert.equal("orderBy=asc%3Aupdated%2Ccreated&properties=status%2Cupdated%2Ccreated&dataSet=d1" .. rest,
      query { dataset = "d1", order_by = { "asc:updated", "created" }, properties = { "status" } })
    assert.equal("orderBy=desc%3Acreated&tags=a%3Ax%2A%2Cb%3A1%2Cb%3A2&externalId=e1%2Ce2" .. rest,
      query { tags = { a = "x*", b = { "1", "2" } }, external_id = { "e1", "e2" } })
    assert.equal("orderBy=desc%3Acreated&createdAfter=1795651199999&createdBefore=1795680000000" .. rest,
      query { since = "2026-11-26", created_before = "2026-11-26T08:00Z" })
    assert.equal("orderBy=desc%3Acreated&createdAfter=5" .. rest, query { created_after = 5 })
  end)

  it("goes on after the last entry, whatever is added or removed meanwhile", function()
    local server <close> = raw.start { { page(1, 100), page(100, 100), page(199, 3) } }
    local ids = ids_of(service.client(server.url):batches { dataset = "d" })
    assert.equal(201, #ids) -- the last of a page is in the next one again
    assert.equal("b1 b2 b201", table.concat({ ids[1], ids[2], ids[201] }, " "))
    local bounds = {}
    for i, one in ipairs(queries(server)) do bounds[i] = one:match "createdBefore=(%d+)&limit=100&start=0$" or "none" end
    assert.same({ "none", "9900", "9801" }, bounds)
  end)

  it("has all of those that were created at the same time", function()
    local server <close> = raw.start { { page(1, 100, 7), page(1, 100, 7), page(101, 100, 7), page(201, 1, 7) } }
    assert.equal(201, #ids_of(service.client(server.url):batches { dataset = "d" }))
    local starts = {}
    for i, one in ipairs(queries(server)) do starts[i] = one:match "start=(%d+)$" end
    assert.same({ "0", "0", "100", "200" }, starts)
  end)

  it("counts where the order is another", function()
    local server <close> = raw.start { { page(1, 100), page(101, 5) } }
    assert.equal(105, #ids_of(service.client(server.url):batches { dataset = "d", order_by = "asc:status" }))
    assert.matches("start=100$", queries(server)[2])
  end)

  it("that never ends is an error", function()
    local server <close> = raw.start { { page(1, 100), page(1, 100), page(1, 100), page(1, 100), page(1, 100) } }
    local count = 0
    local ok, failed = pcall(function()
      for _ in service.client(server.url):batches { dataset = "d", order_by = "asc:status" } do count = count + 1 end
    end)
    assert.is_false(ok)
    assert.equal(100, count)
    assert.equal("protocol", failed.kind)
    assert.matches("the same entries again and again", failed.message)
  end)

  it("that takes no notice of where it is to go on is an error, and has nothing twice", function()
    for _, order in ipairs { "desc:created", "asc:created" } do
      local same = page(1, 100)
      local server <close> = raw.start { { same, same, same, same, same, same } }
      local count = 0
      local ok, failed = pcall(function()
        for _ in service.client(server.url):batches { dataset = "d", order_by = order } do count = count + 1 end
      end)
      assert.same({ false, 100, "protocol" }, { ok, count, failed.kind })
    end
  end)

  it("raises what goes wrong in the middle, after all that came before", function()
    local server <close> = raw.start { { page(1, 100), { send = raw.answer("403 Forbidden", '{"title":"Forbidden"}') } } }
    local count = 0
    local ok, err = pcall(function()
      for _ in service.client(server.url):batches { dataset = "d" } do count = count + 1 end
    end)
    assert.same({ false, 100, "auth" }, { ok, count, err.kind })
  end)

  it("raises what is no listing", function()
    for _, body in ipairs { "[1]", "7", '{"b":[1]}', '{"b":{"id":"c"}}', '{"b":1}', "<html>" } do
      local server <close> = raw.start { { { send = raw.answer("200 OK", body) } } }
      assert.equal("protocol", raised({ dataset = "d" }, server.url).kind, body)
    end
  end)

  it("is refused without a filter, with the reason", function()
    local client = service.client "http://127.0.0.1:1"
    for _, options in ipairs { {}, { properties = { "id" } }, { order_by = "asc:created" } } do
      local _, err = pcall(client.batches, client, options)
      assert.matches("3 GB; give since, dataset, status", err, 1, true)
    end
    assert.has_error(function() client:batches { datset = "d" } end,
      "unknown option 'datset' for batches (did you mean 'dataset'?)")
  end)

  it("raises values that cannot be used in the loop, before a request", function()
    for _, options in ipairs {
      { since = "yesterday" }, { since = "1h", created_after = 5 }, { status = "" }, { status = {} },
      { external_id = "a,b" }, { external_id = "!a" }, { tags = { ["a:b"] = "c" } }, { tags = { a = "x,y" } },
      { tags = {} }, { dataset = "d", order_by = "up:created" }, { dataset = "d", properties = "" }, { tags = { 1 } },
      { created_before = -1 },
    } do assert.equal("config", raised(options).kind) end
  end)
end)

describe("a listing of an emulator's batches", function()
  local number = 0

  local function create(client, count, options)
    local made = {}
    for i = 1, count do
      number = number + 1
      local given = { dataset = "d" .. i % 2, format = "json", external_id = "e" .. number, tags = { source = { "s" .. i } } }
      for name, value in pairs(options or {}) do given[name] = value end
      made[i] = assert(client:create_batch(given)).id
    end
    return made
  end

  it("has each once, the newest first, over pages, and they are batches", function()
    service.run({}, function(_, client)
      local made, ids, last = create(client, 230), {}, math.huge
      for batch in client:batches { since = "1h" } do
        ids[batch.id] = (ids[batch.id] or 0) + 1
        assert.is_true(batch.created <= last)
        last = batch.created
        assert.equal("loading", batch.status)
      end
      for _, id in ipairs(made) do assert.equal(1, ids[id]) end
      local count, oldest = 0, nil
      for batch in client:batches { dataset = "d1", order_by = "asc:created", properties = "status" } do
        count = count + 1
        if count == 1 then
          oldest = batch.id
          assert(batch:abort())
        end
        assert.is_nil(batch.externalId)
      end
      assert.equal(115, count)
      assert.same({ oldest }, ids_of(client:batches { status = "aborted" }))
      local external_id = assert(client:batch(made[7]):get()).externalId
      assert.same({ made[7] }, ids_of(client:batches { external_id = external_id }))
      assert.same({ made[7] }, ids_of(client:batches { tags = { source = "s7" } }))
    end)
  end)

  it("has those that are created while it goes on, where it ends with the newest", function()
    service.run({}, function(_, client)
      create(client, 120)
      local count = 0
      for _ in client:batches { since = "1h", order_by = "asc:created" } do
        count = count + 1
        if count <= 30 then create(client, 1) end
      end
      assert.equal(150, count)
      count = 0
      for _ in client:batches { since = "1h" } do
        count = count + 1
        if count <= 30 then create(client, 1) end
      end
      assert.equal(150, count)
    end)
  end)

  it("may be left, and several go on side by side in tasks", function()
    service.run({ latency_ms = 2 }, function(_, client)
      create(client, 150)
      assert.equal("loading", client:batches { since = "1h" }().status)
      local counts = assert(catalog.map({ 1, 2, 3 }, function()
        local count = 0
        for _ in client:batches { since = "1h" } do count = count + 1 end
        return count
      end))
      assert.same({ 150, 150, 150 }, counts)
    end)
  end)

  it("is there for the default client", function()
    local server <close> = assert(emulator.start {})
    assert(catalog.configure(service.settings(server.url)))
    assert.same({}, ids_of(catalog.batches { since = core.system.now() }))
  end)
end)
