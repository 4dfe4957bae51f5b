-- What the emulator does with requests that are none.
local core = require "catalog.core"
local emulated = require "support.emulated"
local emulator = require "catalog.emulator"
local exchange = require "support.exchange"
local shell = require "support.shell"

local BATCHES <const> = "/data/foundation/import/batches"
local CATALOG <const> = "/data/foundation/catalog/batches"
local headers <const>, get <const>, post <const> = emulated.headers, emulated.get, emulated.post
local start_beside <const> = emulated.start_beside

describe("the emulator, misused,", function()
  it("answers unknown paths and methods", function()
    local server <close> = assert(emulator.start {})
    local status, answer = get(server, "/data/foundation/nothing")
    assert.equal(404, status)
    assert.equal("There is nothing at /data/foundation/nothing", core.json.decode(answer).detail)
    local refused, _, head = exchange.request(server.port, "DELETE", BATCHES, headers())
    assert.equal(405, refused)
    assert.matches("allow: POST\r\n", head)
    assert.equal(201, (post(server)))
  end)

  it("refuses URLs over 2000 characters", function()
    local server <close> = assert(emulator.start {})
    local fits = CATALOG .. "?status=" .. ("x"):rep(2000 - #CATALOG - #"?status=")
    assert.equal(200, (get(server, fits)))
    local status, _, head = get(server, fits .. "x")
    assert.equal(414, status)
    assert.matches("x%-request%-id", head)
    assert.equal(201, (post(server)))
  end)

  it("refuses huge bodies, after reading them", function()
    local server <close> = assert(emulator.start { max_body = 1000 })
    local status, answer = post(server, ('{"datasetId":"%s"}'):format(("x"):rep(3000000)))
    assert.equal(413, status)
    assert.equal("The request body is too large", answer.detail)
    assert.equal(201, (post(server)))
  end)

  it("goes on after what is no HTTP", function()
    local server <close> = assert(emulator.start {})
    for _, bytes in ipairs {
      "\r\n\r\n", "GET\r\n\r\n", "nonsense\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
      "POST " .. BATCHES .. " HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", ("\0\255"):rep(5000),
      "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n",
      "POST " .. BATCHES .. " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "GET / HTTP/1.1\r\n" .. ("a: b\r\n"):rep(20000) .. "\r\n", "GET /" .. ("x"):rep(100000) .. " HTTP/1.1\r\n\r\n",
      "POST " .. BATCHES .. " HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
    } do
      exchange.raw(server.port, bytes, 0.05)
      assert.equal(201, (post(server)))
    end
  end)

  it("answers requests that come in one piece, one after the other", function()
    local server <close> = assert(emulator.start {})
    local request = "GET /nothing HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\nx-api-key: k\r\nx-gw-ims-org-id: o\r\n\r\n"
    local _, count = exchange.raw(server.port, request .. request .. request, 0.3):gsub("HTTP/1.1 404", "")
    assert.equal(3, count)
  end)

  it("says 500 and goes on when it fails itself", function()
    shell.with_directory(function(directory)
      local server <close> = start_beside(directory .. "/data")
      os.execute("rm -rf " .. directory .. "/data")
      local status, answer = post(server)
      assert.equal(500, status)
      assert.equal("InternalServerError", answer.title)
      os.execute("mkdir " .. directory .. "/data")
      assert.equal(201, (post(server)))
      server:signal "INT"
      assert.matches("emulator: /data/foundation/import/batches: .*/data/%w+%.json%.new: No such file or directory\n$",
        (server:finish()))
    end)
  end)
end)
