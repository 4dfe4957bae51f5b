local service = require "support.service"
local shell = require "support.shell"

local DATASET <const> = service.DATASET

-- A directory with files of rows, an emulator and a client.
local function with_files(sizes, body, options)
  shell.with_directory(function(directory)
    local paths = {}
    for i, size in ipairs(sizes) do
      paths[i] = ("%s/f%d.json"):format(directory, i)
      shell.write(paths[i], ('{"n":1}\n'):rep(size))
    end
    service.run(options or {}, function(server, client) body(client, paths, directory, server) end)
  end)
end

local function statuses(client)
  local answer = assert(client:send {
    method = "GET", path = "/data/foundation/catalog/batches?limit=100", read = require("catalog.core").json.decode,
  })
  local list = {}
  for _, fields in pairs(answer) do list[#list + 1] = fields.status end
  return list
end

local function assert_error(kind, text, report, err)
  assert.is_nil(report)
  assert.equal(kind, err.kind, tostring(err))
  assert.matches(text, err.message, 1, true)
end

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

  it("takes the files of a directory that fit a pattern", function()
    with_files({ 1, 2, 3 }, function(client, _, directory)
      shell.write(directory .. "/other.txt", "x")
      os.execute("mkdir " .. directory .. "/d.json")
      local report = assert(client:ingest { dataset = DATASET, format = "json", dir = directory, pattern = "*.json" })
      assert.equal(3, #report.files)
      assert_error("data", "there is no file *.csv in " .. directory,
        client:ingest { dataset = DATASET, dir = directory, pattern = "*.csv" })
    end)
  end)

  it("leaves out what is no file in a directory, and nothing else", function()
    shell.with_directory(function(directory)
      shell.write(directory .. "/a.json", "{}\n")
      shell.run(("cd %s && mkdir dir.json && mkfifo pipe.json"):format(directory))
      service.run({}, function(_, client)
        local given = { dataset = DATASET, format = "json", dir = directory, pattern = "*.json" }
        assert.equal(1, #assert(client:ingest(given)).files)
        shell.run(("ln -s nowhere %s/b.json"):format(directory))
        local report, err = client:ingest(given)
        assert.is_nil(report)
        assert.equal("data", err.kind)
        assert.matches("b.json", err.message, 1, true)
      end)
    end)
  end)

  it("tells how far it is", function()
    with_files({ 100, 100, 100 }, function(client, paths)
      local told = {}
      assert(client:ingest {
        dataset = DATASET, format = "json", files = paths, parallel = 1,
        on_progress = function(state) told[#told + 1] = state end,
      })
      local last = told[#told]
      assert.equal(2400, last.bytes)
      assert.equal(2400, last.total)
      assert.equal(3, last.files_done)
      assert.equal(3, last.files_total)
      assert.is_number(last.rate)
      assert.equal("f3.json", last.file)
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

  it("creates nothing when a file cannot be read or two have one name", function()
    with_files({ 1 }, function(client, paths, directory)
      assert_error("data", "cannot read " .. directory .. "/none: No such file or directory",
        client:ingest { dataset = DATASET, files = { paths[1], directory .. "/none" } })
      assert_error("data", "would both be f1.json in the batch",
        client:ingest { dataset = DATASET, files = { paths[1], paths[1] } })
      assert_error("data", "ingest needs files", client:ingest { dataset = DATASET })
      assert_error("data", "files[1] is neither a path nor", client:ingest { dataset = DATASET, files = { 17 } })
      assert_error("data", "give files or dir, not both",
        client:ingest { dataset = DATASET, files = paths, dir = directory })
      assert.same({}, statuses(client))
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

  it("warns beyond what is advised, refuses what is too much, and spreads it when told to", function()
    with_files({ 1, 1, 1, 1, 1 }, function(client, paths)
      local warned = {}
      local function ingest(more)
        local given = {
          dataset = DATASET, format = "json", files = paths, on_warning = function(text) warned[#warned + 1] = text end,
        }
        for name, value in pairs(more) do given[name] = value end
        return client:ingest(given)
      end
      assert(ingest { advised_files = 4 })
      assert.same({ "5 files are more than is advised for a batch (4); split = true spreads them over several" }, warned)
      assert_error("limit", "5 files are more than a batch may have (4)", ingest { max_files = 4 })
      assert_error("limit", "40 bytes are more than a batch may have (39)", ingest { max_bytes = 39 })
      assert.equal(1, #statuses(client))
      local report = assert(ingest { advised_files = 2, max_files = 2, split = true })
      assert.equal(3, #report.batches)
      assert.same({ 2, 2, 1 }, { report.batches[1].files, report.batches[2].files, report.batches[3].files })
      assert.equal(4, #statuses(client))
    end)
  end)

  it("advises and enforces what the service does", function()
    with_files({ 0 }, function(_, paths, directory)
      local client = service.client "http://127.0.0.1:1"
      local function ingest(bytes, count)
        assert(os.execute(("truncate -s %d %s/sparse"):format(bytes, directory)))
        local files, warned = { directory .. "/sparse" }, {}
        for i = 2, count do files[i] = { name = tostring(i), file = paths[1] } end
        local report, err = client:ingest {
          dataset = DATASET, files = files, on_warning = function(text) warned[#warned + 1] = text:match "^%d+ %l+" end,
        }
        assert.is_nil(report)
        return err.kind, warned, err.message
      end
      local refused <const> = "1099511627777 bytes are more than a batch may have (1099511627776)"
      local kind, warned, message = ingest(1099511627777, 10001)
      assert.equal("limit", kind)
      assert.matches(refused, message, 1, true)
      assert.same({ "10001 files" }, warned)
      kind, warned = ingest(1099511627776, 10000) -- it goes on to what is not there
      assert.equal("network", kind)
      assert.same({ "1099511627776 bytes" }, warned)
    end)
  end)

  it("reports without counts where the service has none", function()
    with_files({ 1 }, function(client, paths, _, server)
      server:set_faults { { action = { leave_out = "metrics" } } }
      local report = assert(client:ingest { dataset = DATASET, format = "csv", files = paths })
      assert.equal("success", report.status)
      assert.is_nil(report.metrics)
      assert.is_nil(report.batches[1].metrics)
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
