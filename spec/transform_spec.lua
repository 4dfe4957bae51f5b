-- A function of the user's that changes the records of a stream.
local Transform = require "catalog.stream.transform"
local catalog = require "catalog"
local scheduler = require "catalog.scheduler.scheduler"
local service = require "support.service"
local shell = require "support.shell"
local sinking = require "support.sinking"

local function lines(change, text) return Transform.new(change, 60):lines(text, { topic = "t" }) end

describe("a transform", function()
  it("drops a record, makes another of it, or several", function()
    assert.same({}, lines(function() end, '{"n":1}'))
    assert.same({ '{"n":2}' }, lines(function(record) record.n = record.n + 1 return record end, '{"n":1}'))
    assert.same({ '{"n":1}', '{"t":"t"}' },
      lines(function(record, message) return { record, { t = message.topic } } end, '{"n":1}'))
    assert.same({ "{}" }, lines(function() return {} end, '{"n":1}'))
    local all <const> = '{"list":[],"ids":[9007199254740993]}'
    assert.same({ all:len() }, { #lines(function(record) return record end, all)[1] }) -- nothing of it is lost
    assert.matches("9007199254740993", lines(function(record) return record end, all)[1])
    assert.matches('"list":[]', lines(function(record) return record end, all)[1], 1, true)
    assert.same({ '{"none":true}' }, lines(function(record) return { none = record == nil } end, nil))
  end)

  it("is given the bytes as they are where they are raw, and its records are checked", function()
    local raw = Transform.new(function(bytes) return { bytes = #bytes } end, 60, { raw = true })
    assert.same({ '{"bytes":3}' }, raw:lines("\0\xff{", {}))
    local checked = Transform.new(function(record) return record end, 60, {
      refusal = function(record) return record.n > 1 and { message = "it is too much" } or nil end,
    })
    assert.same({ '{"n":1}' }, checked:lines('{"n":1}', {}))
    assert.same({ nil, "it is too much" }, { checked:lines('{"n":2}', {}) })
  end)

  it("rejects what it cannot make a record of", function()
    local function fault(change, text) return (select(2, lines(change, text))) end
    assert.matches("^it is not JSON: ", fault(function(record) return record end, "{"))
    assert.matches("^the transform raised: .*odd", fault(function() error "odd" end, "{}"))
    assert.matches("gave a number; a record is a table", fault(function() return 5 end, "{}"))
    assert.matches("gave a list in a list", fault(function() return { { 1, 2 } } end, "{}"))
    assert.matches("cannot be encoded: .*NaN", fault(function() return { n = 0 / 0 } end, "{}"))
    assert.matches("it has 102 bytes after the transform; record_bytes is 60",
      fault(function() return { a = ("x"):rep(94) } end, "{}"))
  end)
end)

describe("the transform of a sink", function()
  local numbers <const> = sinking.numbers

  -- A sink without a platform, whose transform drops n = 0, makes n records of others, and refuses what is odd.
  local function with_sink(given, body)
    shell.with_directory(function(directory)
      local options = {
        dataset = "d", spool = directory .. "/spool", limit = { free = 0 },
        transform = function(record, message)
          if record.n == 0 then return nil end
          if record.n == 13 then error "unlucky" end
          if record.n == 14 then return "fourteen" end
          if record.n == 15 then record.n = message.position return record end
          local made = {}
          for i = 1, record.n do made[i] = { n = i } end
          record.n = "spoiled"
          return made
        end,
      }
      for name, value in pairs(given) do options[name] = value end
      local sink <close> = assert(service.client "http://127.0.0.1:1":sink(options))
      body(sink, directory .. "/spool")
    end)
  end

  -- What lies in the spool.
  local function kept(sink, spool)
    assert(sink:sync())
    return (shell.run(("cat %s/seg/* 2>/dev/null"):format(spool)))
  end

  it("changes what is written by each of the ways, and drops what it makes nothing of", function()
    with_sink({}, function(sink, spool)
      local record = { n = 2 }
      assert.same({ true }, { sink:write(record) })
      assert.same({ n = 2 }, record) -- it has got a copy
      assert.same({ true }, { sink:offer { n = 1 } })
      assert.same({ true, "dropped" }, { sink:write { n = 0 } })
      assert.same({ true, "dropped" }, { sink:write_line '{"n":0}' })
      assert.same({ true }, { sink:write_line '{"n":3}\r\n' })
      assert.same({ 3, 0, {} }, { sink:write_lines '{"n":2}\n\n{"n":0}\r\n{"n":1}' })
      assert.equal(numbers(1, 2) .. numbers(1, 1) .. numbers(1, 3) .. numbers(1, 2) .. numbers(1, 1), kept(sink, spool))
      local metrics = sink:metrics()
      assert.same({ 9, 3, 0 }, { metrics.records, metrics.dropped, metrics.rejected })
    end)
  end)

  it("rejects a record that it raises at, or makes none of, with the reason, and goes on", function()
    local told = {}
    with_sink({ on_rejected = function(_, err) told[#told + 1] = err.message end, record_bytes = 100 }, function(sink, spool)
      assert.same({ true, "rejected" }, { table.unpack({ sink:write { n = 13 } }, 1, 2) })
      assert.same({ true, "rejected" }, { table.unpack({ sink:write_line '{"n":14}' }, 1, 2) })
      local long = ('{"x":"%s"}'):format(("x"):rep(100))
      local taken, rejected, faults = sink:write_lines(('{"n":1}\n{"n":13}\nno\n%s\n{"n":2}'):format(long))
      assert.same({ 2, 3 }, { taken, rejected })
      assert.same({ 2, 3, 4 }, { faults[1].line, faults[2].line, faults[3].line })
      assert.equal(numbers(1, 1) .. numbers(1, 2), kept(sink, spool))
      local refused = shell.read(spool .. "/rejected/records.jsonl")
      assert.matches('the transform raised: [^\n]*unlucky', refused)
      assert.matches('"record":{"n":13}', refused, 1, true)
      assert.matches("the transform gave a string; a record is a table", refused, 1, true)
      assert.matches('"text":"{\\"n\\":14}"', refused, 1, true)
      assert.equal(5, select(2, refused:gsub("\n", "")))
    end)
    assert.equal(5, #told)
    assert.matches("^line 3: it is no JSON object$", told[4])
    assert.matches("^line 4: it is longer than record_bytes$", told[5])
  end)

  it("lets a source go on also where nothing is left of a call, which stays one", function()
    with_sink({}, function(sink, spool)
      assert.same({ true, "dropped" }, { sink:write({ n = 0 }, "a", 5) })
      assert.same({ true, "repeated" }, { sink:write({ n = 1 }, "a", 5) })
      assert.same({ 2, 0, {} }, { sink:write_lines('{"n":0}\n{"n":0}\n', "a", 6) })
      assert.same({ true, "rejected" }, { table.unpack({ sink:write_line('{"n":13}', "a", 7) }, 1, 2) })
      assert.same({ true }, { sink:write({ n = 15 }, "a", 8) })
      assert.same({ true }, { sink:write({ n = 3 }, "a", 9) })
      assert.same({ 0, "repeated", {} }, { sink:write_lines('{"n":1}', "a", 9) })
      assert.equal('{"n":8}\n' .. numbers(1, 3), kept(sink, spool))
      assert.equal(9, sink:synced "a")
      assert.same({ 2, 3 }, { sink:metrics().repeated, sink:metrics().dropped })
    end)
  end)

  it("leaves nothing of a call that has no room for all that it makes of it", function()
    local small <const> = { limit = { bytes = 2000, free = 0, timeout = 0.1 }, file_bytes = 1000, record_bytes = 1000 }
    with_sink(small, function(sink, spool)
      assert.same({ true }, { sink:offer({ n = 10 }, "a", 1) })
      local _, err = sink:offer({ n = 1000 }, "a", 2)
      assert.equal("limit", err.kind)
      _, err = sink:write_lines('{"n":5}\n{"n":1000}\n', "a", 2)
      assert.equal("limit", err.kind)
      assert.same({ true }, { sink:offer({ n = 2 }, "a", 2) })
      assert.equal(numbers(1, 10) .. numbers(1, 2), kept(sink, spool))
    end)
  end)

  it("may wait for something", function()
    local slow = { transform = function(record)
      scheduler.sleep(0.001)
      return record
    end }
    with_sink(slow, function(sink, spool)
      catalog.run(function()
        for i = 1, 20 do catalog.spawn(function() assert(sink:write({ n = i }, "source " .. i, 1)) end) end
        for i = 21, 30 do catalog.spawn(function() assert(sink:write_line(('{"n":%d}'):format(i))) end) end
      end)
      local list = {}
      for line in kept(sink, spool):gmatch "%d+" do list[#list + 1] = math.tointeger(tonumber(line)) end
      table.sort(list)
      assert.same({ 30, 1, 30 }, { #list, list[1], list[30] })
    end)
  end)
end)
