-- Files into a batch: each is compared byte for byte with what the emulator keeps.
local core = require "catalog.core"
local raw = require "support.raw"
local service = require "support.service"
local shell = require "support.shell"

local DATASET <const> = service.DATASET

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

-- Bytes in which every range is another.
local function bytes(count)
  local parts = {}
  for i = 1, count // 8 + 1 do parts[i] = ("%07d\n"):format(i) end
  return table.concat(parts):sub(1, count)
end

-- A batch at an emulator that keeps its files in a directory; `stored(name)` reads one of them.
local function with_batch(body, options)
  shell.with_directory(function(directory)
    service.run({ data_dir = directory .. "/data" }, function(server, client)
      local given = { dataset = DATASET, format = "json" }
      for name, value in pairs(options or {}) do given[name] = value end
      local batch = assert(client:create_batch(given))
      body(batch, function(name) return read(("%s/data/files/%s/%s"):format(directory, batch.id, name)) end, directory,
        client, server)
    end)
  end)
end

local function assert_error(kind, text, ok, err)
  assert.is_nil(ok)
  assert.equal(kind, err.kind, tostring(err))
  assert.matches(text, err.message, 1, true)
end

describe("an upload", function()
  it("sends a string, a file and a range of a file, byte for byte", function()
    with_batch(function(batch, stored, directory)
      assert.same({ name = "a.json", bytes = 8 }, (function()
        local report = assert(batch:upload("a.json", { data = '{"a":1}\n' }))
        assert.is_number(report.seconds)
        report.seconds = nil
        return report
      end)())
      assert.equal('{"a":1}\n', stored "a.json")
      shell.write(directory .. "/source", bytes(100000))
      assert(batch:upload("part1=a/part2=b/x.json", { file = directory .. "/source" }))
      assert.equal(bytes(100000), stored "part1=a/part2=b/x.json")
      assert(batch:upload("range.json", { file = directory .. "/source", offset = 1000, length = 500 }))
      assert.equal(bytes(100000):sub(1001, 1500), stored "range.json")
      assert(batch:upload("empty.json", { data = "" }))
      assert.equal("", stored "empty.json")
    end)
  end)

  it("sends a large file in parts, the last one shorter", function()
    with_batch(function(batch, stored, directory)
      local content = bytes(1000003)
      shell.write(directory .. "/source", content)
      local options = { part_threshold = 1000, part_size = 100000, parallel = 3 }
      assert.equal(1000003, assert(batch:upload("file.json", { file = directory .. "/source" }, options)).bytes)
      assert.equal(content, stored "file.json")
      assert(batch:upload("data.json", { data = content }, options))
      assert.equal(content, stored "data.json")
      assert(batch:upload("range.json", { file = directory .. "/source", offset = 7, length = 500001 }, options))
      assert.equal(content:sub(8, 500008), stored "range.json")
    end)
  end)

  it("replaces a file of the same name", function()
    with_batch(function(batch, stored)
      assert(batch:upload("a.json", { data = "one" }))
      assert(batch:upload("a.json", { data = "two" }))
      assert.equal("two", stored "a.json")
    end)
  end)

  it("sends what a reader gives: in one request when it fits a part, in parts otherwise", function()
    with_batch(function(batch, stored)
      local function reader_of(content, step)
        local at = 1
        return function()
          if at > #content then return nil end
          local chunk = content:sub(at, at + step - 1)
          at = at + step
          return chunk
        end
      end
      assert.equal(10, assert(batch:upload("small", { reader = reader_of("0123456789", 3) })).bytes)
      assert.equal("0123456789", stored "small")
      local content = bytes(1000001)
      for _, step in ipairs { 777, 100000, 1000001 } do
        assert(batch:upload("large", { reader = reader_of(content, step) }, { part_size = 100000, parallel = 2 }))
        assert.equal(content, stored "large")
      end
      local gave = { "", "a", "", "b" }
      assert(batch:upload("with empty chunks", { reader = function() return table.remove(gave, 1) end }))
      assert.equal("ab", stored "with empty chunks")
    end)
  end)

  it("encodes names segment by segment", function()
    with_batch(function(batch, stored)
      for _, name in ipairs { "with space.json", "100%.json", "what?.json", "a#b.json", "grün/€.json" } do
        assert(batch:upload(name, { data = name }))
        assert.equal(name, stored(name))
      end
    end)
  end)

  it("refuses names that cannot be sent, before a byte leaves", function()
    local server <close> = raw.start { {} }
    local batch = service.client(server.url):batch("b1", { dataset = DATASET })
    for _, name in ipairs { "", "/a", "a//b", "a/", "..", "a/../b", "./a" } do
      assert_error("data", name == "" and "the name of the file is empty" or "has an empty segment, or one that is . or ..",
        batch:upload(name, { data = "x" }))
    end
    assert_error("data", "makes a URL of more than 2000 characters", batch:upload(("n"):rep(2000), { data = "x" }))
    assert.equal(0, #server:stop())
  end)

  it("refuses what is no file that can be sent", function()
    with_batch(function(batch, _, directory)
      assert_error("data", "cannot read " .. directory .. "/none: No such file or directory",
        batch:upload("a", { file = directory .. "/none" }))
      assert_error("data", "it is a directory", batch:upload("a", { file = directory }))
      shell.run("mkfifo " .. directory .. "/pipe")
      assert_error("data", "it is a pipe, which has no size; send it with { reader = ... }",
        batch:upload("a", { file = directory .. "/pipe" }))
      shell.write(directory .. "/short", "abc")
      assert_error("data", "has 3 bytes; 5 from 1 on cannot be sent",
        batch:upload("a", { file = directory .. "/short", offset = 1, length = 5 }))
    end)
  end)

  it("knows the size and the end of a file of more than 4 GB", function()
    shell.with_directory(function(directory)
      local path, sums = directory .. "/large", {}
      for i, last in ipairs { "a", "b" } do
        shell.run(("truncate -s 5G %s && printf %s >>%s && touch -d @0 %s"):format(path, last, path, path))
        local file <close> = assert(core.file.open(path))
        assert.equal(5 * 1024 ^ 3 + 1, file:size())
        sums[i] = file:fingerprint()
      end
      assert.not_equal(sums[1], sums[2])
    end)
  end)

  it("says when a file may not be read", function()
    shell.with_directory(function(directory)
      os.execute("chmod 755 " .. directory)
      shell.write(directory .. "/secret", "x")
      shell.write(directory .. "/script.lua", [[
        local file, err = require("catalog.core").file.open(arg[1])
        print(file, err.kind, err.message)
      ]])
      os.execute("chmod 000 " .. directory .. "/secret")
      -- root may read everything: it tries as nobody, and with copies nobody may read
      local as = shell.run "id -u" == "0\n" and "setpriv --reuid 65534 --clear-groups " or ""
      local build = os.getenv "CATALOG_BUILD"
      shell.run(("mkdir %s/catalog && cp %s/catalog/core.so %s/catalog && chmod 755 %s/catalog"):format(directory, build,
        directory, directory))
      local output = shell.run(("LUA_CPATH='%s/?.so;%s' %senv %s %s/script.lua %s/secret"):format(directory, package.cpath,
        as, shell.LUA, directory, directory))
      assert.equal(("nil\tdata\tcannot read %s/secret: Permission denied\n"):format(directory), output)
    end)
  end)

  it("says when a reader gives what is no text, and passes on what it raises", function()
    with_batch(function(batch)
      assert_error("data", "the reader of a gave a number", batch:upload("a", { reader = function() return 17 end }))
      assert.error_matches(function() batch:upload("a", { reader = function() error "broken source" end }) end,
        "broken source")
      assert(batch:upload("a", { data = "still possible" }))
    end)
  end)

  it("raises for wrong options and wants exactly one source", function()
    with_batch(function(batch)
      assert.error_matches(function() batch:upload("a", {}) end, "upload needs one source", 1, true)
      assert.error_matches(function() batch:upload("a", { data = "x", file = "y" }) end, "upload needs one source", 1, true)
      assert.error_matches(function() batch:upload("a", { fiel = "x" }) end, "did you mean 'file'?", 1, true)
      assert.error_matches(function() batch:upload(17, { data = "x" }) end, "the name is a string", 1, true)
      assert.error_matches(function() batch:upload("a", { data = "x" }, { partsize = 1 }) end, "did you mean 'part_size'?", 1,
        true)
      assert_error("config", "part_size is from 1 to 512000000", batch:upload("a", { data = "x" }, { part_size = 0 }))
      assert_error("config", "part_threshold is from 1 to 256000000",
        batch:upload("a", { data = "x" }, { part_threshold = 256000001 }))
      assert_error("config", "parallel is from 1 to", batch:upload("a", { data = "x" }, { parallel = 0 }))
    end)
  end)

  it("is refused after the batch was completed", function()
    with_batch(function(batch)
      assert(batch:upload("a", { data = "{}\n" }))
      assert(batch:complete())
      assert_error("batch", "takes no more files: complete was called", batch:upload("b", { data = "x" }))
    end)
  end)

  it("finds the dataset of a batch it is attached to", function()
    with_batch(function(batch, stored, _, client)
      assert(client:batch(batch.id):upload("a", { data = "x" }))
      assert.equal("x", stored "a")
    end)
  end)

  it("says when a file becomes shorter while it is sent, and does not complete it", function()
    shell.with_directory(function(directory)
      local path = directory .. "/source"
      shell.write(path, bytes(3000000))
      -- the server takes the first part and waits; meanwhile the file loses its end
      local ok = raw.answer("200 OK", "")
      local server <close> = raw.start { { { send = ok }, { send = ok, pause = 0.2 }, { send = ok }, { send = ok } } }
      local seen = {}
      local client = service.client(server.url, {
        on_request = function(exchange)
          seen[#seen + 1] = exchange.method .. (exchange.url:match "%?.*" or "")
          if exchange.method == "PATCH" then assert(os.execute("truncate -s 1500000 " .. path)) end
        end,
      })
      local batch = client:batch("b1", { dataset = DATASET })
      assert_error("data", "the file became shorter while it was sent",
        batch:upload("a", { file = path }, { part_threshold = 1000, part_size = 1000000, parallel = 1 }))
      for _, request in ipairs(seen) do assert.is_nil(request:find("COMPLETE", 1, true)) end
    end)
  end)

  it("says when a file was changed while it was sent, and does not complete it", function()
    shell.with_directory(function(directory)
      local path = directory .. "/source"
      shell.write(path, bytes(3000))
      local ok = raw.answer("200 OK", "")
      local server <close> = raw.start { { { send = ok }, { send = ok }, { send = ok }, { send = ok }, { send = ok } } }
      local client = service.client(server.url, {
        on_request = function() assert(os.execute("echo more >>" .. path)) end,
      })
      assert_error("data", "was changed while it was sent", client:batch("b1", { dataset = DATASET }):upload("a",
        { file = path }, { part_threshold = 1000, part_size = 1000, parallel = 1 }))
      for _, request in ipairs(server:stop()) do assert.is_nil(request:find("COMPLETE", 1, true)) end
    end)
  end)

  it("gives the service's reason when a part is refused", function()
    local refusal = raw.answer("400 Bad Request", '{"title":"BadRequestError","detail":"part refused"}')
    local server <close> = raw.start { { { send = raw.answer("200 OK", "") }, { send = refusal } } }
    local batch = service.client(server.url):batch("b1", { dataset = DATASET })
    assert_error("http", "part refused",
      batch:upload("a", { data = bytes(3000) }, { part_threshold = 1000, part_size = 1000, parallel = 1 }))
    assert.equal(2, #server:stop())
  end)

  it("may take longer than its timeout while it moves, and not when it stands still", function()
    -- a server that reads nothing: what fits the sockets' buffers goes, and then it stands still
    local server <close> = raw.start { { { silent = true, hang = true } } }
    local batch = service.client(server.url):batch("b1", { dataset = DATASET })
    assert_error("timeout", "no answer within 0.2 seconds",
      batch:upload("a", { data = ("x"):rep(50000000) }, { timeout = 0.2 }))
  end)
end)

describe("the end of a file in parts, whose first answer is lost", function()
  local options <const> = { part_size = 100, part_threshold = 100 }

  local function upload(head)
    local path = "/files/.*action=COMPLETE"
    local result
    service.run({ faults = {
      { match = { path = path, nth = 1 }, action = { drop = "after" } },
      { match = { path = path, nth = 1 }, action = { status = 409, body = '{"title":"Complete already"}' } }, head,
    } }, function(server)
      local seen = {}
      local client = service.client(server.url, {
        retry = { base = 0.001 }, on_request = function(exchange) seen[#seen + 1] = exchange.method end,
      })
      local batch = assert(client:create_batch { dataset = service.DATASET, format = "json" })
      result = table.pack(batch:upload("f", { data = ("{}\n"):rep(100) }, options))
      assert.equal("HEAD", seen[#seen])
    end)
    return table.unpack(result, 1, result.n)
  end

  it("and whose second is refused, is known by what the service has", function()
    assert.equal(300, assert(upload(nil)).bytes)
  end)

  it("is not there when the service does not have all of it", function()
    local done, err = upload {
      match = { method = "HEAD" }, action = { status = 200, headers = { range = "bytes=0-199" }, body = "" },
    }
    assert.is_nil(done)
    assert.equal(409, err.status)
    assert.is_true(err.ambiguous)
  end)
end)

describe("a file that is too much for one request", function()
  -- The emulator takes no more than 1000 bytes a request; what was sent of a file, as "METHOD range".
  local function with_limit(body, max_file)
    shell.with_directory(function(directory)
      local log = directory .. "/log"
      service.run({ data_dir = directory .. "/data", max_file = max_file or 1000, log = log }, function(server, client)
        local batch = assert(client:create_batch { dataset = DATASET, format = "json" })
        local function stored(name) return read(("%s/data/files/%s/%s"):format(directory, batch.id, name)) end
        local function requests(name)
          local list = {}
          for line in io.lines(log) do
            local method, target, range = line:match "^(%S+) (%S+) (%S.*) %d+$"
            local action = target:match("files/" .. name .. "%?action=(%u+)$")
            if action or target:match("files/" .. name .. "$") then
              list[#list + 1] = action or (method .. " " .. range):gsub(" %-$", "")
            end
          end
          table.sort(list)
          return list
        end
        body { batch = batch, stored = stored, requests = requests, directory = directory, server = server, client = client }
      end)
    end)
  end

  it("goes on in parts when the service says so, and smaller ones", function()
    with_limit(function(at)
      shell.write(at.directory .. "/source", bytes(1501))
      assert.equal(1501, assert(at.batch:upload("f", { file = at.directory .. "/source" })).bytes)
      assert.equal(bytes(1501), at.stored "f")
      assert.same({ "COMPLETE", "INITIALIZE", "PATCH bytes 0-750", "PATCH bytes 751-1500", "PUT" }, at.requests "f")
      assert.equal(1501, assert(at.batch:upload("d", { data = bytes(1501) }, { part_size = 600 })).bytes)
      assert.equal(bytes(1501), at.stored "d")
      assert.same({ "COMPLETE", "INITIALIZE", "PATCH bytes 0-599", "PATCH bytes 1200-1500", "PATCH bytes 600-1199", "PUT" },
        at.requests "d")
      assert.equal(1000, assert(at.batch:upload("small", { data = bytes(1000) })).bytes)
      assert.same({ "PUT" }, at.requests "small")
    end)
  end)

  it("goes on in parts from a reader and a writer", function()
    with_limit(function(at)
      local given = { bytes(1501) }
      assert.equal(1501, assert(at.batch:upload("r", { reader = function() return table.remove(given) end })).bytes)
      assert.equal(bytes(1501), at.stored "r")
      local out <close> = assert(at.batch:writer "w")
      for _ = 1, 200 do assert(out:write { a = 1 }) end
      assert.equal(1600, assert(out:close()).bytes)
      assert.equal(('{"a":1}\n'):rep(200), at.stored "w")
      assert.same({ "COMPLETE", "INITIALIZE", "PATCH bytes 0-799", "PATCH bytes 800-1599", "PUT" }, at.requests "w")
    end)
  end)

  it("is not too much in ingest either, where the next one of its size goes in parts at once", function()
    with_limit(function(at)
      local files = {}
      for i, size in ipairs { 1504, 80, 1600, 3200 } do
        files[i] = ("%s/f%d"):format(at.directory, i)
        shell.write(files[i], ('{"n":1}\n'):rep(size // 8))
      end
      local report = assert(at.client:ingest { dataset = DATASET, format = "json", files = files, parallel = 1 })
      assert.equal("success", report.status)
      for i, path in ipairs(files) do
        assert.equal(read(path), read(("%s/data/files/%s/f%d"):format(at.directory, report.id, i)))
      end
      assert.same({ "COMPLETE", "INITIALIZE", "PATCH bytes 0-751", "PATCH bytes 752-1503", "PUT" }, at.requests "f1")
      assert.same({ "PUT" }, at.requests "f2")
      assert.same({ "COMPLETE", "INITIALIZE", "PATCH bytes 0-751", "PATCH bytes 1504-1599", "PATCH bytes 752-1503" },
        at.requests "f3")
    end)
  end)

  it("goes on in parts, without another try, when the gateway has given up", function()
    with_limit(function(at)
      local client = service.client(at.server.url, { retry = { tries = 3, base = 0.001 } })
      local batch = client:batch(at.batch.id, { dataset = DATASET })
      local content <const> = bytes(2000000)
      for _, status in ipairs { 408, 504 } do
        at.server:set_faults { { match = { method = "PUT" }, action = { status = status } } }
        assert.equal(#content, assert(batch:upload("f" .. status, { data = content })).bytes)
        assert.equal(content, at.stored("f" .. status))
        assert.same({ "COMPLETE", "INITIALIZE", "PATCH bytes 0-999999", "PATCH bytes 1000000-1999999", "PUT" },
          at.requests("f" .. status))
        -- what is small did not take long
        assert_error("http", "the server answered " .. status, batch:upload("s" .. status, { data = bytes(2000) }))
        assert.same({ "PUT", "PUT", "PUT" }, at.requests("s" .. status))
      end
    end, 100000000)
  end)

  it("is known by the time that it took when the connection breaks", function()
    local parts = require "catalog.batch.parts"
    with_limit(function(at)
      at.server:set_faults { { match = { method = "PUT" }, action = { drop_after = 300 } } }
      local ok, err = at.batch:upload("f", { data = bytes(900) })
      assert_error("network", "PUT ", ok, err)
      assert.is_true(err.seconds > 0 and err.seconds < 20)
      assert.is_false(parts.is_too_much(err, 900))
      err.seconds = 59.9
      assert.is_true(parts.is_too_much(err, 900))
      assert.is_false(parts.is_too_much(err, 1))
      err.kind = "timeout" -- it stood still
      assert.is_false(parts.is_too_much(err, 900))
    end)
  end)

  it("says what to do when its parts are too large as well", function()
    with_limit(function(at)
      assert_error("http", "a part of 1500 bytes is too large; give a smaller part_size",
        at.batch:upload("f", { data = bytes(3000) }))
      local out = assert(at.batch:writer("w", { part_size = 1600 }))
      local ok, err = true, nil
      for _ = 1, 1000 do
        if ok then ok, err = out:write { a = 1 } end
      end
      if ok then ok, err = out:close() end
      assert_error("http", "a part of 1600 bytes is too large; give a smaller part_size", ok, err)
    end)
  end)
end)

describe("a writer", function()
  it("refuses what is no object, by number, and goes on", function()
    with_batch(function(batch, stored)
      local out = assert(batch:writer "events.json")
      assert(out:write {})
      local json = core.json
      for i, case in ipairs {
        { "x", "string" }, { 1, "number" }, { 1.5, "number" }, { true, "boolean" }, { { 1, 2 }, "list" },
        { json.array {}, "list" }, { json.empty_array, "list" }, { json.null, "null" },
      } do
        assert_error("data", ("records[%d] is a %s, and a record is an object: a table with string keys"):format(i + 1,
          case[2]), out:write(case[1]))
      end
      assert_error("data", "records[10] is a nil", out:write(nil))
      assert(out:write { a = 1 })
      assert(out:close())
      assert.equal('{}\n{"a":1}\n', stored "events.json")
    end)
  end)

  it("writes records as lines of JSON, whole in one request or in parts", function()
    with_batch(function(batch, stored)
      for _, part_size in ipairs { 100000000, 1000 } do
        local out = assert(batch:writer("events.json", { part_size = part_size, parallel = 2 }))
        local lines = {}
        for i = 1, 1000 do
          local record = { id = math.maxinteger - i, name = "Müller", list = core.json.array {} }
          assert(out:write(record))
          lines[i] = core.json.encode(record) .. "\n"
        end
        local report = assert(out:close())
        assert.equal(1000, report.records)
        assert.equal(table.concat(lines), stored "events.json")
        assert.equal(#table.concat(lines), report.bytes)
      end
    end)
  end)

  it("refuses a record it cannot encode, by number and path, and goes on", function()
    with_batch(function(batch, stored)
      local out = assert(batch:writer "events.json")
      assert(out:write { a = 1 })
      local loop = {}
      loop.self = loop
      assert_error("data", "records[2].person.name is a function, which JSON cannot hold",
        out:write { person = { name = print } })
      assert_error("data", "records[3].self is a table that it is itself part of", out:write(loop))
      assert_error("data", "records[4].n is NaN", out:write { n = 0 / 0 })
      assert_error("data", "records[5].s is not UTF-8", out:write { s = "\255" })
      assert(out:write { a = 9223372036854775807 })
      assert(out:close())
      assert.equal('{"a":1}\n{"a":9223372036854775807}\n', stored "events.json")
    end)
  end)

  it("is refused for a batch that is not of JSON lines", function()
    for _, format in ipairs { { format = "parquet" }, { format = "csv" }, { format = "json", multiline = true } } do
      with_batch(function(batch)
        assert_error("data", "a writer writes JSON lines, and the batch " .. batch.id, batch:writer "events.json")
      end, format)
    end
  end)

  it("is the only one of its name, until it is closed", function()
    with_batch(function(batch)
      local first = assert(batch:writer "a.json")
      assert_error("data", "a.json is being written already", batch:writer "a.json")
      assert(first:write { a = 1 })
      assert(first:close())
      assert_error("data", "the writer of a.json is closed", first:write { a = 2 })
      assert_error("data", "the writer of a.json is closed", first:close())
      local second = assert(batch:writer "a.json")
      second:cancel()
      assert.equal("cancelled", select(2, second:write { a = 3 }).kind)
    end)
  end)

  it("sends a record that is larger than a part as a part of its own", function()
    with_batch(function(batch, stored)
      local out = assert(batch:writer("a.json", { part_size = 100 }))
      for _, length in ipairs { 10, 500, 10 } do assert(out:write { s = ("x"):rep(length) }) end
      assert(out:close())
      assert.equal(3, select(2, stored("a.json"):gsub("\n", "")))
      assert.equal(500, #stored("a.json"):match '\n{"s":"(x+)"}\n')
    end)
  end)

  it("is closed when its block is left, cancelled when an error leaves it, and raises when it cannot be closed", function()
    with_batch(function(batch, stored)
      do
        local out <close> = assert(batch:writer "a.json")
        assert(out:write { a = 1 })
      end
      assert.equal('{"a":1}\n', stored "a.json")
      pcall(function()
        local out <close> = assert(batch:writer "b.json")
        assert(out:write { a = 1 })
        error "the first error"
      end)
      assert.has_error(function() stored "b.json" end)
      local ok, err = pcall(function()
        local out <close> = assert(batch:writer "c.json")
        assert(out:write { a = 1 })
        assert(batch:abort())
      end)
      assert.is_false(ok)
      assert.equal("http", err.kind)
    end)
  end)

  it("tells the fault of a transfer once it is known, and ever after", function()
    local server <close> = raw.start { {
      { send = raw.answer("200 OK", '{"b1":{"inputFormat":{"format":"json"}}}') }, { send = raw.answer("200 OK", "") },
      { send = raw.answer("403 Forbidden", '{"title":"Forbidden","detail":"no more"}'), close = true },
    } }
    local batch = service.client(server.url):batch("b1", { dataset = DATASET })
    local out = assert(batch:writer("a", { part_size = 100, parallel = 1 }))
    local err
    for i = 1, 1000 do
      local ok, failed = out:write { number = i }
      if not ok then
        err = failed
        break
      end
    end
    assert.matches("no more", err.message, 1, true)
    assert.equal(err, select(2, out:write { a = 1 }))
    assert.equal(err, select(2, out:close()))
  end)
end)
