-- What can be done with a batch: completed, given up, failed, reverted, and waited for.
local batches = require "support.batches"
local raw = require "support.raw"
local service = require "support.service"

local DATASET <const> = service.DATASET

local with_client <const> = batches.with_client
local completed <const> = batches.completed
local rows <const> = batches.rows

describe("a batch", function()
  it("is ingested, and waited for", function()
    with_client({ stage_ms = 30 }, function(client)
      local batch = completed(client, rows(10, 0))
      local seen = {}
      local done = assert(batch:wait { timeout = 30, on_change = function(status) seen[#seen + 1] = status end })
      assert.equal("success", done.status)
      assert.equal("success", seen[#seen])
      assert.same({
        inputByteSize = #rows(10, 0), inputFileCount = 1, inputRecordCount = 10, outputRecordCount = 10,
        failedRecordCount = 0, partitionCount = 1,
      }, done.metrics)
      assert.same({}, assert(done:problems()))
      assert.equal("integer", math.type(done.completed))
    end)
  end)

  it("may be completed again", function()
    with_client({}, function(client)
      local batch = completed(client, rows(1, 0))
      assert(batch:complete())
      assert(batch:wait())
      assert(batch:complete())
    end)
  end)

  it("that failed is an error with the service's code", function()
    with_client({}, function(client)
      local batch = completed(client, rows(10, 3), { error_diagnostics = true })
      local done, err = batch:wait()
      assert.is_nil(done)
      assert.equal("batch", err.kind)
      assert.equal("INGEST-1212-400", err.code)
      assert.equal("failed", err.batch.status)
      assert.matches("the batch " .. batch.id .. " ended as failed: INGEST-1212-400: ", err.message, 1, true)
      assert.matches("(3 rows)", err.message, 1, true)
    end)
  end)

  it("with bad rows under the threshold is a success with problems", function()
    with_client({}, function(client)
      local batch = completed(client, rows(100, 5), { error_diagnostics = true, partial_ingestion = 5 })
      local done = assert(batch:wait())
      assert.equal("success", done.status)
      assert.equal(95, done.metrics.outputRecordCount)
      local problems = assert(done:problems())
      assert.equal(2, #problems)
      assert.equal("INGEST-1401-400", problems[2].code)
      assert.equal("INGEST-1212-400", problems[1].code)
      assert.equal(5, problems[1].recordCount)
      assert.matches("^INGEST%-1212%-400: .* %(5 rows%)$", problems[1].text)
      assert.equal("failed", select(2, completed(client, rows(100, 6), { partial_ingestion = 5 }):wait()).batch.status)
    end)
  end)

  it("fails with the service's code for an empty file, and for none", function()
    with_client({}, function(client)
      assert.equal("106", select(2, completed(client, ""):wait()).code)
      assert.equal("106", select(2, completed(client, nil):wait()).code)
    end)
  end)

  it("can be given up, failed and reverted, and says when it cannot", function()
    with_client({}, function(client)
      local batch = assert(client:create_batch { dataset = DATASET })
      assert(batch:abort())
      assert.equal("aborted", assert(batch:get()).status)
      local waited, err = batch:wait()
      assert.is_nil(waited)
      assert.matches("ended as aborted", err.message, 1, true)
      local failed = assert(client:create_batch { dataset = DATASET })
      assert(failed:fail())
      assert.equal("failed", assert(failed:get()).status)
      local good = completed(client, rows(1, 0))
      assert(good:wait())
      assert.matches("cannot be aborted", select(2, good:abort()).message, 1, true)
      assert(good:revert())
      assert.equal("inactive", assert(good:get()).status)
    end)
  end)

  -- Asked again, the service refuses what it has done already: only the state tells.
  it("knows that it was given up, failed or reverted when the answer to that was lost", function()
    for action, status in pairs { abort = "aborted", fail = "failed", revert = "inactive" } do
      for _, retry in ipairs { { base = 0.01 }, { tries = 1 } } do
        service.run({}, function(server)
          local client = service.client(server.url, { retry = retry })
          local batch = assert(client:create_batch { dataset = DATASET, format = "json" })
          if action == "revert" then
            assert(batch:upload("a", { data = rows(1, 0) }))
            assert(assert(batch:complete()):wait())
          end
          server:set_faults { { match = { path = "action=" }, times = 1, action = { drop = "after" } } }
          local done, err = batch[action](batch)
          assert(done, ("%s: %s"):format(action, err))
          assert.equal(status, assert(batch:get()).status)
        end)
      end
    end
  end)

  it("is waited for no longer than asked, and goes on", function()
    with_client({ stage_ms = 60000 }, function(client)
      local batch = completed(client, rows(1, 0))
      local done, err = batch:wait { timeout = 0.05 }
      assert.is_nil(done)
      assert.equal("timeout", err.kind)
      assert.matches("was still loaded after 0.05 seconds; it goes on", err.message, 1, true)
      assert.equal("loaded", assert(batch:get()).status)
      batch = assert(client:create_batch { dataset = DATASET, format = "json" })
      done, err = batch:wait { timeout = 1 }
      assert.is_nil(done)
      assert.matches("was still loading after 1 second; it goes on once it is completed, and can be waited for again$",
        err.message)
    end)
  end)

  it("that nobody knows is an error at once; a new one may be unknown for a while", function()
    with_client({ catalog_lag_ms = 300 }, function(client)
      assert.equal(404, select(2, client:batch("nobody"):wait()).status)
      assert.equal("success", assert(completed(client, rows(1, 0)):wait { timeout = 30 }).status)
    end)
  end)

  it("is waited for through faults that pass", function()
    local function status(name) return { send = raw.answer("200 OK", ('{"b1":{"status":"%s"}}'):format(name)) } end
    local server <close> = raw.start {
      { status "loaded", { send = raw.answer("503 No", "") }, { send = raw.answer("200 OK", "{}"), close = true } },
      { status "success" },
    }
    local done, err = service.client(server.url):batch("b1"):wait { timeout = 30 }
    -- the third answer knows no such batch, and that does not pass
    assert.is_nil(done)
    assert.equal("http", err.kind)
    assert.equal(404, err.status)
    local second <close> = raw.start {
      { status "loaded", { send = raw.answer("503 No", ""), close = true } }, { status "active" },
    }
    assert.equal("active", assert(service.client(second.url):batch("b1"):wait { timeout = 30 }).status)
  end)
end)
