-- The emulator's HTTP: what RFC 9112 says of messages.
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local exchange = require "support.exchange"

local BATCHES <const> = "/data/foundation/import/batches"
local CATALOG <const> = "/data/foundation/catalog/batches"
local HEADERS <const> = "Authorization: Bearer t\r\nx-api-key: k\r\nx-gw-ims-org-id: o\r\nx-sandbox-name: prod\r\n"

local function request(server, method, target, body, media)
  return exchange.request(server.port, method, target, {
    Authorization = "Bearer t", ["x-api-key"] = "k", ["x-gw-ims-org-id"] = "o", ["x-sandbox-name"] = "prod",
    ["Content-Type"] = media, ["Content-Range"] = method == "PATCH" and "bytes 0-0" or nil,
  }, body)
end

-- What comes back for a head and a body, on a connection of its own: the status, the detail if it is a problem, the
-- head, and whether the server has closed.
local function send(server, lines, body)
  local answer = exchange.raw(server.port, table.concat(lines, "\r\n") .. "\r\n" .. HEADERS .. "\r\n" .. (body or ""), 0.5)
  local problem = core.json.decode(answer:match "\r\n\r\n({.*)$" or "")
  return tonumber(answer:match "^HTTP/1.1 (%d+)"), problem and problem.detail, answer:match "^(.-\r\n)\r\n" or ""
end

local function create(server, format)
  local _, answer = request(server, "POST", BATCHES, ('{"datasetId":"d","inputFormat":{"format":"%s"}}'):format(format or "json"),
    "application/json")
  return assert(core.json.decode(answer)).id
end

describe("the emulator's replies", function()
  it("have a content-type where they have a body, and none where they have none", function()
    local server <close> = assert(emulator.start {})
    local id = create(server)
    local file = ("%s/%s/datasets/d/files/f"):format(BATCHES, id)
    local octets = "application/octet-stream"
    for _, case in ipairs {
      { 201, false, "POST", file .. "?action=INITIALIZE", "" }, { 200, true, "PATCH", file, "x", octets },
      { 200, false, "HEAD", file }, { 404, false, "HEAD", file .. "g" }, { 405, false, "HEAD", BATCHES },
      { 201, true, "POST", file .. "?action=COMPLETE", "" }, { 200, true, "PUT", file, "{}\n", octets },
      { 200, true, "PUT", file .. "empty", "", octets },
      { 200, true, "GET", ("/data/foundation/export/files/%s-1?path=f"):format(id) },
      { 200, false, "GET", ("/data/foundation/export/files/%s-2?path=fempty"):format(id) },
      { 200, true, "HEAD", ("/data/foundation/export/files/%s-1?path=f"):format(id) },
      { 200, false, "POST", ("%s/%s?action=COMPLETE"):format(BATCHES, id), "" },
      { 400, true, "POST", ("%s/%s?action=ABORT"):format(BATCHES, id), "" },
      { 200, false, "POST", ("%s/%s?action=ABORT"):format(BATCHES, create(server)), "" },
      { 200, false, "POST", ("%s/%s?action=FAIL"):format(BATCHES, create(server)), "" },
      { 200, true, "GET", CATALOG }, { 404, true, "GET", CATALOG .. "/nobody" },
    } do
      local wanted, typed = table.unpack(case)
      if case[4]:find "ABORT" and wanted == 400 then request(server, "GET", CATALOG .. "/" .. id) end
      local status, body, head = request(server, table.unpack(case, 3, 6))
      assert.equal(wanted, status, case[3] .. " " .. case[4])
      assert.equal(typed, head:lower():find "\ncontent%-type:" ~= nil, case[3] .. " " .. case[4])
      if case[3] ~= "HEAD" then assert.equal(typed, body ~= "", case[4]) end
    end
  end)
end)

