-- Rows that failed, mended and sent again.
local batches = require "support.batches"
local service = require "support.service"

local PARTIAL <const> = { error_diagnostics = true, partial_ingestion = 100 }

-- A batch of which so many rows are bad, ingested all the same.
local function with_bad_rows(body, count, bad)
  batches.with_client({}, function(client, server)
    local batch = batches.completed(client, batches.rows(count or 10, bad or 3), PARTIAL)
    body(assert(batch:wait()), client, server)
  end)
end

local function mended(row) return { n = tonumber(row._corrupt_record:match "%d+") } end

-- The records of a batch that failed or not, as a text.
local function text_of(batch)
  local parts = {}
  for file in batch:files() do parts[#parts + 1] = file:read() end
  return table.concat(parts)
end

describe("rows that failed", function()
  it("are sent again as they were mended, in a batch of their own", function()
    with_bad_rows(function(batch, client)
      local seen = {}
      local again, report = batch:resend { rows = function(row, errors, line)
        seen[#seen + 1] = errors[1].code .. (line:find("not json", 1, true) and " with its line" or "")
        assert(row._errors == nil and row._filename == nil)
        if row._corrupt_record == "not json 2" then return nil end
        return mended(row)
      end }
      assert(again, tostring(report))
      assert.same({ rows = 3, sent = 2, dropped = 1 }, report)
      assert.equal(3, #seen)
      assert.equal("INGEST-1401-400 with its line", seen[3])
      local done = assert(again:wait())
      assert.equal('{"n":1}\n{"n":3}\n', text_of(done))
      assert.same({ catalog_resend_of = { batch.id }, acp_enableErrorDiagnostics = true, acp_partialIngestionPercent = 100 },
        done.tags)
      assert.is_nil(done.replay)
      assert.equal(batch.id, client:batches { tags = { catalog_resend_of = batch.id } }().tags.catalog_resend_of[1])
    end)
  end)

  it("are not sent a second time, unless that is asked for", function()
    with_bad_rows(function(batch, client, server)
      local again = assert(batch:resend { rows = mended })
      for _, other in ipairs { client, service.client(server.url) } do
        local twice, err = other:batch(batch.id):resend { rows = mended }
        assert.same({ nil, "conflict", again.id }, { twice, err.kind, err.batch })
      end
      assert(batch:resend { rows = mended, again = true })
    end)
  end)

  it("may be sent again after what was sent again was taken back", function()
    with_bad_rows(function(batch, _, server)
      assert(assert(assert(batch:resend { rows = mended }):wait()):revert())
      assert(assert(assert(batch:resend { rows = mended }):wait()):revert())
      assert(service.client(server.url):batch(batch.id):resend { rows = mended })
    end)
  end)

  it("are sent as they are without a function, and may fail again", function()
    with_bad_rows(function(batch)
      local done = assert(assert(batch:resend()):wait())
      assert.equal(3, done.metrics.failedRecordCount)
      assert.equal("", text_of(done))
      assert(assert(done:resend { rows = mended }):wait())
    end)
  end)

  it("may be made worse by a function, which is told, and may be mended after that", function()
    batches.with_client({}, function(client)
      local batch = batches.completed(client, batches.rows(10, 3), { error_diagnostics = true, partial_ingestion = 50 })
      batch = assert(batch:wait())
      local worse = assert(batch:resend { rows = function() return "{]" end })
      local ended, err = worse:wait()
      assert.same({ nil, "batch" }, { ended, err.kind })
      assert.equal(3, assert(worse:get()).metrics.failedRecordCount)
      assert.equal(3, assert(assert(batch:resend { rows = mended }):wait()).metrics.outputRecordCount)
    end)
  end)

  it("are as many as there are, with little in memory", function()
    with_bad_rows(function(batch)
      collectgarbage()
      local most, count = 0, 0
      local again, report = batch:resend { rows = function(row)
        count = count + 1
        if count % 1000 == 0 then
          collectgarbage()
          most = math.max(most, collectgarbage "count")
        end
        return mended(row)
      end }
      assert(again)
      assert.same({ rows = 5000, sent = 5000, dropped = 0 }, report)
      assert.equal(5000, assert(again:wait()).metrics.outputRecordCount)
      assert.is_true(most < 20000)
    end, 5000, 5000)
  end)

  it("leave nothing behind where they cannot be sent", function()
    with_bad_rows(function(batch, client)
      local function count(status)
        local found = 0
        for _ in client:batches { since = "1h", status = status } do found = found + 1 end
        return found
      end
      local again, err = batch:resend { rows = function() return nil end }
      assert.same({ nil, "data" }, { again, err.kind })
      assert.matches("none of the 3 rows", err.message)
      assert.equal(0, count "loading")
      for _, result in ipairs { 7, "two\nlines", "", { n = 0 / 0 }, { f = print } } do
        local seen = 0
        again, err = batch:resend { rows = function(row)
          seen = seen + 1
          if seen < 3 then return mended(row) end
          return result
        end }
        assert.same({ nil, "data" }, { again, err.kind })
        local said = err.message
        assert.is_truthy(said:find "the row 3 cannot be sent again: " or said:find "^rows gave a number", said)
      end
      local fine, raised = pcall(batch.resend, batch, { rows = function(row)
        if row._corrupt_record == "not json 3" then error "a mistake" end
        return mended(row)
      end })
      assert.is_false(fine)
      assert.matches("a mistake", raised)
      assert.equal(0, count "loading")
      assert.equal(6, count "aborted")
      assert(batch:resend { rows = mended })
    end)
  end)

  it("are refused of a batch that is not ingested", function()
    batches.with_client({}, function(client)
      local batch = batches.create(client)
      assert.equal("batch", select(2, batch:resend {}).kind)
      batch = batches.completed(client, "no json\n")
      batch:wait()
      local again, err = batch:resend {}
      assert.same({ nil, "batch" }, { again, err.kind })
      assert.matches("none of its rows are in; whole = true", err.message)
      assert.equal(404, select(2, client:batch("nobody"):resend {}).status)
      assert.has_error(function() batch:resend { row = print } end, "unknown option 'row' for resend (did you mean 'rows'?)")
    end)
  end)
end)

describe("a batch that failed", function()
  it("is sent again whole, each row through a function", function()
    batches.with_client({}, function(client)
      local batch = batches.completed(client, batches.rows(5, 2), { error_diagnostics = true })
      assert.equal("batch", select(2, batch:wait()).kind)
      local again = assert(batch:resend { whole = true, rows = function(row)
        return row._corrupt_record and mended(row) or row
      end })
      local done = assert(again:wait())
      assert.equal('{"n":1}\n{"n":2}\n{"n":3}\n{"n":4}\n{"n":5}\n', text_of(done))
      assert.same({ batch.id }, done.replay.predecessors)
      assert.equal("batch", select(2, done:resend { whole = true }).kind)
    end)
  end)

  it("is sent again whole as it was, whatever its format", function()
    batches.with_client({}, function(client)
      local batch = assert(client:create_batch { dataset = "d", format = "parquet" })
      assert(batch:upload("p=1/a", { data = "PAR1....PAR1" }))
      assert(batch:upload("b", { data = "PAR1PAR1" }))
      assert(batch:fail())
      assert.equal("data", select(2, batch:resend { whole = true, rows = mended }).kind)
      local again, report = batch:resend { whole = true }
      assert(again, tostring(report))
      assert.equal(2, report.sent)
      local names = {}
      for file in assert(again:wait()):files() do names[#names + 1] = file.name .. " " .. file.bytes end
      assert.same({ "b 8", "p=1/a 12" }, names)
    end)
  end)

  it("has numbers of many digits left whole", function()
    batches.with_client({}, function(client)
      local text = '{"id":9223372036854775807}\n'
      local batch = batches.completed(client, text)
      batch:wait()
      batch = batches.create(client)
      assert(batch:upload("a", { data = text }))
      assert(batch:fail())
      local again, err = batch:resend { whole = true, rows = function(row) return row end }
      assert.same({ nil, "data" }, { again, err.kind })
      assert.matches("more digits than are kept in a table", err.message)
      again = assert(batch:resend { whole = true, rows = function(_, _, line) return line end })
      assert.equal(text, text_of(assert(again:wait())))
    end)
  end)
end)
