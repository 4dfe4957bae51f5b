-- Files that go in parts: because they are too much for one request, and until all of them has arrived.
local batches = require "support.batches"
local errors = require "support.errors"
local parts = require "catalog.batch.parts"
local service = require "support.service"
local shell = require "support.shell"

local DATASET <const> = service.DATASET

local bytes <const> = batches.bytes
local assert_error <const> = errors.assert_refused

describe("a file that is too much for one request", function()
  -- The emulator takes no more than 1000 bytes a request; what was sent of a file, as "METHOD range".
  local function with_limit(body, max_file)
    shell.with_directory(function(directory)
      local log = directory .. "/log"
      service.run({ data_dir = directory .. "/data", max_file = max_file or 1000, log = log }, function(server, client)
        local batch = assert(client:create_batch { dataset = DATASET, format = "json" })
        local function stored(name) return shell.read(("%s/data/files/%s/%s"):format(directory, batch.id, name)) end
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
        assert.equal(shell.read(path), shell.read(("%s/data/files/%s/f%d"):format(at.directory, report.id, i)))
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