describe("the emulator, as RFC 9112 wants it,", function()
  it("takes targets in absolute form, whose host counts", function()
    local server <close> = assert(emulator.start {})
    assert.equal(200, (send(server, { "GET http://somewhere:81" .. CATALOG .. "?limit=1 HTTP/1.1", "Host: x" })))
    local status, detail = send(server, { "GET HTTPS://somewhere?limit=1 HTTP/1.1", "Host: x" })
    assert.same({ 404, "There is nothing at /" }, { status, detail })
    local id = create(server)
    request(server, "PUT", ("%s/%s/datasets/d/files/f"):format(BATCHES, id), "{}\n", "application/octet-stream")
    local target = ("http://somewhere:81/data/foundation/export/batches/%s/files"):format(id)
    local answer = exchange.raw(server.port, "GET " .. target .. " HTTP/1.1\r\nHost: x\r\n" .. HEADERS .. "\r\n", 0.5)
    assert.matches(('"href":"http://somewhere:81/data/foundation/export/files/%s-1"'):format(id), answer, 1, true)
  end)

  it("refuses HTTP/1.1 without a host, or with two, and closes", function()
    for _, strict in ipairs { false, true } do
      local server <close> = assert(emulator.start { strict = strict })
      for _, lines in ipairs {
        { "GET " .. CATALOG .. " HTTP/1.1" }, { "GET http://x" .. CATALOG .. " HTTP/1.1" },
        { "POST " .. BATCHES .. " HTTP/1.1", "Content-Length: 2" },
        not strict and { "GET " .. CATALOG .. " HTTP/1.1", "Host: x", "Host: y" } or nil,
      } do
        local status, _, head = send(server, lines, "{}")
        assert.equal(400, status, lines[1])
        assert.matches("connection: close\r\n", head:lower())
      end
      assert.equal(200, (send(server, { "GET " .. CATALOG .. " HTTP/1.0" })))
    end
  end)

  it("refuses a body whose length is told in two ways, or in none that is known, and closes", function()
    local server <close> = assert(emulator.start {})
    local post, host = "POST " .. BATCHES .. " HTTP/1.1", "Host: x"
    local chunked = "2\r\n{}\r\n0\r\n\r\n"
    for _, case in ipairs {
      { { post, host, "Content-Length: 2", "Transfer-Encoding: chunked" }, chunked },
      { { post, host, "Transfer-Encoding: Chunked", "Content-Length: 12" }, chunked },
      { { post, host, "Content-Length: 2", "Content-Length: 3" }, "{}" },
      { { post, host, "Transfer-Encoding: gzip" }, "{}" }, { { post, host, "Transfer-Encoding: chunked, gzip" }, chunked },
      { { post, host, "Transfer-Encoding: identity" }, "{}" },
      { { "POST " .. BATCHES .. " HTTP/1.0", "Transfer-Encoding: chunked" }, chunked },
    } do
      local lines, body = table.unpack(case)
      -- a second request in what would be the rest of the first is not answered
      local answer = exchange.raw(server.port, table.concat(lines, "\r\n") .. "\r\n" .. HEADERS .. "\r\n" .. body
        .. "GET " .. CATALOG .. " HTTP/1.1\r\nHost: x\r\n" .. HEADERS .. "\r\n", 0.5)
      local what = table.concat(lines, ", ")
      assert.matches("^HTTP/1.1 400 ", answer, what)
      assert.matches("connection: close\r\n", answer:lower(), what)
      assert.equal(1, select(2, answer:gsub("HTTP/1.1 %d", "")), what)
    end
    local status, detail = send(server, { post, host, "Content-Type: application/json", "Transfer-Encoding: chunked" }, chunked)
    assert.same({ 400, "datasetId is required" }, { status, detail })
  end)

  it("takes the guide's space before a colon, and not under strict", function()
    local server <close> = assert(emulator.start {})
    local strict <close> = assert(emulator.start { strict = true })
    local spaced = "GET " .. CATALOG .. " HTTP/1.1\r\nHost: x\r\n" .. HEADERS:gsub("x%-api%-key:", "x-api-key :") .. "\r\n"
    assert.matches("^HTTP/1.1 200 ", exchange.raw(server.port, spaced, 0.5))
    assert.matches("^HTTP/1.1 400 ", exchange.raw(strict.port, spaced, 0.5))
  end)
end)
