local batches = require "support.batches"
local service = require "support.service"
local shell = require "support.shell"

local DATASET <const> = service.DATASET

local with_files <const> = batches.with_files
local statuses <const> = batches.statuses

describe("ingest", function()
  it("creates, uploads, completes, waits and reports", function()
    with_files({ 10, 20, 3000 }, function(client, paths)
      local report = assert(client:ingest {
        dataset = DATASET, format = "json", files = { paths[1], { name = "sub/b.json", file = paths[2] }, paths[3] },
        parallel = 2, part_threshold = 1000, part_size = 7000,
      })
      assert.equal("success", report.status)
      assert.equal(3030 * 8, report.bytes)
      assert.equal(3030, report.metrics.outputRecordCount)
      assert.equal(3, report.metrics.inputFileCount)
      assert.equal(1, #report.batches)
      assert.equal(report.id, report.batches[1].id)
      local names = {}
      for i, file in ipairs(report.files) do
        names[i] = file.name .. " " .. file.bytes
        assert.is_number(file.seconds)
        assert.equal(report.id, file.batch)
      end
      assert.same({ "f1.json 80", "sub/b.json 160", "f3.json 24000" }, names)
    end)
  end)

  it("aborts when an upload fails for good, and completes nothing", function()
    with_files({ 10, 10 }, function(client, paths)
      local report, err, partial = client:ingest {
        dataset = DATASET, format = "json", files = { paths[1], { name = "a/../b", file = paths[2] } },
      }
      assert.is_nil(report)
      assert.equal("data", err.kind)
      assert.equal(2, #partial.files)
      assert.same({ "aborted" }, statuses(client))
    end)
  end)

  it("aborts when the service will not complete, and what was completed before stays", function()
    with_files({ 10, 10, 10 }, function(client, paths, _, server)
      server:set_faults { {
        match = { method = "POST", path = "/import/batches/[^/]+%?action=COMPLETE", nth = 2 },
        action = { status = 400, body = '{"title":"No"}' },
      } }
      local report, err, partial = client:ingest {
        dataset = DATASET, format = "json", files = paths, split = true, advised_files = 1,
      }
      assert.is_nil(report)
      assert.equal(400, err.status)
      assert.is_true(#partial.batches >= 2)
      for i, one in ipairs(partial.batches) do
        local status = assert(client:batch(one.id):get()).status
        assert.equal(i == 1 and "success" or "aborted", status)
      end
    end)
  end)

  it("takes no page for an answer", function()
    local page = { status = 200, headers = { ["content-type"] = "text/html" }, body = "<html>Please log in</html>" }
    for _, match in ipairs {
      { method = "PUT", nth = 1 }, { path = "action=INITIALIZE", nth = 1 }, { method = "PATCH", nth = 2 },
      { path = "/files/.*action=COMPLETE", nth = 1 }, { path = "/batches/[^/]+%?action=COMPLETE", nth = 1 },
    } do
      with_files({ 30, 40 }, function(_, paths, _, server)
        local client = service.client(server.url, { retry = { base = 0.001 } })
        server:set_faults { { match = match, action = page } }
        local given = { dataset = DATASET, format = "json", files = paths, part_size = 100, part_threshold = 100 }
        if match.method == "PUT" then given.part_threshold = nil end
        local report = assert(client:ingest(given))
        assert.equal(#paths, report.metrics.inputFileCount)
        server:set_faults { { match = match, action = page }, { match = match, action = page } }
        match.nth = nil
        report = service.client(server.url):ingest(given)
        assert.is_nil(report)
      end)
    end
  end)

  it("aborts when a callback raises", function()
    with_files({ 10 }, function(client, paths)
      assert.error_matches(function()
        client:ingest { dataset = DATASET, format = "json", files = paths, on_progress = function() error "callback" end }
      end, "callback")
      assert.same({ "aborted" }, statuses(client))
    end)
  end)

  it("gives the service's reason when the batch fails, with the report", function()
    with_files({ 1 }, function(client, _, directory)
      shell.write(directory .. "/bad.json", "not json\n")
      local report, err, partial = client:ingest { dataset = DATASET, format = "json", files = { directory .. "/bad.json" } }
      assert.is_nil(report)
      assert.equal("batch", err.kind)
      assert.equal("INGEST-1211-400", err.code)
      assert.equal("failed", partial.status)
      assert.equal("INGEST-1211-400", partial.errors[1].code)
    end)
  end)

  it("says which time is none", function()
    with_files({ 1 }, function(client, paths)
      for _, name in ipairs { "timeout", "upload_timeout" } do
        local report, err = client:ingest { dataset = DATASET, format = "json", files = paths, [name] = -1 }
        assert.is_nil(report)
        assert.equal("config: timeout must be more than 0", ("%s: %s"):format(err.kind, err.message))
      end
      assert.same({}, statuses(client))
    end)
  end)

  it("raises for an unknown option", function()
    service.run({}, function(_, client)
      local ok, message = pcall(function() client:ingest { dataset = DATASET, fiels = {} } end)
      assert.is_false(ok)
      assert.matches("ingest_spec.lua:%d+: unknown option 'fiels' for ingest %(did you mean 'files'%?%)", message)
    end)
  end)
end)
