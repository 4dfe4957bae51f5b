-- Records that are written one by one, as lines of JSON.
local batches = require "support.batches"
local catalog = require "catalog"
local core = require "catalog.core"
local errors = require "support.errors"
local raw = require "support.raw"
local service = require "support.service"

local DATASET <const> = service.DATASET

local create <const> = batches.create
local with_batch <const> = batches.with_batch
local assert_error <const> = errors.assert_refused

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

describe("a writer among tasks and coroutines", function()
  local function with_writer(body, changes)
    service.run({ latency_ms = 3 }, function(server)
      local client = service.client(server.url, changes)
      local batch = create(client)
      body(assert(batch:writer("w", { part_size = 1000, parallel = 1 })), server, batch)
    end)
  end

  it("is for one coroutine at a time, and says so", function()
    with_writer(function(out)
      local refused, list = 0, {}
      for i = 1, 500 do list[i] = { n = i } end
      catalog.map(list, function(record)
        local ok, err = out:write(record)
        if not ok then
          refused = refused + 1
          assert.matches("is at work for another coroutine", err.message, 1, true)
        end
        return true
      end, { parallel = 8 })
      assert.is_true(refused > 0)
      assert(out:close())
    end)
  end)

  it("that was left in the middle by what a callback raised takes no more", function()
    with_writer(function(out, server)
      server:set_faults { { match = { method = "PATCH" }, times = 1, action = { status = 503, body = "{}" } } }
      assert.error_matches(function()
        for i = 1, 500 do assert(out:write { n = i }) end
      end, "on purpose")
      local ok, err = out:write { n = 501 }
      assert.is_nil(ok)
      assert.matches("left in the middle", err.message, 1, true)
      assert.is_nil((out:close()))
    end, { retry = { base = 0.01 }, on_retry = function() error "on purpose" end })
  end)

  it("outlives the task that has opened it", function()
    with_writer(function(_, _, batch)
      catalog.run(function()
        local out
        catalog.spawn(function()
          out = assert(batch:writer("another", { part_size = 1000 }))
          return batch:wait()
        end):cancel()
        for i = 1, 500 do assert(out:write { n = i }) end
        assert(out:close())
      end)
    end)
  end)

  it("of a reader that raises is gone, and its name is free", function()
    service.run({}, function(_, client)
      local batch = create(client)
      assert.error_matches(function() batch:upload("f", { reader = function() error "on purpose" end }) end, "on purpose")
      assert(batch:upload("f", { data = "{}\n" }))
      local again = assert(batch:writer "f")
      again:cancel()
    end)
  end)

  it("in a coroutine that is closed is not completed by halves", function()
    with_writer(function(_, _, batch)
      local thread = coroutine.create(function()
        local out <close> = assert(batch:writer "g")
        assert(out:write { n = 1 })
        coroutine.yield()
      end)
      assert(coroutine.resume(thread))
      local closed, why = coroutine.close(thread)
      assert.is_false(closed)
      assert.matches("the writer of g was left where it cannot be closed", why, 1, true)
    end)
  end)
end)
