-- How far an ingest is, as its caller is told.
local batches = require "support.batches"
local core = require "catalog.core"
local new_progress = require "catalog.ingest.progress"
local service = require "support.service"

local DATASET <const> = service.DATASET

local with_files <const> = batches.with_files

describe("the progress of an ingest", function()
  it("is how many bytes and files of how many are in, and how fast", function()
    with_files({ 100, 100, 100 }, function(client, paths)
      local told = {}
      assert(client:ingest {
        dataset = DATASET, format = "json", files = paths, parallel = 1,
        on_progress = function(state) told[#told + 1] = state end,
      })
      local last = told[#told]
      assert.equal(2400, last.bytes)
      assert.equal(2400, last.total)
      assert.equal(3, last.files_done)
      assert.equal(3, last.files_total)
      assert.is_number(last.rate)
      assert.equal("f3.json", last.file)
    end)
  end)

  it("is told when something has moved, ten times a second at the most, and at the end", function()
    local told, run = {}, { bytes = 0, total = 100, files_done = 0, files_total = 2, file = "a" }
    run.given = { on_progress = function(state) told[#told + 1] = state end }
    local report = new_progress(run)
    report()
    assert.equal(0, told[1].bytes)
    run.bytes = 10
    report() -- too soon
    assert.equal(1, #told)
    report(true)
    assert.equal(10, told[2].bytes)
    report(true) -- nothing has moved
    assert.equal(2, #told)
    run.jobs = { sent = function() return 500 end }
    report(true)
    assert.equal(100, told[3].bytes) -- what is sent again is no more than there is
    assert.is_true(told[3].rate > 0)
    local ends = core.system.monotonic() + 0.1
    run.files_done = 1
    while core.system.monotonic() < ends do report() end
    report()
    assert.equal(4, #told)
    assert.equal(1, told[4].files_done)
  end)

  it("is nobody's business where nobody asks", function()
    new_progress { given = {}, bytes = 1, total = 1 }(true)
  end)
end)
