-- What becomes of the body of a request: into the sink, and what the sender is told.
local serving = require "support.serving"
local shell = require "support.shell"

local GOOD <const> = '{"n":1}\n{"n":2}\n{"n":3}\n'

-- The bytes that a command makes of others.
local function by(command, bytes)
  return shell.with_directory(function(directory)
    shell.write(directory .. "/in", bytes)
    os.execute(("unset LD_PRELOAD; %s <%s/in >%s/out"):format(command, directory, directory))
    return shell.read(directory .. "/out")
  end)
end

describe("a request to catalog serve", function()
  it("has lines, the last one with or without its end, and is answered when they are on disk", function()
    serving.run("", function(server)
      for _, body in ipairs { GOOD, (GOOD:gsub("\n$", "")), (GOOD:gsub("\n", "\r\n")), (GOOD:gsub("\n", "\n\n")) } do
        local status, answer = server:post(body)
        assert.same({ 200, { accepted = 3, rejected = 0, errors = {} } }, { status, answer })
      end
      assert.equal(12, select(2, server:taken():gsub('{"n":%d}\r?\n', "")))
    end)
  end)

  it("may be an array, as it is laid out", function()
    serving.run("", function(server)
      local status, answer = server:post ' \n[ {"n":1},\n {"n":\n 2} ]\n'
      assert.same({ 200, 2 }, { status, answer.accepted })
      assert.equal('{"n":1}\n{"n":2}\n', (server:taken():gsub(" ", "")))
      status, answer = server:post "[]"
      assert.same({ 200, { accepted = 0, rejected = 0, errors = {} } }, { status, answer })
      status, answer = server:post '[{"n":1}, 5]'
      assert.same({ 200, 1, 1, 2 }, { status, answer.accepted, answer.rejected, answer.errors[1].line })
      status, answer = server:post '[{"n":1}'
      assert.equal(400, status)
      assert.matches("^the array cannot be read: ", answer.error)
    end)
  end)

  it("with a bad line has the others taken", function()
    serving.run("", function(server)
      local status, answer = server:post('{"n":1}\nnone\n{"n":2}\n')
      assert.same({ 200, 2, 1 }, { status, answer.accepted, answer.rejected })
      assert.equal(2, answer.errors[1].line)
      assert.is_truthy(answer.errors[1].reason)
      assert.equal('{"n":1}\n{"n":2}\n', server:taken())
      assert.matches('"text":"none"', shell.read(server.directory .. "/spool/rejected/records.jsonl"), 1, true)
    end)
  end)

  it("has its lines numbered as an editor does", function()
    serving.run("", function(server)
      for _, target in ipairs { "/", "/?strict=1" } do
        local _, answer = server:post('\n{"n":1}\r\n\r\n\nnone\n{"n":2}\n\n[]', {}, target)
        assert.same({ 5, 8 }, { answer.errors[1].line, answer.errors[2].line }, target)
      end
      local lines = ('{"n":1}\n\n'):rep(200000) .. "none" -- in several steps of the sink
      local status, answer = server:post(lines)
      assert.same({ 200, 200000, 400001 }, { status, answer.accepted, answer.errors[1].line })
    end)
  end)

  it("of which nothing can be used is refused, and leaves no trace", function()
    serving.run("--record-bytes 100", function(server)
      local long = '{"n":"' .. ("x"):rep(100) .. '"}'
      local status, answer = server:post(("none\n"):rep(20) .. long)
      assert.same({ 400, 0, 21, 10 }, { status, answer.accepted, answer.rejected, #answer.errors })
      assert.equal("nothing of this request was taken", answer.error)
      status, answer = server:post(long)
      assert.same({ 400, "it is longer than record_bytes" }, { status, answer.errors[1].reason })
      assert.equal("", server:taken())
      assert.equal(0, server:metric "catalog_sink_rejected_total")
    end)
  end)

  it("may ask that all is good", function()
    serving.run("", function(server)
      local status, answer = server:post('{"n":1}\n{"n":2}\nnone\n', {}, "/?strict=1")
      assert.same({ 400, 0, 1, 3 }, { status, answer.accepted, answer.rejected, answer.errors[1].line })
      assert.equal("", server:taken())
      assert.equal(200, (server:post(GOOD, {}, "/?strict=1")))
    end)
  end)

  it("may be encoded", function()
    serving.run("", function(server)
      local whole = GOOD:rep(20000)
      for coding, command in pairs { gzip = "gzip", ["x-gzip"] = "gzip", zstd = "zstd -q", GZIP = "gzip" } do
        local status, answer = server:post(by(command, whole), { ["Content-Encoding"] = coding })
        assert.same({ 200, 60000 }, { status, answer.accepted }, coding)
      end
      local status, answer = server:post(by("gzip", GOOD) .. by("gzip", GOOD), { ["Content-Encoding"] = "gzip" })
      assert.same({ 200, 6 }, { status, answer.accepted })
      status, answer = server:post(by("zstd -q", GOOD) .. by("zstd -q", GOOD), { ["Content-Encoding"] = "zstd" })
      assert.same({ 200, 6 }, { status, answer.accepted })
    end)
  end)

  it("that is encoded otherwise, cut off or damaged is refused", function()
    serving.run("", function(server)
      local status, answer, head = server:post(GOOD, { ["Content-Encoding"] = "br" })
      assert.same({ 415, "the coding br is not taken; send the body as it is, or by gzip, zstd" }, { status, answer.error })
      assert.matches("accept%-encoding: gzip, zstd\r\n", head:lower())
      for coding, command in pairs { gzip = "gzip", zstd = "zstd -q" } do
        local bytes = by(command, GOOD:rep(1000))
        for _, case in ipairs {
          { bytes:sub(1, -3), "cut off" }, { bytes .. "x", "damaged\0cut off" }, { "none", "damaged\0cut off" },
          { "", "cut off" },
        } do
          status, answer = server:post(case[1], { ["Content-Encoding"] = coding })
          assert.equal(400, status, coding)
          local why = answer.error:match "^the body cannot be decoded: it is .-(%a+ ?%a*)$"
          assert.matches(why:match "damaged" or why, case[2], 1, true)
        end
      end
      assert.equal("", server:taken())
    end)
  end)

  it("is not larger than it may be, decoded or not", function()
    serving.run("--body-bytes 100kB", function(server)
      local large = ('{"n":1}\n'):rep(100000)
      for _, case in ipairs {
        { large }, { by("gzip", large), { ["Content-Encoding"] = "gzip" } },
        { by("zstd -q", large), { ["Content-Encoding"] = "zstd" } },
        { ("%x\r\n%s\r\n0\r\n\r\n"):format(#large, large), { ["Transfer-Encoding"] = "chunked" } },
      } do
        local status, answer = server:post(case[1], case[2])
        assert.equal(413, status)
        assert.equal("the body has more than 100000 bytes; send less at a time, or raise --body-bytes", answer.error)
      end
      assert.equal("", server:taken())
      assert.equal(200, (server:post(large:sub(1, 100000))))
    end)
  end)

  it("in msgpack is refused", function()
    serving.run("", function(server)
      local status, answer = server:post("\x91\x80", { ["Content-Type"] = "application/msgpack" })
      assert.same({ 415, "msgpack is not taken; send JSON lines, or a JSON array" }, { status, answer.error })
    end)
  end)

  it("with a position is taken once", function()
    serving.run("", function(server)
      local headers = { ["Catalog-Source"] = "host 1", ["Catalog-Position"] = "7" }
      assert.same({ accepted = 3, rejected = 0, errors = {} }, (select(2, server:post(GOOD, headers))))
      assert.same({ accepted = 0, rejected = 0, errors = {}, repeated = true }, (select(2, server:post(GOOD, headers))))
      headers["Catalog-Position"] = "8"
      assert.equal(3, select(2, server:post(GOOD, headers)).accepted)
      assert.equal(GOOD:rep(2), server:taken())
      for _, case in ipairs {
        { { ["Catalog-Source"] = "s" }, "Catalog-Source and Catalog-Position go together" },
        { { ["Catalog-Position"] = "1" }, "Catalog-Source and Catalog-Position go together" },
        { { ["Catalog-Source"] = "s", ["Catalog-Position"] = "-1" }, "Catalog-Position is no whole number from 0 to 2^53" },
        { { ["Catalog-Source"] = "s", ["Catalog-Position"] = "9007199254740993" },
          "Catalog-Position is no whole number from 0 to 2^53" },
        { { ["Catalog-Source"] = ("s"):rep(1025), ["Catalog-Position"] = "1" }, "Catalog-Source has 1 to 1024 bytes" },
      } do
        local status, answer = server:post(GOOD, case[1])
        assert.same({ 400, case[2] }, { status, answer.error })
      end
    end)
  end)

  it("is to come again when the spool is full", function()
    serving.run("--limit-free 1000000GB", function(server)
      local status, answer, head = server:post(GOOD)
      assert.equal(429, status)
      assert.matches("^the spool .* is full: the disk has less than %-%-limit%-free left; make room$", answer.error)
      assert.matches("retry%-after: 10\r\n", head:lower())
      assert.equal("", server:taken())
    end)
  end)

  it("is to come again when the spool cannot be written", function()
    serving.run("", function(server)
      shell.run("rm -r " .. server.directory .. "/spool")
      local status, answer, head = server:post(GOOD)
      assert.same({ 503, ("the spool %s/spool: its directory was removed"):format(server.directory) },
        { status, answer.error })
      assert.matches("retry%-after: 10\r\n", head:lower())
    end)
  end)
end)
