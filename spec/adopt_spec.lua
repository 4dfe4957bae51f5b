-- An ingest that goes on with the batch of its external id, with nothing on its disk.
local adopt = require "catalog.ingest.adopt"
local core = require "catalog.core"
local emulated = require "support.emulated"
local service = require "support.service"
local shell = require "support.shell"

local DATASET <const> = service.DATASET

-- Calls `body(ingest, client, directory, server)`: `ingest(changes)` sends the files `in` of the directory.
local function with_ingest(body, options)
  shell.with_directory(function(directory)
    shell.run(("mkdir %s/in"):format(directory))
    for i = 1, 3 do shell.write(("%s/in/%d.json"):format(directory, i), ('{"n":%d}\n'):format(i):rep(i)) end
    local given = { data_dir = directory .. "/data" }
    for name, value in pairs(options or {}) do given[name] = value end
    service.run(given, function(server)
      local client = service.client(server.url)
      body(function(changes)
        local call = { dataset = DATASET, dir = directory .. "/in", external_id = "b", adopt = true }
        for name, value in pairs(changes or {}) do call[name] = value end
        return client:ingest(call)
      end, client, directory, server)
    end)
  end)
end

-- The batches there are, as `external id:status`, sorted.
local function all(client)
  local answer = assert(client:send {
    method = "GET", path = "/data/foundation/catalog/batches?limit=100", read = core.json.decode, repeatable = true,
  })
  local list = {}
  for _, fields in pairs(answer) do list[#list + 1] = fields.externalId .. ":" .. fields.status end
  table.sort(list)
  return list
end

-- Makes the next of such requests fail for good, once.
local function refuse(server, path, method)
  server:set_faults { {
    match = { method = method or "POST", path = path, nth = 1 }, action = { status = 400, body = '{"title":"No"}' },
  } }
end

-- Makes all such requests fail as if nobody was there.
local function cut(server, path) server:set_faults { { match = { path = path }, action = { drop = "before" } } } end

-- A batch for the same files, that another run has created.
local function created_by_another(client)
  local group = { files = {}, bytes = 48 }
  for i = 1, 3 do group.files[i] = { name = i .. ".json", bytes = 8 * i } end
  return assert(client:create_batch {
    dataset = DATASET, format = "json", tags = { catalog_plan = { adopt.digest(group) } }, extra = { externalId = "b" },
  })
end

describe("an ingest that adopts", function()
  it("reports what was done before, and sends nothing", function()
    with_ingest(function(ingest, client, directory)
      local first = assert(ingest())
      assert.is_false(first.resumed)
      local second = assert(ingest())
      assert.is_true(second.resumed)
      assert.same({ first.id, "success", 3 }, { second.id, second.status, #second.files })
      assert.same({ "b:success" }, all(client))
      assert.equal(6, second.metrics.outputRecordCount)
      assert.equal("3", emulated.files_below(directory .. "/data/files"))
    end)
  end)

  it("fills and completes a batch that takes files still, large ones included", function()
    for _, path in ipairs { "/files/2.json", "/files/3.json%?action=COMPLETE", "batches/[^/]+%?action=COMPLETE" } do
      with_ingest(function(ingest, client, directory, server)
        local large = ('{"n":1}\n'):rep(1000)
        shell.write(directory .. "/in/3.json", large)
        local sizes = { part_size = 1000, part_threshold = 2000 }
        cut(server, path)
        assert.is_nil((ingest(sizes)))
        assert.same({ "b:loading" }, all(client))
        server:set_faults {}
        local report = assert(ingest(sizes))
        assert.is_true(report.resumed)
        assert.same({ "b:success" }, all(client))
        assert.equal(1003, report.metrics.outputRecordCount)
        assert.equal(large, emulated.stored(directory .. "/data", report.id, "3.json"))
      end)
    end
  end)

  it("waits for a batch that was completed, and is not done", function()
    with_ingest(function(ingest, client)
      local report, err = ingest { timeout = 0.01 }
      assert.is_nil(report)
      assert.equal("timeout", err.kind)
      report = assert(ingest())
      assert.is_true(report.resumed)
      assert.same({ "b:success" }, all(client))
    end, { stage_ms = 400 })
  end)

  it("takes a batch of other files for no success, and sends nothing into it", function()
    with_ingest(function(ingest, client, directory, server)
      assert(ingest())
      shell.write(directory .. "/in/3.json", '{"n":3}\n')
      local report, err = ingest()
      assert.is_nil(report)
      assert.equal("data", err.kind)
      assert.matches("%(success%) with the external id b is of other files %(3 files, 48 bytes%) than there are now "
        .. "%(3 files, 32 bytes%); give another external id", err.message)
      cut(server, "/files/")
      assert.is_nil((ingest { external_id = "c" }))
      server:set_faults {}
      shell.write(directory .. "/in/4.json", '{"n":4}\n')
      report, err = ingest { external_id = "c" }
      assert.is_nil(report)
      assert.matches("(3 files, 32 bytes) than there are now (4 files, 40 bytes); abort it", err.message, 1, true)
      assert.same({ "b:success", "c:loading" }, all(client))
      assert(client:create_batch { dataset = DATASET, format = "json", external_id = "d" })
      report, err = ingest { external_id = "d" }
      assert.is_nil(report)
      assert.matches("is of other files (unknown files)", err.message, 1, true)
    end)
  end)

  it("replaces a batch that has failed, again and again, also where ids are refused as taken", function()
    for _, unique in ipairs { false, true } do
      with_ingest(function(ingest, client, directory, server)
        refuse(server, "/files/2.json", "PUT")
        assert.is_nil((ingest()))
        assert.same({ "b:aborted" }, all(client))
        server:set_faults {}
        shell.write(directory .. "/in/3.json", "bad\n")
        local report, err = ingest()
        assert.is_nil(report)
        assert.equal("batch", err.kind)
        shell.write(directory .. "/in/3.json", '{"n":3}\n')
        report = assert(ingest())
        assert.is_false(report.resumed)
        assert.same({ "b-2:failed", "b-3:success", "b:aborted" }, all(client))
        assert.equal(report.id, assert(ingest()).id)
      end, { unique_ids = unique })
    end
  end)

  it("finds the batch whose creation was not answered, and one that the catalog shows late", function()
    for _, options in ipairs { {}, { unique_ids = true }, { catalog_lag_ms = 300 } } do
      with_ingest(function(ingest, client, _, server)
        server:set_faults { { match = { method = "POST", path = "/batches$", nth = 1 }, action = { drop = "after" } } }
        local report = assert(ingest())
        assert.equal("success", report.status)
        shell.run "sleep 0.4"
        local again = assert(ingest())
        assert.equal(report.id, again.id)
        local successes = 0
        for _, one in ipairs(all(client)) do
          if one:find ":success$" then successes = successes + 1 else assert.matches(":aborted$", one) end
        end
        assert.equal(1, successes)
      end, options)
    end
  end)

  it("has one batch in the end where the catalog did not show the first", function()
    for _, unique in ipairs { false, true } do
      with_ingest(function(ingest, client)
        local other = created_by_another(client).id
        local report = assert(ingest { on_batch = function() shell.run "sleep 0.5" end })
        if unique then assert.equal(other, report.id) end
        local expected = report.id == other and { "b:success" } or { "b:aborted", "b:success" }
        assert.same(expected, all(client))
      end, { unique_ids = unique, catalog_lag_ms = 400 })
    end
  end)

  it("gives its batch up where another run has completed one meanwhile", function()
    with_ingest(function(ingest, client)
      local second
      local first = assert(ingest {
        on_batch = function() -- a batch of the same id, which the first has not seen
          if second then return end
          local batch = created_by_another(client)
          for i = 1, 3 do assert(batch:upload(i .. ".json", { data = ('{"n":%d}\n'):format(i):rep(i) })) end
          second = assert(batch:complete()).id
        end,
      })
      assert.equal(second, first.id)
      assert.same({ "b:aborted", "b:success" }, all(client))
    end, { unique_ids = false })
  end)

  it("is no way into a batch of another dataset", function()
    with_ingest(function(ingest, client)
      assert(client:create_batch { dataset = "another", format = "json", external_id = "b" })
      local report, err = ingest()
      assert.is_nil(report)
      assert.equal("conflict", err.kind)
      assert.matches("of another dataset", err.message)
    end)
  end)
end)
