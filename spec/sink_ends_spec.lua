-- How batches of a sink end that do not end in success.
local core = require "catalog.core"
local disk = require "support.disk"
local service = require "support.service"
local shell = require "support.shell"

local DATASET <const> = service.DATASET

-- Opens a sink whose batches wait to be completed until `held` has done something to them, and writes two records.
local function with_sink(body, abandon_ms)
  shell.with_directory(function(directory)
    local data <const> = directory .. "/data"
    service.run({ data_dir = data, abandon_ms = abandon_ms }, function(server, client)
      local reports = {}
      local function open(base_url, changes)
        local options = {
          dataset = DATASET, spool = directory .. "/spool", sync_seconds = 0.01, limit = { free = 0 },
          on_batch = function(report) reports[#reports + 1] = report end,
        }
        for name, value in pairs(changes or {}) do options[name] = value end
        return assert(service.client(base_url or server.url):sink(options))
      end
      body {
        open = open, reports = reports, server = server, client = client, directory = directory,
        spool = directory .. "/spool",
      }
    end)
  end)
end

-- A spool with one batch that is due, of a run that could send nothing.
local function prepare(run, changes)
  local sink <close> = run.open("http://127.0.0.1:1", changes)
  assert(sink:write { n = 1 })
  assert(sink:write { n = 2 })
  assert(sink:seal())
  assert(sink:sync())
  assert(sink:close())
end

-- Waits until so many batches have ended.
local function wait_for(run, sink, count)
  for _ = 1, 600 do
    if #run.reports >= count then return end
    assert(sink:poll(0.05))
  end
  error("no batch has ended")
end

-- The batches of the service: id and status.
local function all(run)
  return assert(run.client:send {
    method = "GET", path = "/data/foundation/catalog/batches?limit=100", read = core.json.decode, repeatable = true,
  })
end

-- Lets a file of a batch be refused until something was done to it by somebody else.
local function interfere(run, action, file, changes)
  run.server:set_faults { { match = { method = "PUT", path = file }, action = { status = 503 } } }
  local sink = run.open(nil, changes)
  local id
  repeat
    assert(sink:poll(0.02))
    id = next(all(run))
  until id and (file == "1.jsonl$" or sink:metrics().retries > 0)
  local other = run.client:batch(id, { dataset = DATASET })
  assert(other[action](other))
  run.server:set_faults()
  return sink, id
end

describe("a batch of a sink", function()
  it("that somebody else has aborted is made again, of the same records", function()
    with_sink(function(run)
      prepare(run)
      local sink <close>, id = interfere(run, "abort", "1.jsonl$")
      assert(sink:flush { timeout = 30 })
      assert.equal("success", run.reports[1].status)
      assert.is_true(run.reports[1].id ~= id)
      assert.equal(2, run.reports[1].records)
    end)
  end)

  it("that the service has abandoned is made again, of the same records", function()
    with_sink(function(run)
      prepare(run)
      run.server:set_faults { { match = { method = "PUT" }, action = { status = 503 } } }
      local sink <close> = run.open()
      local id, fields
      repeat
        assert(sink:poll(0.05))
        id, fields = next(all(run))
      until id and fields.status == "abandoned"
      run.server:set_faults()
      assert(sink:flush { timeout = 60 })
      assert.same({ "success", 2 }, { run.reports[1].status, run.reports[1].records })
      assert.is_true(run.reports[1].id ~= id)
    end, 1000)
  end)

  it("is waited for while the catalog knows nothing of it, or says that it has stalled, and is not sent again", function()
    with_sink(function(run)
      prepare(run)
      local looks = { method = "GET", path = "catalog/batches" }
      run.server:set_faults { { match = looks, action = { status = 200, body = "{}" } } }
      local sink <close> = run.open()
      repeat assert(sink:poll(0.05)) until sink:metrics().batches.completing == 1
      assert.equal("timeout", select(2, sink:flush { timeout = 0.5 }).kind)
      local id = sink.store.plans[1].id
      run.server:set_faults {
        { match = looks, action = { status = 200, body = ('{"%s":{"status":"stalled"}}'):format(id) } },
      }
      assert.equal("timeout", select(2, sink:flush { timeout = 0.5 }).kind)
      run.server:set_faults()
      assert(sink:flush { timeout = 60 })
      assert.same({ "success", id, 2 }, { run.reports[1].status, run.reports[1].id, run.reports[1].records })
      assert.equal(id, next(all(run)))
      assert.is_nil(next(all(run), id))
    end)
  end)

  it("that somebody else has completed is nobody's guess: its files wait for a human, and nothing is sent again", function()
    with_sink(function(run)
      prepare(run, { file_bytes = 10, record_bytes = 10 })
      local sink <close>, id = interfere(run, "complete", "2.jsonl$")
      wait_for(run, sink, 1)
      assert.equal("unknown", run.reports[1].state)
      assert.equal(id, run.reports[1].id)
      local why = core.json.decode(shell.read(run.spool .. "/unknown/1/why.json"))
      assert.equal(id, why.batch)
      assert.matches("look for its id in the platform", why.what_to_do)
      assert.equal('{"n":2}\n', shell.read(run.spool .. "/unknown/1/0000000002.jsonl"))
      assert(sink:flush { timeout = 5 }) -- it is settled
      assert.equal(id, next(all(run)))
      assert.is_nil(next(all(run), id))
    end)
  end)

  it("that failed lies in failed/N with the reason, and the next is made; or none is, where that was asked for", function()
    for _, after in ipairs { "continue", "stop" } do
      with_sink(function(run)
        prepare(run)
        local told
        local sink <close>, id = interfere(run, "fail", "1.jsonl$", {
          after_failure = after, on_error = function(err) told = err end,
        })
        wait_for(run, sink, 1)
        assert.equal("failed", run.reports[1].state)
        assert.equal(id, core.json.decode(shell.read(run.spool .. "/failed/1/why.json")).batch)
        assert.equal('{"n":1}\n{"n":2}\n', shell.read(run.spool .. "/failed/1/0000000001.jsonl"))
        assert(sink:write { n = 3 })
        if after == "continue" then
          assert(sink:flush { timeout = 30 })
          assert.equal("success", run.reports[2].status)
        else
          local done, err = sink:flush { timeout = 0.3 }
          assert.is_nil(done)
          assert.equal("timeout", err.kind)
          assert.matches("after_failure", sink:metrics().blocked)
          while not told or told.message ~= sink:metrics().blocked do assert(sink:poll(0.05)) end
        end
      end)
    end
  end)

  it("whose file is damaged on the disk is not ingested: that file waits for a human, the others go", function()
    with_sink(function(run)
      prepare(run, { file_bytes = 10, record_bytes = 10 })
      local path <const> = run.spool .. "/seg/0000000001.jsonl"
      shell.write(path, (shell.read(path):gsub("1", "7")))
      local sink <close> = run.open()
      assert(sink:flush { timeout = 30 })
      local ended = {}
      for _, report in ipairs(run.reports) do ended[report.state] = report.records end
      assert.same({ damaged = 2, success = 1 }, ended)
      local why = core.json.decode(shell.read(run.spool .. "/failed/1/why.json"))
      assert.same({ 1, 8, 1 }, { why.records, why.bytes, why.files })
      assert.equal('{"n":7}\n', shell.read(run.spool .. "/failed/1/0000000001.jsonl"))
      assert.matches("its checksum is", shell.read(run.spool .. "/failed/1/why.json"))
      local states = {}
      for _, fields in pairs(all(run)) do states[fields.status] = (states[fields.status] or 0) + 1 end
      assert.same({ aborted = 1, success = 1 }, states)
    end)
  end)

  it("waits for a service that is down, and tells what it waits for", function()
    with_sink(function(run)
      local told = 0
      local sink <close> = run.open("http://127.0.0.1:1", { on_error = function() told = told + 1 end })
      assert(sink:write { n = 1 })
      local done, err = sink:flush { timeout = 0.5 }
      assert.is_nil(done)
      assert.equal("timeout", err.kind)
      assert.matches("cannot connect", err.message)
      assert.is_true(told > 0)
      local metrics = sink:metrics()
      assert.equal("network", metrics.last_error.kind)
      assert.equal(1, metrics.batches.planned)
      assert.is_true(metrics.oldest_seconds > 0)
      assert.is_true(metrics.retries > 0)
    end)
  end)

  for what, fault in pairs {
    ["whose token is refused for a long time"] = { status = 401, body = '{"error_code":"401013"}' },
    ["when there are too many requests, whatever is asked for"] = { status = 429, headers = { ["retry-after"] = "0" } },
    ["whose dataset does not exist"] = { status = 400, body = '{"title":"Dataset 5c8 was not found"}' },
  } do
    it("waits " .. what .. ", says so, and goes on as soon as that is over", function()
      with_sink(function(run)
        run.server:set_faults { { match = {}, action = fault } }
        local sink <close> = run.open()
        assert(sink:write { n = 1 })
        assert(sink:seal())
        while sink:metrics().retries < 3 do assert(sink:poll(0.02)) end
        local metrics = sink:metrics()
        assert.equal(fault.status, metrics.last_error.status)
        assert.equal(1, metrics.batches.planned)
        assert.equal(0, #run.reports)
        run.server:set_faults()
        assert(sink:flush { timeout = 60 })
        assert.equal("success", run.reports[1].status)
        assert.equal(1, run.reports[1].records)
      end)
    end)
  end

  it("is not made any more when the spool was removed, which is told once, also while nothing is written", function()
    with_sink(function(run)
      local told = {}
      local sink <close> = run.open(nil, { on_error = function(err) told[#told + 1] = err end })
      assert(core.fs.remove(run.spool))
      while not told[1] do assert(sink:poll(0.05)) end
      assert.same({ "config", ("the spool %s: its directory was removed"):format(run.spool) },
        { told[1].kind, told[1].message })
      assert.equal(told[1].message, sink:metrics().blocked)
      assert(sink:poll(2.5)) -- it is looked at each two seconds
      assert.equal(1, #told)
    end)
  end)

  it("is not waited for to say that there is room again", function()
    local ROOM <const> = 128 * 1024 * 1024 -- others use the disk, too
    disk.with_directory(function(directory)
      local client = service.client "http://127.0.0.1:1"
      local given = { dataset = DATASET, spool = directory .. "/spool", limit = { free = 0 } }
      local sink = assert(client:sink(given))
      given.limit.free = sink:metrics().free_bytes - ROOM // 2
      assert(sink:close())
      local again <close> = assert(client:sink(given))
      local path = given.spool .. "/trouble.json"
      shell.run(("fallocate -l %d %s/large"):format(ROOM, directory))
      while not core.fs.kind(path) do assert(again:poll(0.05)) end
      assert.matches("limit%.free", shell.read(path))
      os.remove(directory .. "/large")
      while core.fs.kind(path) do assert(again:poll(0.05)) end
      assert.is_nil(again:metrics().blocked)
    end)
  end)

  it("is kept for the next start where the sink itself has a defect, which is told", function()
    with_sink(function(run)
      local told
      local sink = run.open(nil, { on_error = function(err) told = err end })
      sink.platform.create = function() error "out of order" end
      assert(sink:write { n = 1 })
      local done, err = sink:flush { timeout = 30 }
      assert.is_nil(done)
      assert.matches("a defect of its own.*out of order.*stack traceback", err.message)
      assert.matches("out of order", sink:metrics().blocked)
      assert(sink:write { n = 2 })
      assert(sink:poll())
      assert.equal(err, told)
      assert(sink:close())
      local again <close> = run.open()
      assert(again:flush { timeout = 30 })
      local records = 0
      for _, report in ipairs(run.reports) do records = records + report.records end
      assert.equal(2, records)
    end)
  end)

  it("has the rows that were refused in rejected/N.jsonl", function()
    with_sink(function(run)
      local deep <const> = ('{"a":'):rep(300) .. "1" .. ("}"):rep(300) -- JSON, and more than the emulator reads
      local sink <close> = run.open(nil, { partial_ingestion = 50 })
      for i = 1, 9 do assert(sink:write { n = i }) end
      assert.is_true(sink:write_line(deep))
      assert(sink:flush { timeout = 30 })
      assert.equal("success", run.reports[1].status)
      assert.equal(1, run.reports[1].rejected)
      assert.equal(1, sink:metrics().refused)
      local row = core.json.decode(shell.read(run.spool .. "/rejected/1.jsonl"), true)
      assert.equal("INGEST-1401-400", row._errors[1].code)
    end)
  end)
end)
