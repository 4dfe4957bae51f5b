-- What an ingest came to.
local batches = require "support.batches"
local core = require "catalog.core"
local new_report = require "catalog.ingest.report"
local service = require "support.service"

local DATASET <const> = service.DATASET

local with_files <const> = batches.with_files

describe("the report of an ingest", function()
  it("is without counts where the service has none", function()
    with_files({ 1 }, function(client, paths, _, server)
      server:set_faults { { action = { leave_out = "metrics" } } }
      local report = assert(client:ingest { dataset = DATASET, format = "csv", files = paths })
      assert.equal("success", report.status)
      assert.is_nil(report.metrics)
      assert.is_nil(report.batches[1].metrics)
    end)
  end)

  it("has each batch as it ended, each file with its batch, and the first batch's fields as its own", function()
    local groups = {
      { done = { id = "b1", status = "success", metrics = { n = 1 } }, batch = { id = "b1", status = "loading" },
        files = { { name = "a", bytes = 10, seconds = 0.5 }, { name = "b", bytes = 20 } } },
      { batch = { id = "b2", status = "loading" }, files = { { name = "c", bytes = 5, seconds = 0.1 } } },
      { files = { { name = "d", bytes = 7 } } },
    }
    local report = new_report { began = core.system.monotonic() - 1, groups = groups }
    assert.is_true(report.seconds >= 1)
    report.seconds = nil
    assert.same({
      id = "b1", status = "success", metrics = { n = 1 }, bytes = 15, -- of the files that were sent
      batches = {
        { id = "b1", status = "success", metrics = { n = 1 }, files = 2 }, { id = "b2", status = "loading", files = 1 },
      },
      files = {
        { name = "a", bytes = 10, seconds = 0.5, batch = "b1" }, { name = "b", bytes = 20, batch = "b1" },
        { name = "c", bytes = 5, seconds = 0.1, batch = "b2" }, { name = "d", bytes = 7 },
      },
    }, report)
  end)

  it("says what a journal knows of earlier runs", function()
    local known = { resumed = true, dropped = function(_, count) return { count } end }
    local report = new_report { began = 0, journal = known, groups = { { files = {} }, { files = {} } } }
    assert.is_true(report.resumed)
    assert.same({ 2 }, report.replaced)
  end)
end)
