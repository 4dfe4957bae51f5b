-- Data sets: found, made, changed, and named wherever an id is.
local catalog = require "catalog"
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local raw = require "support.raw"
local service = require "support.service"
local shell = require "support.shell"

local PROFILE <const> = { unifiedProfile = { "enabled: true", "isUpsert: true" }, unifiedIdentity = { "enabled:true" } }

-- Names that a service takes for something else, unless care is taken.
local ODD <const> = {
  "a,b", "!a", "50% off", "a*b", "a", "b", 'say "hi"', "it's", "x.y(z)[1]{2}^$|?+\\", "5c8c3c555033b814b69f947f", "ümläut",
  "a&b=c#d", "tab\tin", "name~x",
}

-- The tags of a data set without those that the service adds.
local function own(tags)
  local list = {}
  for name, value in pairs(tags) do list[name] = not name:find "^adobe/" and value or nil end
  return list
end

local function delete(client, id)
  assert(client:send { method = "DELETE", path = "/data/foundation/catalog/dataSets/" .. id, read = core.json.decode })
end

local function names_of(iterator)
  local names = {}
  for dataset in iterator do names[#names + 1] = dataset.name end
  table.sort(names)
  return names
end

describe("a data set", function()
  it("is found by its name, whatever is in that", function()
    service.run({}, function(_, client)
      local ids = {}
      for _, name in ipairs(ODD) do ids[name] = assert(client:create_dataset { name = name }).id end
      for _, name in ipairs(ODD) do
        local found, err = client:find_dataset { name = name }
        assert(found, tostring(err))
        assert.same({ ids[name], name }, { found.id, found.name })
      end
      for _, name in ipairs { "nobody", "*", "a*", "A" } do
        local found, err = client:find_dataset { name = name }
        assert.is_nil(found)
        assert.same({ "http", 404 }, { err.kind, err.status })
        assert.matches(('no data set of the name "%s" in the sandbox prod'):format(name), err.message, 1, true)
      end
      assert.equal("config", select(2, client:find_dataset { name = "" }).kind)
      assert.has_error(function() client:find_dataset {} end, "bad option 'name' for find_dataset (string expected, got nil)")
    end)
  end)

  it("is told apart from another of its name", function()
    service.run({}, function(_, client)
      local ids = {}
      for i = 1, 2 do ids[i] = assert(client:create_dataset { name = "twice" }).id end
      local found, err = client:find_dataset { name = "twice" }
      assert.is_nil(found)
      assert.equal("config", err.kind)
      assert.equal(2, #err.datasets)
      for _, id in ipairs(ids) do assert.matches(id, err.message, 1, true) end
      local batch, unclear = client:create_batch { dataset = { name = "twice" } }
      assert.is_nil(batch)
      assert.equal(err.message:sub(1, 30), unclear.message:sub(1, 30))
    end)
  end)

  it("is not what a service says that takes no notice of the name", function()
    local answer = raw.answer("200 OK", '{"a":{"name":"another"},"b":{"name":"wanted"},"c":{"description":"no name"}}')
    local server <close> = raw.start { { { send = answer } } }
    assert.equal("b", assert(service.client(server.url):find_dataset { name = "wanted" }).id)
    assert.matches("^GET /data/foundation/catalog/dataSets%?orderBy=desc%%3Acreated&properties=name%%2Cdescription%%2C"
      .. "schemaRef%%2Ctags%%2Ccreated%%2Cupdated%%2Cversion&name=wanted&limit=100&start=0 ", server:stop()[1])
  end)

  it("is listed by wildcards, tags and time, over pages", function()
    service.run({}, function(_, client)
      for i = 1, 120 do assert(client:create_dataset { name = "Loyalty " .. i, tags = { half = { tostring(i % 2) } } }) end
      assert(client:create_dataset { name = "other*" })
      assert.equal(120, #names_of(client:datasets { name = "Loyalty*" }))
      assert.same({ "Loyalty 7" }, names_of(client:datasets { name = "L* 7", properties = { "tags" } }))
      assert.same({ "other*" }, names_of(client:datasets { name = "oth*r**" }))
      assert.equal(60, #names_of(client:datasets { tags = { half = "1" } }))
      assert.equal(121, #names_of(client:datasets { since = "1h" }))
      assert.equal(121, #names_of(client:datasets { properties = { "name" }, order_by = "asc:name" }))
      local other = client:datasets { name = "other**" }()
      assert.equal("data set " .. other.id .. " (other*)", tostring(other))
    end)
  end)

  it("is listed with all others, also where those that were seen go away meanwhile", function()
    service.run({}, function(_, client)
      for i = 1, 230 do assert(client:create_dataset { name = "x" .. i }) end
      local seen = {}
      for dataset in client:datasets { name = "x*", properties = { "name" } } do
        assert.is_nil(seen[dataset.name])
        seen[dataset.name], seen[#seen + 1] = true, true
        delete(client, dataset.id)
      end
      assert.equal(230, #seen)
      assert.same({}, names_of(client:datasets { name = "x*" }))
    end)
  end)

  it("is not listed with all others whole", function()
    local client = service.client "http://127.0.0.1:1"
    local _, err = pcall(client.datasets, client, { order_by = "asc:name" })
    assert.matches("3 GB; give name, tags", err, 1, true)
    local fine, failed = pcall(client:datasets { name = "" })
    assert.same({ false, "config" }, { fine, failed.kind })
  end)

  it("is made with a schema and tags, and looked up", function()
    service.run({}, function(_, client)
      local made = assert(client:create_dataset {
        name = "P", description = "about", schema = "https://ns.adobe.com/t/schemas/1", profile = true, upsert = true,
        tags = { owner = "me" }, extra = { enableErrorDiagnostics = true },
      })
      local seen = {}
      for name in pairs(made) do seen[#seen + 1] = name end
      assert.same({ "id" }, seen)
      local whole = assert(made:get())
      assert.same({ "P", "about", true, "https://ns.adobe.com/t/schemas/1" },
        { whole.name, whole.description, whole.enableErrorDiagnostics, whole.schemaRef.id })
      assert.same({
        owner = { "me" }, unifiedProfile = { "enabled:true", "isUpsert:true" }, unifiedIdentity = { "enabled:true" },
      }, own(whole.tags))
      assert.same({ true, true }, { whole:profile_enabled(), made:upsert_enabled() })
      local plain = assert(client:create_dataset { name = "Q" })
      assert.same({ false, false }, { plain:profile_enabled(), plain:upsert_enabled() })
      local no, err = client:create_dataset { name = "R", upsert = true, profile = false }
      assert.same({ nil, "config" }, { no, err.kind })
      local unknown, missing = client:dataset("nobody"):get()
      assert.same({ nil, 404 }, { unknown, missing.status })
      assert.equal(404, select(2, client:dataset("nobody"):profile_enabled()).status)
    end)
  end)

  it("has tags that the guides write with a space", function()
    service.run({ datasets = { d = { name = "D", tags = PROFILE } } }, function(_, client)
      local dataset = client:dataset "d"
      assert.same({ true, true }, { dataset:profile_enabled(), dataset:upsert_enabled() })
      local changed = assert(dataset:update { upsert = false })
      assert.same({ "enabled: true" }, changed.tags.unifiedProfile)
      assert.same({ "enabled:true" }, changed.tags.unifiedIdentity)
      assert.same({ "enabled:false" }, assert(changed:update { profile = false }).tags.unifiedProfile)
    end)
  end)
end)

describe("a change of a data set", function()
  it("is made to what was seen, and leaves the rest alone", function()
    service.run({}, function(_, client)
      local made = assert(client:create_dataset { name = "A", tags = { one = { "1" }, two = { "2" } } })
      local changed = assert(made:update { description = "new", tags = { two = { "3" } } })
      assert.same({ "A", "new", { one = { "1" }, two = { "3" } } }, { changed.name, changed.description,
        own(changed.tags) })
      assert.equal("B", assert(changed:update { name = "B" }).name)
    end)
  end)

  it("is a conflict with both in it, where somebody else was first", function()
    service.run({}, function(_, client)
      local mine = assert(assert(client:create_dataset { name = "A" }):get())
      assert(client:dataset(mine.id):update { name = "B" })
      local changed, err = mine:update { name = "C" }
      assert.is_nil(changed)
      assert.same({ "conflict", 412 }, { err.kind, err.status })
      assert.same({ name = "C" }, err.wanted)
      assert.equal("B", err.current.name)
      assert.equal("C", assert(err.current:update(err.wanted)).name)
    end)
  end)

  it("is made once where its answer was lost", function()
    service.run({}, function(server, client)
      local mine = assert(assert(client:create_dataset { name = "A" }):get())
      server:set_faults { { match = { method = "PATCH", nth = 1 }, action = { drop = "after" } } }
      local patient = service.client(server.url, { retry = { base = 0.001 } })
      local seen = assert(patient:dataset(mine.id):get())
      local changed = assert(seen:update { name = "B", tags = { a = { "b" } } })
      assert.same({ "B", "1.0.1" }, { changed.name, changed.version })
    end)
  end)
end)

describe("a data set in the place of an id", function()
  it("costs no call, and by its name one for all", function()
    shell.with_directory(function(directory)
      local log = directory .. "/log"
      service.run({ datasets = { d1 = "Loyalty" }, log = log }, function(_, client)
        local function looks()
          return select(2, shell.read(log):gsub("GET /data/foundation/catalog/dataSets", ""))
        end
        assert(client:create_batch { dataset = client:dataset "d1" })
        assert(client:dataset("d1"):create_batch { format = "json" })
        assert.equal(0, looks())
        for _ = 1, 3 do assert(client:create_batch { dataset = { name = "Loyalty" }, format = "json" }) end
        assert.equal(1, looks())
        local id = assert(client:create_batch { dataset = "d1", format = "json" }).id
        for _, dataset in ipairs { "d1", client:dataset "d1", { name = "Loyalty" } } do
          local batch = client:batch(id, { dataset = dataset })
          assert(batch:upload("a.json", { data = "{}\n" }))
          assert.equal("{}", core.json.encode(batch:preview(1)()))
        end
        assert.equal(1, looks())
        shell.write(directory .. "/a.json", "{}\n")
        local report = assert(client:ingest { dataset = { name = "Loyalty" }, files = { directory .. "/a.json" } })
        assert.equal("success", report.status)
        local sink = assert(client:sink { dataset = { name = "Loyalty" }, spool = directory .. "/spool" })
        assert(sink:write { n = 1 })
        assert(sink:close { flush = true })
        assert.equal(1, looks())
        local count = 0
        for batch in client:batches { dataset = { name = "Loyalty" } } do
          count = count + 1
          assert.equal("d1", batch.relatedObjects[1].id)
        end
        assert.equal(8, count)
        local last = assert(client:dataset("d1"):last_batches())
        assert.equal("success", last.status)
        assert.equal(last.last.id, last.success.id)
        assert.equal("success", assert(last.success:get()).status)
        assert.is_nil(last.failure)
        assert.same({}, client:dataset("d2"):last_batches())
      end)
    end)
  end)

  it("is looked up anew once its id was refused", function()
    service.run({}, function(_, client)
      local first = assert(client:create_dataset { name = "A" })
      assert(client:create_batch { dataset = { name = "A" } })
      delete(client, first.id)
      local second = assert(client:create_dataset { name = "A" })
      assert.equal(400, select(2, client:create_batch { dataset = { name = "A" } }).status)
      local batch = assert(client:create_batch { dataset = { name = "A" } })
      assert.equal(second.id, assert(batch:get()).relatedObjects[1].id)
    end)
  end)

  it("is refused where it is none", function()
    service.run({ datasets = { d1 = "Loyalty" } }, function(_, client)
      local batch, err = client:create_batch { dataset = { name = "nobody" } }
      assert.same({ nil, 404 }, { batch, err.status })
      local report, failed = client:ingest { dataset = { name = "nobody" }, files = { "x.json" } }
      assert.same({ nil, 404 }, { report, failed.status })
      for call, given in pairs { create_batch = {}, ingest = { files = { "x.json" } }, sink = { spool = "x" } } do
        given.dataset = {}
        local fine, message = pcall(function() client[call](client, given) end)
        assert.is_false(fine)
        assert.matches("^spec/datasets_spec.lua:%d+: bad option 'dataset' %(an id, a data set", message)
      end
      assert.has_error(function() client:create_batch { dataset = { nam = "x" } } end,
        "unknown option 'nam' for dataset (did you mean 'name'?)")
      for _, dataset in ipairs { {}, { name = 5 }, { nam = "x" } } do
        assert.is_false((pcall(client.batch, client, "b", { dataset = dataset })))
      end
      assert.equal(404, select(2, client:batch("b", { dataset = { name = "nobody" } }):upload("a", { data = "x" })).status)
      local fine, raised = pcall(client:batches { dataset = { name = "nobody" } })
      assert.same({ false, 404 }, { fine, raised.status })
      assert.has_error(function() client:dataset("d1"):create_batch { dataset = "x" } end)
    end)
  end)

  it("has the sandbox that it was found in", function()
    service.run({}, function(_, client)
      local dataset = assert(client:create_dataset { name = "A", sandbox = "dev" })
      assert.equal(404, select(2, client:find_dataset { name = "A" }).status)
      local found = assert(client:find_dataset { name = "A", sandbox = "dev" })
      assert.equal(dataset.id, found.id)
      local batch = assert(found:create_batch())
      assert.equal(404, select(2, client:batch(batch.id):get()).status)
      assert.equal("loading", assert(batch:get()).status)
      assert.equal("loading", assert(assert(client:create_batch { dataset = found }):get()).status)
    end)
  end)

  it("is there for the default client", function()
    local server <close> = assert(emulator.start { datasets = { d1 = "Loyalty" } })
    assert(catalog.configure(service.settings(server.url)))
    assert.equal("d1", assert(catalog.find_dataset { name = "Loyalty" }).id)
    assert.equal("d1", catalog.dataset("d1").id)
    assert.equal("d1", catalog.dataset_id { name = "Loyalty" })
    assert.same({ "Loyalty" }, names_of(catalog.datasets { name = "L*" }))
  end)
end)
