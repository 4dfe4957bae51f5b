-- Records through a sink: how they get in, and that each ends in one place.
local core = require "catalog.core"
local cqueues = require "cqueues"
local hosts = require "support.hosts"
local service = require "support.service"
local serving = require "support.serving"
local shell = require "support.shell"
local sink_kills = require "support.sink_kills"
local tasks = require "catalog.scheduler.tasks"

local DATASET <const> = service.DATASET

local Sinks = {}
Sinks.__index = Sinks

-- Opens the sink of a run; options over what makes a spec fast.
function Sinks:open(given, changes)
  local options = { dataset = DATASET, spool = self.spool, sync_seconds = 0.01, limit = { free = 0 } }
  for name, value in pairs(given or {}) do options[name] = value end
  return assert(service.client(self.server.url, changes):sink(options))
end

-- All lines that are in batches which have ended in success, sorted.
function Sinks:ingested()
  local list = {}
  local answer = assert(service.client(self.server.url):send {
    method = "GET", path = "/data/foundation/catalog/batches?limit=100", read = core.json.decode, repeatable = true,
  })
  for id, fields in pairs(answer) do
    local files = ("%s/data/files/%s"):format(self.directory, id)
    if fields.status == "success" then
      for line in shell.run(("find %s -type f -exec cat {} + 2>/dev/null"):format(files)):gmatch "[^\n]+" do
        list[#list + 1] = line
      end
    end
  end
  table.sort(list)
  return list
end

local function with_sinks(options, body)
  shell.with_directory(function(directory)
    options.data_dir = directory .. "/data"
    service.run(options, function(server)
      body(setmetatable({ server = server, directory = directory, spool = directory .. "/spool" }, Sinks))
    end)
  end)
end

local function line_of(i) return ('{"n":%05d}'):format(i):gsub(":0+(%d)", ":%1") end

-- The lines of numbers, sorted as `ingested` has them.
local function lines_of(first, last)
  local list = {}
  for i = first, last do list[#list + 1] = line_of(i) end
  table.sort(list)
  return list
end

local function list_files(path) return shell.run(("find %s -type f | wc -l"):format(path)):match "%d+" + 0 end

describe("a sink", function()
  it("makes one batch of what was written, and leaves nothing in its spool", function()
    with_sinks({}, function(run)
      local reports = {}
      local sink <close> = run:open { on_batch = function(report) reports[#reports + 1] = report end }
      for i = 1, 300 do assert.is_true(sink:write { n = i }) end
      assert(sink:flush())
      assert.same(lines_of(1, 300), run:ingested())
      assert.equal(1, #reports)
      assert.equal("success", reports[1].status)
      assert.equal(300, reports[1].records)
      assert.equal(0, list_files(run.spool .. "/seg"))
      assert.is_nil(sink:metrics().oldest_seconds)
      assert(sink:flush()) -- nothing was written since
      assert.equal(1, #reports)
    end)
  end)

  it("asks for diagnostics, lets some rows be bad, and says up to where each source is settled", function()
    with_sinks({}, function(run)
      local report
      local sink <close> = run:open { on_batch = function(one) report = one end, tags = { origin = { "crm" } } }
      assert(sink:write({ n = 1 }, "a", 7))
      assert(sink:write({ n = 0 / 0 }, "a", 8))
      assert(sink:write({ n = 2 }, "b", 9))
      assert(sink:close { flush = true })
      assert.same({ "success", 2, { a = 8, b = 9 } }, { report.status, report.records, report.positions })
      local tags = assert(service.client(run.server.url):batch(report.id):get()).tags
      assert.same({ { "crm" }, true, 5 },
        { tags.origin, tags.acp_enableErrorDiagnostics, tags.acp_partialIngestionPercent })
    end)
  end)

  it("is closed all the same when it cannot be flushed", function()
    with_sinks({}, function(run)
      local sink = run:open({}, { base_url = "http://127.0.0.1:1" })
      assert(sink:write { n = 1 })
      local done, err = sink:close { flush = true, timeout = 0.1 }
      assert.same({ nil, "timeout" }, { done, err.kind })
      assert.equal("cancelled", select(2, sink:write { n = 2 }).kind)
      local again <close> = run:open()
      assert(again:flush())
      assert.same(lines_of(1, 1), run:ingested())
    end)
  end)

  it("has a call of more than 64 MiB as a whole or not at all, also over batches", function()
    with_sinks({}, function(run)
      local seen = {}
      for i, seconds in ipairs { "0.05", "0.2", "0.4", "0.7", "" } do
        local spool = ("%s/spool-%d"):format(run.directory, i)
        local output = shell.run(("timeout 50 env %s spec/scripts/spool_large.lua %s %s"):format(shell.LUA, spool, seconds))
        local opened, text = core.spool.open { path = spool }
        assert(opened, tostring(text))
        local state, records = assert(core.json.decode(text)), 0
        for name, segment in pairs(state) do records = records + (name:find "^segment/" and segment.records or 0) end
        assert(opened:close())
        assert.equal(state["source/s"] and 66000 or 0, records)
        if output:find "synced" then assert.equal(1, state["source/s"]) end
        if records == 0 then assert.equal(0, list_files(spool .. "/seg")) end
        seen[records] = true
        core.fs.remove(spool)
      end
      assert.is_true(seen[66000])
    end)
  end)

  it("seals by records, bytes and files, exactly", function()
    for _, case in ipairs {
      { { roll = { records = 100 } }, 100 }, { { roll = { bytes = 800 }, record_bytes = 100 }, 99 },
      { { roll = { files = 2 }, file_bytes = 100, record_bytes = 100 }, 24 },
    } do
      with_sinks({}, function(run)
        local counts = {}
        case[1].on_batch = function(report) counts[report.number] = report.records end
        local sink <close> = run:open(case[1])
        local list = {}
        for i = 1, 240 do list[i] = line_of(i) end
        assert.equal(240, (sink:write_lines(table.concat(list, "\n"))))
        assert(sink:flush())
        assert.same(lines_of(1, 240), run:ingested())
        local total = 0
        for number, count in pairs(counts) do
          total = total + count
          assert.is_true(count <= case[2] or number == #counts, ("batch %d has %d records"):format(number, count))
        end
        assert.equal(240, total)
        assert.is_true(#counts > 1)
      end)
    end
  end)

  it("seals a batch at its last record, of one call or of many, and not at the next", function()
    local list = lines_of(1, 3)
    for _, write in ipairs {
      function(sink) for i = 1, 3 do assert(sink:write { n = i }) end end,
      function(sink) for i = 1, 3 do assert(sink:write_line(list[i])) end end,
      function(sink) assert(sink:write_lines(table.concat(list, "\n"))) end,
    } do
      with_sinks({}, function(run)
        local sink <close> = run:open { roll = { records = 3 } }
        write(sink)
        local until_then = core.system.monotonic() + 60
        while sink:metrics().batches.success == 0 and core.system.monotonic() < until_then do sink:poll(0.05) end
        assert.same(lines_of(1, 3), run:ingested())
      end)
    end
  end)

  it("seals when the time of a batch is over", function()
    with_sinks({}, function(run)
      local sink <close> = run:open { roll = { seconds = 1 } }
      assert(sink:write { n = 1 })
      while sink:metrics().batches.success == 0 do assert(sink:poll(0.05)) end
      assert.same(lines_of(1, 1), run:ingested())
    end)
  end)

  it("seals when the time of a batch is over, also when the calendar's clock is set back meanwhile", function()
    with_sinks({}, function(run)
      local sink <close> = run:open { roll = { seconds = 1 } }
      assert(sink:write { n = 1 })
      while not sink.seal_at do assert(sink:poll(0.01)) end
      local now = core.system.now
      core.system.now = function() return now() - 24 * 3600 * 1000 end
      local back <close> = setmetatable({}, { __close = function() core.system.now = now end })
      local until_then = core.system.monotonic() + 20
      while sink:metrics().batches.success == 0 and core.system.monotonic() < until_then do assert(sink:poll(0.05)) end
      assert.is_table(back)
      assert.equal(1, sink:metrics().batches.success)
    end)
  end)

  it("rejects what is no record, keeps it with the reason, and takes the others", function()
    with_sinks({}, function(run)
      local told = {}
      local sink <close> = run:open { record_bytes = 60, on_rejected = function(_, err) told[#told + 1] = err.kind end }
      local long = ("x"):rep(60)
      local function refused(...) return (select(2, assert(...))) end
      assert.equal("rejected", refused(sink:write { n = 0 / 0 }))
      assert.equal("rejected", refused(sink:write { n = long }))
      assert.equal("rejected", refused(sink:write { 1, 2 }))
      assert.equal("rejected", refused(sink:write_line '{"n":1'))
      assert.equal("rejected", refused(sink:write_line '{"n":"\xff"}'))
      assert.equal("rejected", refused(sink:write { n = "\xff" }))
      assert.is_true(sink:write_line '{"n":1}\r\n')
      local taken, rejected, faults = sink:write_lines('{"n":2}\n\nbad\n{"n":3}\n{"n":"' .. long .. '"}\n{"n":4}')
      assert.same({ 3, 2 }, { taken, rejected })
      assert.equal("it is no JSON object", faults[1].reason)
      assert.equal(8, #told)
      assert(sink:flush())
      assert.same(lines_of(1, 4), run:ingested())
      local kept = shell.read(run.spool .. "/rejected/records.jsonl")
      assert.equal(8, select(2, kept:gsub("\n", "")))
      assert.is_truthy(kept:find('"hex":"7b226e223a22ff227d"', 1, true))
      assert.is_truthy(kept:find('"text":"bad"', 1, true))
      assert.is_truthy(kept:find(long, 1, true))
      assert.equal(8, sink:metrics().rejected)
    end)
  end)

  it("takes a position once, also after it was closed and opened again", function()
    with_sinks({}, function(run)
      do
        local sink <close> = run:open()
        assert.is_true(sink:write({ n = 1 }, "a", 10))
        assert.same({ true, "repeated" }, { sink:write({ n = 1 }, "a", 10) })
        assert.is_true(sink:write({ n = 2 }, "b", 0))
        assert.equal(2, (sink:write_lines('{"n":3}\n{"n":4}\n', "a", 20)))
        assert.same({ 0, "repeated", {} }, { sink:write_lines('{"n":3}\n', "a", 15) })
        assert.is_nil(sink:settled "a")
        assert(sink:sync())
        assert.same({ 20, 0 }, { sink:synced "a", sink:synced "b" })
        assert.is_nil(sink:synced "c")
      end
      local sink <close> = run:open()
      assert.same({ 20, 0 }, { sink:synced "a", sink:synced "b" })
      assert.is_nil(sink:settled "a")
      assert.same({ true, "repeated" }, { sink:write({ n = 3 }, "a", 20) })
      assert.is_true(sink:write({ n = 5 }, "a", 21))
      assert(sink:flush())
      assert.same({ 21, 0 }, { sink:settled "a", sink:settled "b" })
      assert.same(lines_of(1, 5), run:ingested())
    end)
  end)

  it("says no, and waits no longer than it may, while its spool is full", function()
    with_sinks({}, function(run)
      local sink <close> = run:open({
        limit = { bytes = 4000, free = 0, timeout = 0.1 }, file_bytes = 1000, record_bytes = 1000,
      }, { base_url = "http://127.0.0.1:1" })
      local err, count = nil, 0
      while not err do
        local taken
        taken, err = sink:offer { n = ("x"):rep(400) }
        count = count + (taken and 1 or 0)
        assert(sink:sync())
      end
      assert.same({ "limit", "full" }, { err.kind, err.code })
      assert.is_truthy(err.message:find("limit.bytes is reached", 1, true))
      assert.is_true(count >= 8 and count <= 11, tostring(count))
      local taken, late = sink:write { n = 1 }
      assert.is_nil(taken)
      assert.equal("full", late.code)
      assert.is_nil((sink:write_lines('{"n":1}\n{"n":2}\n')))
      assert.equal(count, sink:metrics().records)
    end)
  end)

  -- Opens a sink that is full, beside a service that is down until its faults end.
  local function open_full(run, given)
    run.server:set_faults { { action = { status = 503 } } }
    given.limit, given.file_bytes, given.record_bytes = { bytes = 4000, free = 0 }, 1000, 1000
    local sink = run:open(given, { retry = { tries = 2, base = 0.01, cap = 0.02 } })
    while sink:offer { n = ("x"):rep(400) } do assert(sink:sync()) end
    return sink
  end

  it("lets everything else go on while a call of many lines waits for room", function()
    with_sinks({}, function(run)
      local sink <close> = open_full(run, {})
      tasks.run(function()
        local function write_two() return sink:write_lines('{"n":1}\n{"n":2}\n') end
        local waiting = tasks.spawn(write_two)
        assert.equal("full", select(2, sink:offer { n = 3 }).code)
        assert.equal("full", select(2, sink:offer(3)).code)
        assert(sink:poll(0.01))
        assert(sink:seal())
        assert(sink:sync())
        assert.equal("timeout", select(2, sink:flush { timeout = 0.1 }).kind)
        run.server:set_faults()
        assert.equal(2, waiting:await())
        run.server:set_faults { { action = { status = 503 } } }
        while sink:offer { n = ("x"):rep(400) } do assert(sink:sync()) end
        waiting = tasks.spawn(write_two)
        assert(sink:poll(0.01))
        assert(sink:close())
        local taken, err = waiting:await()
        assert.same({ nil, "cancelled" }, { taken, err.kind })
      end)
    end)
  end)

  it("lets everything else go on while a call waits for a disk that fails", function()
    with_sinks({}, function(run)
      local output, status = shell.run(("%s LD_PRELOAD=\"%s $DISK_LIBRARY\" timeout 60 %s"
        .. " spec/scripts/sink_waits.lua %s %s"):format(serving.disk(run.directory .. "/disk"),
        shell.PRELOADED, shell.INTERPRETER, run.server.url, run.spool))
      assert.same({ "ok\n", 0 }, { output, status })
    end)
  end)

  it("hangs in no callback of a call that waits for room", function()
    with_sinks({}, function(run)
      local sink, taken, err
      local given = {}
      function given.on_error()
        if not sink or taken ~= nil or err then return end
        assert(sink:seal())
        taken, err = sink:write_lines '{"n":3}'
        run.server:set_faults()
      end
      sink = open_full(run, given)
      assert.equal(2, sink:write_lines('{"n":1}\n{"n":2}\n'))
      assert.same({ "limit", "full" }, { err.kind, err.code })
      assert.matches("this callback was called by a write that waits", err.message)
      assert(sink:close())
    end)
  end)

  it("goes on through faults of the service, and loses and doubles nothing", function()
    with_sinks({ faults = { { rate = 0.2, seed = 7, action = { status = 503 } } } }, function(run)
      local sink <close> = run:open({ roll = { records = 50 } }, { retry = { tries = 4, base = 0.01, cap = 0.05 } })
      for i = 1, 400 do assert(sink:write { n = i }) end
      assert(sink:flush { timeout = 60 })
      run.server:set_faults()
      assert.same(lines_of(1, 400), run:ingested())
    end)
  end)

  it("works in tasks, and in hosts' loops", function()
    with_sinks({}, function(run)
      tasks.run(function()
        local sink <close> = run:open()
        for i = 1, 10 do tasks.spawn(function() assert(sink:write { n = i }) end) end
        assert(sink:flush())
      end)
      for number, name in ipairs { "cqueues", "luv", "pausing" } do
        local loop = name == "pausing" and { wait = function(_, seconds) cqueues.sleep(math.min(seconds, 0.001)) end }
          or require("catalog.loop." .. name)
        hosts.run[name == "luv" and "luv" or "cqueues"]({ function()
          local sink <close> = run:open(nil, { loop = loop })
          for i = 1, 10 do assert(sink:write { n = 10 * number + i }) end
          assert(sink:flush())
        end }, function() end)
      end
      assert.same(lines_of(1, 40), run:ingested())
    end)
  end)

  it("may be closed by its own callback", function()
    with_sinks({}, function(run)
      local sink
      sink = run:open { on_batch = function() assert(sink:close()) end }
      assert(sink:write { n = 1 })
      assert(sink:seal())
      while not tostring(sink):find "closed" do sink:poll(0.01) end
      assert.is_nil((sink:write { n = 2 }))
      assert.is_true(sink:close())
      assert.same(lines_of(1, 1), run:ingested())
    end)
  end)

  it("sends what it has at the next start, whatever ended the last", function()
    with_sinks({}, function(run)
      for i = 1, 5 do
        local output, status = shell.run(("%s spec/scripts/sinks.lua http://127.0.0.1:1 %s %d & pid=$!; wait $pid"):format(
          shell.LUA, run.spool, i))
        assert.equal(137, status, output)
      end
      local sink <close> = run:open()
      assert(sink:flush())
      assert.same(lines_of(1, 500), run:ingested())
    end)
  end)

  it("has each record in one batch, once, after kill -9 at any moment and under faults; make torture does so more often",
    function() assert.is_true(sink_kills.run(6, { catalog_lag_ms = 50 }) > 0) end)

  it("is refused where its options contradict one another, or are none", function()
    with_sinks({}, function(run)
      local client = service.client(run.server.url)
      for _, case in ipairs {
        { { record_bytes = 2000, file_bytes = 1000 }, "record_bytes" }, { { format = "csv" }, "format" },
        { { limit = { bytes = 1000 } }, "limit.bytes" }, { { roll = { seconds = 0 } }, "roll.seconds" },
        { { after_failure = "cry" }, "after_failure" }, { { partial_ingestion = 0 / 0 }, "partial_ingestion" },
      } do
        local options = { dataset = DATASET, spool = run.spool }
        for name, value in pairs(case[1]) do options[name] = value end
        local sink, err = client:sink(options)
        assert.is_nil(sink)
        assert.equal("config", err.kind)
        assert.is_truthy(err.message:find(case[2], 1, true), err.message)
      end
      assert.has_error(function() client:sink { spool = run.spool } end)
      assert.has_error(function() client:sink { dataset = DATASET, spool = run.spool, rol = {} } end)
    end)
  end)

  it("warns of what would not last", function()
    with_sinks({}, function(run)
      local told = {}
      local sink <close> = run:open { roll = { seconds = 60 }, on_warning = function(text) told[#told + 1] = text end }
      assert.equal(2, #told)
      assert.is_truthy(told[1]:find("1440 batches a day", 1, true))
      assert.is_truthy(told[2]:find("access token is fixed", 1, true))
      assert(sink:close())
    end)
  end)
end)
