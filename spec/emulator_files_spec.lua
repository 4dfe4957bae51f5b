-- The emulator's files, request by request.
local core = require "catalog.core"
local emulated = require "support.emulated"
local emulator = require "catalog.emulator"
local exchange = require "support.exchange"
local shell = require "support.shell"

local BATCHES <const> = "/data/foundation/import/batches"
local OCTETS <const> = { ["Content-Type"] = "application/octet-stream" }
local request <const>, create <const>, file <const> = emulated.request, emulated.create, emulated.file
local put <const>, part <const>, act <const> = emulated.put, emulated.part, emulated.act
local look_up <const>, detail <const>, with_server <const> = emulated.look_up, emulated.detail, emulated.with_server
local stored <const>, files_below <const> = emulated.stored, emulated.files_below

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
    shell.with_directory(function(directory)
      local output = shell.lua([[
        local server = assert(require "catalog.emulator".start {})
        os.execute "ls -d $TMPDIR/catalog-* | wc -l"
        server:stop()
      ]], ("export TMPDIR=%s;"):format(directory))
      assert.equal("1\n", output)
      assert.equal("0\n", (shell.run(("ls -d %s/catalog-* 2>/dev/null | wc -l"):format(directory))))
    end)
  end)
end)
