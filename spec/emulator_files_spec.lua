-- The emulator's files, states and data access, request by request.
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local exchange = require "support.exchange"
local shell = require "support.shell"

local BATCHES <const> = "/data/foundation/import/batches"

local function request(server, method, target, body, changes)
  local headers = {
    Authorization = "Bearer token", ["x-api-key"] = "key", ["x-gw-ims-org-id"] = "ORG@AdobeOrg",
    ["x-sandbox-name"] = "prod",
  }
  for name, value in pairs(changes or {}) do headers[name] = value or nil end
  return exchange.request(server.port, method, target, headers, body)
end

local OCTETS <const> = { ["Content-Type"] = "application/octet-stream" }

local function create(server, fields)
  local body = assert(core.json.encode(fields or { datasetId = "d", inputFormat = { format = "json" } }))
  local _, answer = request(server, "POST", BATCHES, body, { ["Content-Type"] = "application/json" })
  return assert(core.json.decode(answer)).id
end

local function file(id, name)
  return ("%s/%s/datasets/d/files/%s"):format(BATCHES, id, name)
end

local function put(server, id, name, content)
  return request(server, "PUT", file(id, name), content, OCTETS)
end

local function part(server, id, name, first, content)
  return request(server, "PATCH", file(id, name), content, {
    ["Content-Type"] = "application/octet-stream", ["Content-Range"] = ("bytes %d-%d"):format(first, first + #content - 1),
  })
end

local function act(server, id, action)
  return request(server, "POST", ("%s/%s?action=%s"):format(BATCHES, id, action), "")
end

local function look_up(server, id)
  local _, answer = request(server, "GET", "/data/foundation/catalog/batches/" .. id)
  return assert(core.json.decode(answer))[id]
end

local function detail(answer)
  return assert(core.json.decode(answer)).detail
end

local function with_server(body, options)
  shell.with_directory(function(directory)
    local given = { data_dir = directory .. "/data" }
    for name, value in pairs(options or {}) do given[name] = value end
    local server <close> = assert(emulator.start(given))
    body(server, given.data_dir)
  end)
end

local function stored(directory, id, name)
  local handle <close> = assert(io.open(("%s/files/%s/%s"):format(directory, id, name), "rb"))
  return handle:read "a"
end

local function files_below(path)
  return (shell.run("find " .. path .. " -type f | wc -l"):gsub("%s", ""))
end

describe("the emulator's files", function()
  it("are kept byte for byte and replaced by name", function()
    with_server(function(server, directory)
      local id = create(server)
      local content = ("\0\1\255\r\n"):rep(100000)
      local status, answer = put(server, id, "a/b.bin", content)
      assert.equal(200, status)
      assert.same({ name = "a/b.bin", sizeInBytes = 500000 }, core.json.decode(answer))
      assert.equal(content, stored(directory, id, "a/b.bin"))
      assert.equal(200, (put(server, id, "a/b.bin", "new")))
      assert.equal("new", stored(directory, id, "a/b.bin"))
    end)
  end)

  it("come in parts, in any order, a part again replacing itself", function()
    with_server(function(server, directory)
      local id = create(server)
      assert.equal(201, (request(server, "POST", file(id, "f?action=initialize"), "")))
      assert.equal(200, (part(server, id, "f", 4, "5678")))
      assert.equal(200, (part(server, id, "f", 0, "xxxx")))
      assert.equal(200, (part(server, id, "f", 0, "1234")))
      local _, _, head = request(server, "HEAD", file(id, "f"))
      assert.matches("range: bytes=0%-7\r\n", head:lower())
      local status, answer = request(server, "POST", file(id, "f?action=COMPLETE"), "")
      assert.equal(201, status)
      assert.same({ name = "f", sizeInBytes = 8 }, core.json.decode(answer))
      assert.equal("12345678", stored(directory, id, "f"))
      assert.equal(answer, (select(2, request(server, "POST", file(id, "f?action=complete"), ""))))
      assert.equal("0", files_below(directory .. "/parts"))
      assert.equal("0", files_below(directory .. "/spool"))
    end)
  end)

  it("with a gap or an overlap are refused when they are completed", function()
    with_server(function(server)
      local id = create(server)
      local function complete_of(name, parts)
        request(server, "POST", file(id, name .. "?action=INITIALIZE"), "")
        for _, each in ipairs(parts) do assert.equal(200, (part(server, id, name, each[1], each[2]))) end
        local status, answer = request(server, "POST", file(id, name .. "?action=COMPLETE"), "")
        assert.equal(400, status)
        return detail(answer)
      end
      assert.equal("The file gap is not whole: the bytes 4-5 are missing", complete_of("gap", { { 0, "1234" }, { 6, "78" } }))
      assert.equal("The file late is not whole: the bytes 0-1 are missing", complete_of("late", { { 2, "34" } }))
      assert.equal("The file twice is not whole: the bytes 2-3 overlap", complete_of("twice", { { 0, "1234" }, { 2, "3456" } }))
      assert.equal("The file none is not whole: there are no parts", complete_of("none", {}))
      local _, _, head = request(server, "HEAD", file(id, "gap"))
      assert.matches("range: bytes=0%-3\r\n", head:lower())
    end)
  end)

  it("are refused when the request is not as it should be", function()
    with_server(function(server)
      local id = create(server)
      local function refused(expected, text, status, answer)
        assert.equal(expected, status, answer)
        assert.equal(text, detail(answer):sub(1, #text))
      end
      refused(404, "The batch nobody was not found", put(server, "nobody", "a", "x"))
      refused(400, "The batch " .. id .. " is not for the dataset e",
        request(server, "PUT", ("%s/%s/datasets/e/files/a"):format(BATCHES, id), "x", OCTETS))
      refused(415, "Content-Type is text/plain", request(server, "PUT", file(id, "a"), "x", { ["Content-Type"] = "text/plain" }))
      refused(415, "Content-Type is missing", request(server, "PUT", file(id, "a"), "x"))
      refused(400, "The name of the file cannot be used", put(server, id, "a/../b", "x"))
      refused(400, "The name of the file cannot be used", put(server, id, "a%2Fb", "x"))
      refused(400, "The file f was not initialized", part(server, id, "f", 0, "x"))
      request(server, "POST", file(id, "f?action=INITIALIZE"), "")
      refused(400, "Content-Range: bytes {first}-{last} is needed", request(server, "PATCH", file(id, "f"), "x", OCTETS))
      refused(400, "Content-Range names 10 bytes, and the part has 1", request(server, "PATCH", file(id, "f"), "x", {
        ["Content-Type"] = "application/octet-stream", ["Content-Range"] = "bytes 0-9",
      }))
      refused(400, "action is INITIALIZE or COMPLETE", request(server, "POST", file(id, "f?action=START"), ""))
      refused(405, "PUT is not possible here", request(server, "PUT", BATCHES .. "/x", "x", OCTETS))
      assert.equal(404, (request(server, "HEAD", file(id, "unknown"))))
      act(server, id, "COMPLETE")
      refused(400, "The batch " .. id .. " is ", put(server, id, "a", "x"))
    end)
  end)

  it("may have as many bytes as the service takes", function()
    with_server(function(server, directory)
      local id = create(server)
      local status, answer = put(server, id, "a", ("x"):rep(1001))
      assert.equal(413, status)
      assert.is_string(detail(answer))
      assert.equal(200, (put(server, id, "a", ("x"):rep(1000))))
      assert.equal("0", files_below(directory .. "/spool"))
    end, { max_file = 1000 })
  end)

  it("may be as many, and have as many bytes together, as the service takes", function()
    with_server(function(server)
      local id = create(server)
      local function refused(text, status, answer)
        assert.equal(400, status)
        assert.equal("Batch ingestion guardrails hit: " .. text, detail(answer))
      end
      assert.equal(200, (put(server, id, "a", "1234")))
      assert.equal(200, (put(server, id, "b", "1234")))
      refused("3 files (over the 2 threshold)", put(server, id, "c", "1"))
      refused("11 bytes (over the 10 threshold)", put(server, id, "b", "1234567"))
      refused("3 files (over the 2 threshold); 11 bytes (over the 10 threshold)", put(server, id, "c", "123"))
      assert.equal(200, (put(server, id, "b", "123456")))
      request(server, "POST", file(id, "d?action=INITIALIZE"), "")
      assert.equal(200, (part(server, id, "d", 0, "1")))
      refused("3 files (over the 2 threshold); 11 bytes (over the 10 threshold)",
        request(server, "POST", file(id, "d?action=COMPLETE"), ""))
    end, { max_files = 2, max_bytes = 10 })
  end)

  it("leave nothing behind when an upload breaks off", function()
    with_server(function(server, directory)
      local id = create(server)
      exchange.raw(server.port, ("PUT %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\nx-api-key: k\r\nx-gw-ims-org-id: o\r\n"
        .. "Content-Type: application/octet-stream\r\nContent-Length: 1000\r\n\r\nabc"):format(file(id, "a")), 0.05)
      assert.equal(200, (put(server, id, "b", "x")))
      local left
      for _ = 1, 100 do
        left = files_below(directory .. "/spool")
        if left == "0" then break end
      end
      assert.equal("0", left)
      assert.equal("1", files_below(directory .. "/files"))
    end)
  end)

  it("are there again after a stop", function()
    shell.with_directory(function(directory)
      local first = assert(emulator.start { data_dir = directory .. "/data" })
      local id = create(first)
      put(first, id, "a/b.json", '{"a":1}\n')
      first:stop()
      local second <close> = assert(emulator.start { data_dir = directory .. "/data" })
      act(second, id, "COMPLETE")
      assert.equal(1, look_up(second, id).metrics.outputRecordCount)
    end)
  end)

  it("go with the server when it has no directory of its own", function()
    local before = shell.run "ls -d /tmp/catalog-* 2>/dev/null | wc -l"
    local server = assert(emulator.start {})
    put(server, create(server), "a", "x")
    server:stop()
    assert.equal(before, (shell.run "ls -d /tmp/catalog-* 2>/dev/null | wc -l"))
  end)
end)

describe("the emulator's batches", function()
  it("move through their states", function()
    with_server(function(server)
      local id = create(server)
      put(server, id, "a", '{"a":1}\n')
      assert.equal(200, (act(server, id, "complete")))
      local seen, last = {}, nil
      repeat
        local status = look_up(server, id).status
        if status ~= last then seen[#seen + 1], last = status, status end
      until status == "success"
      assert.same({ "loaded", "staging", "success" }, seen)
      local batch = look_up(server, id)
      assert.is_true(batch.started >= batch.created + 100)
      assert.is_true(batch.completed >= batch.started)
    end, { stage_ms = 100 })
  end)

  it("refuse actions that do not fit their state", function()
    with_server(function(server)
      local id = create(server)
      assert.equal(200, (act(server, id, "ABORT")))
      assert.equal(200, (act(server, id, "ABORT")))
      for action, done in pairs { COMPLETE = "completed", FAIL = "failed", REVERT = "reverted" } do
        local status, answer = act(server, id, action)
        assert.equal(400, status)
        assert.equal(("The batch %s is aborted, and cannot be %s"):format(id, done), detail(answer))
      end
      assert.equal(400, (act(server, id, "EXPLODE")))
      assert.equal(404, (act(server, "nobody", "ABORT")))
    end)
  end)

  it("count the rows of each format", function()
    with_server(function(server)
      local function metrics(format, content)
        local id = create(server, { datasetId = "d", inputFormat = format, partialIngestionPercent = 100 })
        put(server, id, "a", content)
        act(server, id, "COMPLETE")
        local batch = look_up(server, id)
        local found = batch.metrics
        return { batch.status, found.outputRecordCount, found.failedRecordCount, batch.errors and batch.errors[1].code }
      end
      assert.same({ "success", 2, 0 }, metrics({ format = "json" }, '{"a":1}\n\n{"a":2}'))
      assert.same({ "success", 1, 2, "INGEST-1211-400" }, metrics({ format = "json" }, '{"a":1}\n[1\n17\n'))
      assert.same({ "success", 1, 3, "INGEST-1211-400" }, metrics({ format = "json" }, '{}\n[]\n[{"a":1}]\n "x"\n'))
      assert.same({ "success", 2, 0 }, metrics({ format = "json", isMultiLineJson = true }, '[{"a":\n1},{}]'))
      assert.same({ "success", 2, 4, "INGEST-1211-400" }, metrics({ format = "json", isMultiLineJson = true },
        '[[], {"a":"[\\",{"}, [{},{}], {}, "{}", null]'))
      assert.same({ "success", 0, 1, "INGEST-1211-400" }, metrics({ format = "json", isMultiLineJson = true }, "{}"))
      assert.same({ "success", 0, 1, "INGEST-1211-400" }, metrics({ format = "json", isMultiLineJson = true }, '{"a":1}'))
      assert.same({ "success", 2, 1, "INGEST-1211-400" },
        metrics({ format = "csv" }, 'a,b\r\n1,"x ""y"", z\nnext"\r\n3,4\r\n5\r\n'))
      assert.same({ "success", 1, 0 }, metrics({ format = "csv", delimiter = ";", quote = "'" }, "a;b\n'1;2';3\n"))
      assert.same({ "failed", 0, 0, "118" }, metrics({ format = "csv" }, ",,\n1,2,3\n"))
      assert.same({ "success" }, metrics({ format = "parquet" }, "PAR1....PAR1"))
      assert.same({ "success", [4] = "INGEST-1211-400" }, metrics({ format = "parquet" }, "no parquet"))
      assert.same({ "failed", 0, 0, "106" }, metrics({ format = "json" }, ""))
    end)
  end)

  it("fail over the threshold, and for a large file that was not completed", function()
    with_server(function(server)
      local id = create(server, { datasetId = "d", inputFormat = { format = "json" }, partialIngestionPercent = 10 })
      put(server, id, "a", ("{}\n"):rep(8) .. "x\nx\n")
      act(server, id, "COMPLETE")
      assert.equal("failed", look_up(server, id).status)
      local open = create(server)
      put(server, open, "a", "{}\n")
      request(server, "POST", file(open, "b?action=INITIALIZE"), "")
      act(server, open, "COMPLETE")
      local batch = look_up(server, open)
      assert.equal("failed", batch.status)
      assert.equal("The file was not completed: b", batch.errors[1].description)
    end)
  end)

  it("show their first records", function()
    with_server(function(server)
      local id = create(server)
      put(server, id, "a", '{"n":1}\n{"n":2}\n')
      local _, answer = request(server, "GET", ("%s/%s/datasets/d/preview"):format(BATCHES, id))
      assert.same({ data = { { n = 1 }, { n = 2 } } }, core.json.decode(answer))
    end)
  end)
end)

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
