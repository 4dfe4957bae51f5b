-- Going on after a crash, or a failure: an ingest with a journal comes to one whole batch.
local emulator = require "catalog.emulator"
local journal = require "catalog.ingest.journal"
local journals = require "support.journals"
local kills = require "support.kills"
local service = require "support.service"
local shell = require "support.shell"

local DATASET <const> = service.DATASET
local with_run <const>, requests <const>, batches <const> = journals.with_run, journals.requests, journals.batches
local count <const>, outage <const>, alive <const> = journals.count, journals.outage, journals.alive
local stop_in_the_middle <const>, assert_error <const> = journals.stop_in_the_middle, journals.assert_error
local without_checksums <const>, assert_whole <const> = journals.without_checksums, journals.assert_whole

describe("an ingest with a journal", function()
  it("goes on where the same call stopped before", function()
    for stop = 1, 20 do
      with_run(function(run)
        run.server:set_faults(outage(stop))
        local report, err = run.client:ingest(run.given)
        assert.is_nil(report)
        assert.equal(503, err.status)
        run.server:set_faults()
        local before = requests(run)
        report = assert(run.client:ingest(run.given))
        assert.is_true(report.resumed)
        assert.same({}, report.replaced)
        assert_whole(run, report)
        assert.equal(17440 - 3600, report.bytes)
        assert.equal(4, #report.files)
        assert.equal(1, count(batches(run.client)))
        -- what was acknowledged was not sent again
        for key, times in pairs(requests(run)) do
          if key:find "^P[UA]T" and before[key] then assert.equal(times, 1, key) end
        end
      end)
    end
  end)

  it("that is done sends nothing when it is called again, and reports", function()
    with_run(function(run)
      local first = assert(run.client:ingest(run.given))
      assert.is_false(first.resumed)
      local before = requests(run)
      local second = assert(run.client:ingest(run.given))
      assert.equal(first.id, second.id)
      assert.is_true(second.resumed)
      assert.same(first.metrics, second.metrics)
      for key, times in pairs(requests(run)) do
        if not key:find "^GET" then assert.equal(before[key], times, key) end
      end
    end)
  end)

  it("knows a creation whose answer was never seen", function()
    for _, lag in ipairs { 0, 50 } do
      with_run(function(run)
        run.server:set_faults {
          { match = { method = "POST" }, action = { drop = "after" } }, { action = { status = 503, body = "{}" } },
        }
        local lost, err = run.client:ingest(run.given)
        assert.is_nil(lost)
        assert.is_true(err.ambiguous)
        run.server:set_faults()
        local client = service.client(run.server.url, { retry = { base = 0.01, cap = 0.02 } })
        assert_whole(run, assert(client:ingest(run.given)))
        assert.equal(1, count(batches(client)))
      end, { catalog_lag_ms = lag })
    end
  end)

  it("knows a file whose end was asked for, though the service refuses to end it again", function()
    with_run(function(run)
      local ending = { path = "f2.json%?action=COMPLETE" }
      run.server:set_faults { { match = ending, action = { drop = "after" } } }
      assert.is_nil(run.client:ingest(run.given))
      run.server:set_faults { { match = ending, action = { status = 400, body = '{"title":"it was completed"}' } } }
      assert_whole(run, assert(run.client:ingest(run.given)))
      assert.equal(1, count(batches(run.client)))
    end)
  end)

  it("does not begin batches without end where each is given up at once", function()
    with_run(function(run)
      local made = 0
      local client = service.client(run.server.url, { on_request = function(exchange)
        if exchange.url:find "/import/batches$" then made = made + 1 end
      end })
      run.server:set_faults {
        { match = { path = "/import/batches$" }, times = 20, action = { status = 201, body = '{"id":"b","status":"aborted"}' } },
      }
      assert_error("batch", "10 batches in a row were given up before they had a file, the last is b (aborted)",
        client:ingest(run.given))
      assert.equal(10, made)
    end)
  end)

  it("leaves no second batch when the answer to the creation was lost and the catalog lags far behind", function()
    with_run(function(run)
      run.server:set_faults {
        { match = { method = "POST" }, action = { drop = "after" } }, { action = { status = 503, body = "{}" } },
      }
      assert.is_nil(run.client:ingest(run.given))
      run.server:set_faults { { match = { method = "PUT" }, action = { delay_ms = 250 } } }
      local client = service.client(run.server.url, { retry = { base = 0.01, cap = 0.02 } })
      assert_whole(run, assert(client:ingest(run.given)))
      os.execute "sleep 0.1"
      assert.equal(1, #alive(client))
      assert.equal(2, count(batches(client))) -- the one that showed up late was aborted
    end, { catalog_lag_ms = 650, unique_ids = false })
  end)

  it("keeps the size of parts it was begun with", function()
    with_run(function(run)
      run.server:set_faults(outage(5))
      assert.is_nil(run.client:ingest(run.given))
      run.server:set_faults()
      run.given.part_size, run.given.part_threshold = 700, 100000
      assert_whole(run, assert(run.client:ingest(run.given)))
      for key in pairs(requests(run)) do
        local first = key:match "^PATCH f2.json bytes (%d+)"
        if first then assert.equal(0, first % 1000) end
      end
    end)
  end)

  it("knows a file that goes in parts because it was too much for one request", function()
    with_run(function(run)
      run.given.part_threshold, run.given.parallel = nil, 1
      run.server:set_faults { { match = { method = "PATCH", nth = 4 }, action = { status = 503 } } }
      assert_error("http", "the server answered 503", run.client:ingest(run.given))
      run.server:set_faults()
      local puts = {}
      local client = service.client(run.server.url, { on_request = function(exchange)
        if exchange.method == "PUT" then puts[#puts + 1] = exchange.url:match "[^/]*$" end
      end })
      assert_whole(run, assert(client:ingest(run.given)))
      local seen = requests(run)
      for first = 0, 7000, 1000 do assert.equal(1, seen[("PATCH f2.json bytes %d-%d"):format(first, first + 999)]) end
      assert.equal(1, seen["POST f2.json?action=INITIALIZE"])
      table.sort(puts)
      assert.same({ "f3.json", "f4.json" }, puts) -- that one has not been tried yet
    end, { max_file = 5000 })
  end)

  it("starts a new batch when the service has abandoned or aborted the old one, and says so", function()
    for _, status in ipairs { "abandoned", "aborted" } do
      with_run(function(run)
        run.server:set_faults(outage(8))
        assert.is_nil(run.client:ingest(run.given))
        run.server:set_faults()
        local old = next(batches(run.client))
        if status == "aborted" then assert(run.client:batch(old):abort()) else os.execute "sleep 0.3" end
        local report = assert(run.client:ingest(run.given))
        assert.same({ { id = old, status = status } }, report.replaced)
        assert.not_equal(old, report.id)
        assert_whole(run, report)
        assert.equal(2, count(batches(run.client)))
      end, { abandon_ms = status == "abandoned" and 300 or nil })
    end
  end)

  it("aborts after a refusal only, and starts anew then", function()
    with_run(function(run)
      run.server:set_faults { { match = { path = "f3" }, action = { status = 400, body = '{"title":"No"}' } } }
      assert_error("http", "answered 400", run.client:ingest(run.given))
      local old, fields = next(batches(run.client))
      assert.equal("aborted", fields.status)
      run.server:set_faults()
      local report = assert(run.client:ingest(run.given))
      assert_whole(run, report)
      assert.not_equal(old, report.id)
    end)
    with_run(function(run)
      run.given.on_progress = function() error "stop" end
      assert.error_matches(function() run.client:ingest(run.given) end, "stop")
      local _, fields = next(batches(run.client))
      assert.equal("loading", fields.status)
    end)
  end)

  it("never takes a batch for whole that somebody else has completed", function()
    with_run(function(run)
      run.given.parallel = 1
      run.server:set_faults { { match = { path = "f4" }, action = { status = 503, body = "{}" } } }
      assert.is_nil(run.client:ingest(run.given))
      run.server:set_faults()
      local id = next(batches(run.client))
      assert(run.client:batch(id):complete())
      assert_error("batch", "was completed without f4.json", run.client:ingest(run.given))
    end)
  end)

  it("never takes an ingest that failed for done, also when the catalog has forgotten it", function()
    with_run(function(run)
      shell.write(run.given.files[1], "no json\n")
      assert_error("batch", "ended as failed", run.client:ingest(run.given))
      local empty <close> = assert(emulator.start { port = 0 })
      local text = without_checksums(shell.read(run.given.journal)):gsub(run.server.url, empty.url)
      shell.write(run.given.journal, text)
      assert_error("batch", "ended as failed in an earlier run", service.client(empty.url):ingest(run.given))
    end)
  end)

  it("tells of the batches that were replaced in all runs, not in the last only", function()
    with_run(function(run)
      run.server:set_faults(outage(8))
      assert.is_nil(run.client:ingest(run.given))
      run.server:set_faults()
      local old = next(batches(run.client))
      assert(run.client:batch(old):abort())
      run.server:set_faults { { match = { path = "f4" }, action = { status = 503, body = "{}" } } }
      assert.is_nil(run.client:ingest(run.given))
      run.server:set_faults()
      local report = assert(run.client:ingest(run.given))
      assert_whole(run, report)
      assert.same({ { id = old, status = "aborted" } }, report.replaced)
    end)
  end)

  it("starts anew where the creation whose answer was lost has been given up since", function()
    with_run(function(run)
      run.server:set_faults { { match = { path = "/batches" }, action = { drop = "after" } } }
      assert.is_nil(run.client:ingest(run.given))
      run.server:set_faults()
      local old = next(batches(run.client))
      assert(run.client:batch(old):abort())
      local report = assert(run.client:ingest(run.given))
      assert_whole(run, report)
      assert.same({ { id = old, status = "aborted" } }, report.replaced)
    end)
  end)

  it("forgets a creation that was refused: a batch of that name is another's", function()
    with_run(function(run)
      local other = assert(run.client:create_batch { dataset = DATASET, format = "json", external_id = "mine" })
      run.given.external_id = "mine"
      for _ = 1, 2 do
        local report, err = run.client:ingest(run.given)
        assert.is_nil(report)
        assert.equal("conflict", err.kind)
        assert.matches("is that of the batch " .. other.id, err.message, 1, true)
      end
      assert.is_nil(shell.read(run.given.journal):find("create", 1, true)) -- a crash here finds nothing to go on with
      assert.equal("loading", assert(other:get()).status)
    end)
  end)

  it("knows the external id that is among the extra fields", function()
    with_run(function(run)
      run.given.extra = { externalId = "mine" }
      run.server:set_faults { { match = { path = "/import/batches$" }, times = 1, action = { drop = "after" } } }
      local report = assert(run.client:ingest(run.given))
      assert_whole(run, report)
      assert.equal("mine", batches(run.client)[report.id].externalId)
      assert.equal(1, count(batches(run.client)))
    end)
  end)

  it("goes on with an external id of the caller's, over several batches", function()
    with_run(function(run)
      run.given.split, run.given.advised_files, run.given.external_id = true, 2, "mine"
      run.server:set_faults { { match = { path = "f4" }, action = { status = 503, body = "{}" } } }
      assert.is_nil(run.client:ingest(run.given))
      run.server:set_faults()
      run.given.advised_files = 4
      local report = assert(run.client:ingest(run.given))
      assert.equal(2, #report.batches)
      assert.equal("success", report.batches[2].status)
    end)
  end)

  it("aborts nothing for what is not the service's own refusal", function()
    for _, fault in ipairs {
      { match = { method = "PUT", path = "f3" }, action = { status = 302, headers = { location = "/" }, body = "" } },
      { match = { path = "/ims" }, action = { status = 404, body = "<p>No</p>" } },
    } do
      with_run(function(run)
        local settings = service.settings(run.server.url, { client_secret = "any-secret" })
        settings.token = nil
        local client = assert(require("catalog").client(settings))
        assert(client:create_batch { dataset = DATASET }) -- with a token of its own
        run.server:set_faults {
          { match = { method = "PUT", path = "f3" }, times = 1, action = { expire_tokens = true } }, fault,
        }
        assert.is_nil(client:ingest(run.given))
        run.server:set_faults()
        for _, fields in pairs(batches(client)) do assert.equal("loading", fields.status) end
        assert_whole(run, assert(client:ingest(run.given)))
      end, { tokens = {} })
    end
  end)

  it("whose journal was cut at any line finds its batch again, and there is no other", function()
    local text, lines = nil, 0
    with_run(function(run) text = stop_in_the_middle(run, 8) end)
    for _ in text:gmatch "\n" do lines = lines + 1 end
    assert.is_true(lines > 10)
    for kept = 1, lines do
      with_run(function(run)
        text = stop_in_the_middle(run, 8)
        local _, stop = 0, 0
        for _ = 1, kept do stop = text:find("\n", stop + 1, true) end
        shell.write(run.given.journal, text:sub(1, stop))
        assert_whole(run, assert(run.client:ingest(run.given)))
        assert.equal(1, count(batches(run.client)), kept)
      end)
    end
  end)

  it("whose journal was cut at any line behind a batch that was aborted finds the next one again", function()
    local first, lines
    local function abort_and_stop(run)
      first = stop_in_the_middle(run, 8)
      assert(run.client:batch((next(batches(run.client)))):abort())
      return stop_in_the_middle(run, 8)
    end
    with_run(function(run) lines = select(2, abort_and_stop(run):sub(#first + 1):gsub("\n", "")) end)
    assert.is_true(lines > 3)
    for kept = 0, lines do
      with_run(function(run)
        local text = abort_and_stop(run)
        local stop = #first
        for _ = 1, kept do stop = text:find("\n", stop + 1, true) end
        shell.write(run.given.journal, text:sub(1, stop))
        assert_whole(run, assert(run.client:ingest(run.given)))
        assert.equal(1, #alive(run.client), kept)
      end)
    end
  end)

  -- make torture kills it 200 times.
  it("comes to one whole batch, wherever the program is killed", function()
    assert.is_true(kills.run(8) >= 8)
  end)

  it("does not complete a batch without a file that was planned", function()
    with_run(function(run)
      local open = journal.open
      -- stands for a line that was lost although the disk said that it was there
      journal.open = function(...)
        local opened, err = open(...)
        local files = opened.state.files
        files["f3.json"] = setmetatable({ group = 1, bytes = 160, fingerprint = files["f3.json"].fingerprint }, {
          __newindex = function() end,
        })
        return opened, err
      end
      local report, err = run.client:ingest(run.given)
      journal.open = open
      assert_error("data", "the journal does not say that f3.json was uploaded", report, err)
      local _, fields = next(batches(run.client))
      assert.equal("loading", fields.status)
    end)
  end)
end)
