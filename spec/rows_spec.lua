-- The rows of a batch that failed, and the listings of its files.
local batches = require "support.batches"
local raw = require "support.raw"
local service = require "support.service"


local with_client <const> = batches.with_client
local completed <const> = batches.completed
local rows <const> = batches.rows

describe("a batch with rows that failed", function()
  it("gives them, over all pages and files, with the raw line", function()
    with_client({}, function(client)
      local batch = completed(client, rows(3000, 2500), { error_diagnostics = true, partial_ingestion = 100 })
      assert(batch:wait())
      local count = 0
      for row, line in batch:failed_rows() do
        count = count + 1
        assert.equal("not json " .. count, row._corrupt_record)
        assert.equal("INGEST-1401-400", row._errors[1].code)
        assert.equal("a", row._filename)
        assert.matches('"_corrupt_record":"not json ' .. count .. '"', line, 1, true)
      end
      assert.equal(2500, count)
    end)
  end)

  it("has 64-bit numbers whole in the raw line of each", function()
    local body = '{"id":9223372036854775807,"_errors":[{"code":"INGEST-1555-400"}]}\n'
    local listing = '{"data":[{"name":"part 0.json","length":"66"}],"_page":{"limit":100,"count":1}}'
    local server <close> = raw.start { { { send = raw.answer("200 OK", listing) }, { send = raw.answer("200 OK", body) } } }
    for row, line in service.client(server.url):batch("b1"):failed_rows() do
      assert.equal("INGEST-1555-400", row._errors[1].code)
      assert.equal(body, line .. "\n")
    end
    assert.matches("^GET /data/foundation/export/batches/b1/meta%?path=row_errors%%2Fpart%%200.json ", server:stop()[2])
  end)

  it("gives each row once, also where a file of them came at the second try only", function()
    local listing = raw.answer("200 OK", '{"data":[{"name":"part","length":"66"}],"_page":{"limit":100,"count":1}}')
    local lines_there <const> = '{"n":1}\n{"n":2}\n'
    local whole = raw.answer("200 OK", lines_there)
    for _, first in ipairs {
      { send = raw.answer("503 Down", '{"title":"much longer than what comes next","status":503}') },
      { send = whole:sub(1, -3), close = true },
    } do
      local server <close> = raw.start { { { send = listing }, first, { send = whole } }, { { send = whole } } }
      local client, lines = service.client(server.url, { retry = { base = 0.001 } }), {}
      for _, line in client:batch("b1"):failed_rows() do lines[#lines + 1] = line end
      assert.equal(lines_there, table.concat(lines, "\n") .. "\n")
    end
  end)

  it("raises the error in the loop when they cannot be had", function()
    local server <close> = raw.start { { { send = raw.answer("403 Forbidden", '{"title":"Forbidden"}') } } }
    local ok, err = pcall(function()
      for _ in service.client(server.url):batch("b1"):failed_rows() do error "a row" end
    end)
    assert.is_false(ok)
    assert.equal("auth", err.kind)
  end)
end)

describe("a batch's listings", function()
  it("are read page by page", function()
    local function page(from, count)
      local entries = {}
      for i = 1, count do entries[i] = ('{"name":"f%d","length":"%d"}'):format(from + i, from + i) end
      return { send = raw.answer("200 OK", ('{"data":[%s],"_page":{}}'):format(table.concat(entries, ","))) }
    end
    local server <close> = raw.start { { page(0, 100), page(100, 100), page(200, 7) } }
    local files = assert(service.client(server.url):batch("b1"):input_files())
    assert.equal(207, #files)
    assert.same({ name = "f207", bytes = 207 }, files[207])
    local starts = {}
    for _, request in ipairs(server:stop()) do starts[#starts + 1] = request:match "start=(%d+)" end
    assert.same({ "0", "100", "200" }, starts)
  end)

  it("have what the service read, and no rows where none failed", function()
    with_client({}, function(client)
      local batch = completed(client, rows(2, 0))
      assert(batch:wait())
      assert.same({ { name = "a", bytes = #rows(2, 0) } }, assert(batch:input_files()))
      for _ in batch:failed_rows() do error "there is none" end
    end)
  end)
end)
