-- Files into a batch: each is compared byte for byte with what the emulator keeps.
local batches = require "support.batches"
local errors = require "support.errors"
local raw = require "support.raw"
local service = require "support.service"
local shell = require "support.shell"

local DATASET <const> = service.DATASET

local bytes <const> = batches.bytes
local with_batch <const> = batches.with_batch
local assert_error <const> = errors.assert_refused

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
