-- The emulator's data access.
local core = require "catalog.core"
local emulated = require "support.emulated"
local emulator = require "catalog.emulator"
local shell = require "support.shell"

local request <const>, create <const>, put <const> = emulated.request, emulated.create, emulated.put
local act <const>, look_up <const>, with_server <const> = emulated.act, emulated.look_up, emulated.with_server

describe("the emulator's data access", function()
  local META <const> = "/data/foundation/export/batches/%s/meta?path=%s"

  it("lists row errors page by page and sends them", function()
    with_server(function(server)
      local id = create(server, { datasetId = "d", inputFormat = { format = "json" }, enableErrorDiagnostics = true })
      put(server, id, "a", ("x\n"):rep(2001))
      act(server, id, "COMPLETE")
      look_up(server, id)
      local _, all = request(server, "GET", META:format(id, "row_errors"))
      local listing = core.json.decode(all)
      assert.equal(3, #listing.data)
      assert.equal("string", type(listing.data[1].length))
      assert.equal("parsing_errors_0.json", listing.data[1].name)
      assert.equal("http://127.0.0.1" .. META:format(id, "row_errors%2Fparsing_errors_0.json"),
        listing.data[1]._links.self.href)
      local _, page = request(server, "GET", META:format(id, "row_errors&start=2&limit=2"))
      assert.equal(listing.data[3].name, core.json.decode(page).data[1].name)
      local status, rows = request(server, "GET", META:format(id, "row_errors/" .. listing.data[3].name))
      assert.equal(200, status)
      assert.equal(#rows, tonumber(listing.data[3].length))
      assert.same({ _corrupt_record = "x", _filename = "a" }, (function()
        local row = core.json.decode(rows)
        assert.equal("INGEST-1401-400", row._errors[1].code)
        row._errors = nil
        return row
      end)())
      assert.equal(404, (request(server, "GET", META:format(id, "row_errors/none"))))
      assert.equal(404, (request(server, "GET", META:format(id, "input_files/..%2F..%2Fa"))))
      assert.equal(400, (request(server, "GET", META:format(id, "secrets"))))
      assert.equal(200, (request(server, "GET", ("/data/foundation/export/batches/%s/failed"):format(id))))
    end)
  end)

  it("has no row errors where no diagnostics were asked for", function()
    with_server(function(server)
      local id = create(server)
      put(server, id, "a", "x\n")
      act(server, id, "COMPLETE")
      assert.matches('"data":[]', (select(2, request(server, "GET", META:format(id, "row_errors")))), 1, true)
      local _, input = request(server, "GET", META:format(id, "input_files"))
      assert.equal("a", core.json.decode(input).data[1].name)
      local status, line = request(server, "GET", META:format(id, "input_files/a"))
      assert.equal(200, status)
      assert.equal('{"path":"a"}\n', line)
    end)
  end)

  it("tells in the batch which codes its rows have", function()
    with_server(function(server)
      local id = create(server, { datasetId = "d", inputFormat = { format = "json" }, enableErrorDiagnostics = true })
      put(server, id, "a", "x\n{}\ny\n")
      act(server, id, "COMPLETE")
      local codes = {}
      for i, err in ipairs(look_up(server, id).errors) do codes[i] = { err.code, err.recordCount } end
      assert.same({ { "INGEST-1212-400", 2 }, { "INGEST-1401-400", 2 } }, codes)
    end)
  end)

  it("lists the data set's files of a batch, page by page, and sends them, whole or in part", function()
    with_server(function(server)
      local id = create(server)
      put(server, id, "b/two.json", '{"n":1}\n{"n":2}\n')
      put(server, id, "a.json", "{}\n")
      act(server, id, "COMPLETE")
      local batch = look_up(server, id)
      local export = "/data/foundation/export/"
      local listing = core.json.decode((select(2, request(server, "GET", ("%sbatches/%s/files"):format(export, id)))))
      assert.same({ limit = 100, count = 2 }, listing._page)
      local second = listing.data[2]
      assert.matches("^%x+$", second.dataSetViewId)
      assert.equal(24, #second.dataSetViewId)
      second.dataSetViewId = nil
      local path = ("%sfiles/%s-2"):format(export, id)
      assert.same({
        dataSetFileId = id .. "-2", version = "1.0.0", created = tostring(batch.created), updated = tostring(batch.updated),
        records = "2", size = "16", isValid = true, _links = { self = { href = "http://127.0.0.1" .. path } },
      }, second)
      local _, page = request(server, "GET", ("%sbatches/%s/files?limit=1"):format(export, id))
      local links = core.json.decode(page)._links
      assert.equal(("http://127.0.0.1%sbatches/%s/files?start=1&limit=1"):format(export, id), links.next.href)
      assert.is_true(links.page.templated)
      local _, inside = request(server, "GET", path)
      assert.same({ { name = "b/two.json", length = "16", _links = { self = {
        href = "http://127.0.0.1" .. path .. "?path=b%2Ftwo.json",
      } } } }, core.json.decode(inside).data)
      path = path .. "?path=b%2Ftwo.json"
      assert.equal('{"n":1}\n{"n":2}\n', (select(2, request(server, "GET", path))))
      for range, expected in pairs {
        ["bytes=2-4"] = { 206, 'n":', "content%-range: bytes 2%-4/16\r\n" },
        ["bytes=14-"] = { 206, "}\n", "bytes 14%-15/16\r\n" }, ["bytes=-3"] = { 206, "2}\n", "bytes 13%-15/16\r\n" },
        ["bytes=10-99"] = { 206, 'n":2}\n', "bytes 10%-15/16\r\n" },
        ["bytes=0-0,2-3"] = { 200, '{"n":1}\n{"n":2}\n', "content%-type: application/octet%-stream\r\n" },
      } do
        local status, bytes, head = request(server, "GET", path, nil, { Range = range })
        assert.same({ expected[1], expected[2] }, { status, bytes })
        assert.matches(expected[3], head:lower())
      end
      local beyond, _, told = request(server, "GET", path, nil, { Range = "bytes=16-" })
      assert.equal(416, beyond)
      assert.matches("content%-range: bytes %*/16\r\n", told:lower())
      local status, none, head = request(server, "HEAD", path)
      assert.same({ 200, "" }, { status, none })
      assert.matches("content%-length: 16\r\n", head:lower())
      assert.matches("accept%-ranges: bytes\r\n", head:lower())
      for _, wrong in ipairs { "/files/" .. id .. "-3", "/files/" .. id, "/files/nobody-1", "/files/" .. id .. "-2?path=x" } do
        assert.equal(404, (request(server, "GET", export .. wrong)), wrong)
      end
    end)
  end)

  it("lists the files of a batch that failed, and of no other, and sends them", function()
    with_server(function(server)
      local failed = "/data/foundation/export/batches/%s/failed"
      local ids = {}
      for i, content in ipairs { "x\n", "{}\n" } do
        ids[i] = create(server)
        put(server, ids[i], "a.json", content)
        act(server, ids[i], "COMPLETE")
        look_up(server, ids[i])
      end
      local function listed(id)
        return core.json.decode((select(2, request(server, "GET", failed:format(id))))).data
      end
      assert.same({ { name = "a.json", length = "2", _links = { self = {
        href = ("http://127.0.0.1%s?path=a.json"):format(failed:format(ids[1])),
      } } } }, listed(ids[1]))
      assert.same({}, listed(ids[2]))
      assert.equal("x\n", (select(2, request(server, "GET", failed:format(ids[1]) .. "?path=a.json"))))
      assert.equal(404, (request(server, "GET", failed:format(ids[2]) .. "?path=a.json")))
    end)
  end)

  it("knows how many records a file had after a restart too", function()
    shell.with_directory(function(directory)
      local first = assert(emulator.start { data_dir = directory .. "/data" })
      local id = create(first)
      put(first, id, "a", "{}\n{}\n")
      act(first, id, "COMPLETE")
      look_up(first, id)
      first:stop()
      local second <close> = assert(emulator.start { data_dir = directory .. "/data" })
      local _, listing = request(second, "GET", ("/data/foundation/export/batches/%s/files"):format(id))
      assert.equal("2", core.json.decode(listing).data[1].records)
    end)
  end)

  it("tells no number of records of a Parquet file", function()
    with_server(function(server)
      local id = create(server, { datasetId = "d" })
      put(server, id, "a", "PAR1....PAR1")
      act(server, id, "COMPLETE")
      local metrics = look_up(server, id).metrics
      assert.same({ inputByteSize = 12, inputFileCount = 1, partitionCount = 1 }, metrics)
      local _, listing = request(server, "GET", ("/data/foundation/export/batches/%s/files"):format(id))
      assert.is_nil(core.json.decode(listing).data[1].records)
    end)
  end)
end)
