-- Going on after a crash: what the journal of an ingest promises.
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local journal = require "catalog.ingest.journal"
local kills = require "support.kills"
local service = require "support.service"
local shell = require "support.shell"

local DATASET <const> = service.DATASET
local PARTS <const> = { part_size = 1000, part_threshold = 2000 }

-- A directory with files of rows, an emulator that keeps a log, and the options of an ingest with a journal.
local function with_run(body, options)
  shell.with_directory(function(directory)
    local given = {
      dataset = DATASET, format = "json", files = {}, journal = directory .. "/run.journal", parallel = 2,
      part_size = PARTS.part_size, part_threshold = PARTS.part_threshold,
    }
    for i, rows in ipairs { 10, 1000, 20, 700 } do -- 80, 8000, 160, 5600 bytes
      given.files[i] = ("%s/f%d.json"):format(directory, i)
      shell.write(given.files[i], ('{"n":1}\n'):rep(rows))
    end
    local settings = { data_dir = directory .. "/data", log = directory .. "/log" }
    for name, value in pairs(options or {}) do settings[name] = value end
    local server <close> = assert(emulator.start(settings))
    body { directory = directory, given = given, server = server, client = service.client(server.url) }
  end)
end

-- How often each request was done: "METHOD name range" -> count.
local function requests(run)
  local seen = {}
  for line in io.lines(run.directory .. "/log") do
    local method, target, range, status = line:match "^(%S+) (%S+) (%S.*) (%d+)$"
    local key = ("%s %s %s"):format(method, target:match "files/(.*)$" or target, range):gsub(" %-$", "")
    if status:find "^2" then seen[key] = (seen[key] or 0) + 1 end
  end
  return seen
end

local function batches(client)
  return assert(client:send {
    method = "GET", path = "/data/foundation/catalog/batches?limit=100", read = core.json.decode,
  })
end

local function count(map)
  local number = 0
  for _ in pairs(map) do number = number + 1 end
  return number
end

-- Everything about files, and every action, is refused for the moment, from the nth request about a file on.
local function outage(from)
  local list = {}
  for i = 1, from - 1 do list[i] = { match = { path = "/files/" }, times = 1, action = {} } end
  local refusal = { status = 503, body = '{"title":"Unavailable"}' }
  list[from] = { match = { path = "/files/" }, action = refusal }
  list[from + 1] = { match = { path = "action=" }, action = refusal }
  return list
end

-- The batches that were not aborted.
local function alive(client)
  local list = {}
  for id, fields in pairs(batches(client)) do
    if fields.status ~= "aborted" then list[#list + 1] = id end
  end
  return list
end

-- An ingest that stops in the middle: gives the text of its journal.
local function stop_in_the_middle(run, from)
  run.server:set_faults(outage(from))
  assert.is_nil(run.client:ingest(run.given))
  run.server:set_faults()
  return shell.read(run.given.journal)
end

-- The lines of a journal as they were before there were checksums.
local function without_checksums(text)
  return (text:gsub("%f[^\n\0]%x%x%x%x%x%x%x%x {", "{"))
end

local function assert_whole(run, report)
  assert.equal("success", report.status)
  for _, path in ipairs(run.given.files) do
    local name = path:match "[^/]*$"
    assert.equal(shell.read(path), shell.read(("%s/data/files/%s/%s"):format(run.directory, report.id, name)), name)
  end
end

local function assert_error(kind, text, report, err)
  assert.is_nil(report)
  assert.equal(kind, err.kind, tostring(err))
  assert.matches(text, err.message, 1, true)
  return err
end

describe("a journal", function()
  it("lets the same call go on where the last one stopped", function()
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

  it("of a run that is done sends nothing, and reports", function()
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
    for _, lag in ipairs { 0, 500 } do
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

  it("is as good with a torn last line, or none at all", function()
    with_run(function(run)
      run.server:set_faults(outage(6))
      assert.is_nil(run.client:ingest(run.given))
      local text = shell.read(run.given.journal)
      run.server:set_faults()
      shell.write(run.given.journal, text:sub(1, -8))
      assert_whole(run, assert(run.client:ingest(run.given)))
      assert.equal(1, count(batches(run.client)))
      assert.matches("}\n$", shell.read(run.given.journal))
    end)
    with_run(function(run)
      shell.write(run.given.journal, '{"event":"run","base_')
      assert_whole(run, assert(run.client:ingest(run.given)))
    end)
  end)

  it("that was cut at any line finds its batch again, and there is no other", function()
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

  it("that was cut at any line behind a batch that was aborted finds the next one again", function()
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

  it("with any bit flipped is refused, or read as one whose last line was torn", function()
    with_run(function(run)
      local text = stop_in_the_middle(run, 8)
      local function last_start() return #text - #text:match "[^\n]*\n$" end
      local before_last = journal.read(text:sub(1, last_start()))
      for at = 1, #text do
        for bit = 0, 7 do
          local flipped = text:sub(1, at - 1) .. string.char(text:byte(at) ~ (1 << bit)) .. text:sub(at + 1)
          local state, err = journal.read(flipped)
          -- where the newline before the last line is none any more, the last line is that and the one before
          if at < last_start() or state == nil then
            assert.is_nil(state)
            assert.equal("data", err.kind)
          elseif at > last_start() then
            assert.same(before_last, state)
          end
        end
      end
    end)
  end)

  it("that was damaged says so, also in its first line", function()
    with_run(function(run)
      local text = stop_in_the_middle(run, 8)
      for number, at in ipairs { 60, text:find("\n", 1, true) + 30 } do
        shell.write(run.given.journal, text:sub(1, at - 1) .. "#" .. text:sub(at + 1))
        assert_error("data", ("line %d is not as it was written: the file was damaged, or edited"):format(number),
          run.client:ingest(run.given))
      end
    end)
  end)

  it("with a bit flipped never leads to a success with a hole", function()
    local succeeded, refused = 0, 0
    for trial = 1, 60 do
      with_run(function(run)
        local text = stop_in_the_middle(run, 8)
        local at, bit = math.random(#text), math.random(0, 7)
        local damaged = text:sub(1, at - 1) .. string.char(text:byte(at) ~ (1 << bit)) .. text:sub(at + 1)
        shell.write(run.given.journal, damaged)
        local report, err = run.client:ingest(run.given)
        if report then
          succeeded = succeeded + 1
          assert_whole(run, report)
          assert.equal(1, #alive(run.client))
        else
          refused = refused + 1
          assert.equal("data", err.kind, ("trial %d, byte %d, bit %d: %s"):format(trial, at, bit, err))
          assert.equal(damaged, shell.read(run.given.journal))
        end
      end)
    end
    assert.equal(60, succeeded + refused)
    assert.is_true(refused > 0)
  end)

  it("of before, without checksums, is read and gone on with", function()
    with_run(function(run)
      local text = stop_in_the_middle(run, 8)
      local old = without_checksums(text):gsub('"seed":"%x*",', ""):gsub(',"seed":"%x*"', "")
      assert.is_nil(old:find("%f[^\n\0]%x%x%x%x%x%x%x%x {"))
      shell.write(run.given.journal, old)
      local report = assert(run.client:ingest(run.given))
      assert.is_true(report.resumed)
      assert_whole(run, report)
      assert.equal(1, count(batches(run.client)))
      assert.is_true(assert(run.client:ingest(run.given)).resumed) -- the new lines behind the old ones, too
    end)
  end)

  it("does not let a batch be completed without a file that was planned", function()
    with_run(function(run)
      local open = journal.open
      -- stands for a line that was lost although the disk said that it was there
      journal.open = function(...)
        local opened, err = open(...)
        opened.state.files["f3.json"] = setmetatable({ group = 1, bytes = 160, parts = {} }, { __newindex = function() end })
        return opened, err
      end
      local report, err = run.client:ingest(run.given)
      journal.open = open
      assert_error("data", "the journal does not say that f3.json was uploaded", report, err)
      local _, fields = next(batches(run.client))
      assert.equal("loading", fields.status)
    end)
  end)

  it("leaves no second batch when the answer to the creation was lost and the catalog lags far behind", function()
    with_run(function(run)
      run.server:set_faults {
        { match = { method = "POST" }, action = { drop = "after" } }, { action = { status = 503, body = "{}" } },
      }
      assert.is_nil(run.client:ingest(run.given))
      run.server:set_faults { { match = { method = "PUT" }, action = { delay_ms = 2500 } } }
      local client = service.client(run.server.url, { retry = { base = 0.01, cap = 0.02 } })
      assert_whole(run, assert(client:ingest(run.given)))
      os.execute "sleep 1"
      assert.equal(1, #alive(client))
      assert.equal(2, count(batches(client))) -- the one that showed up late was aborted
    end, { catalog_lag_ms = 6500, unique_ids = false })
  end)

  it("is not written to by a child that was forked in the middle", function()
    shell.with_directory(function(directory)
      local path = directory .. "/run.journal"
      local build = os.getenv "CATALOG_BUILD" or "build"
      local output, status = shell.run(("%s/host fork spec/scripts/writes_journal.lua %s"):format(build, path))
      assert.equal(0, status, output)
      assert.matches("child: the journal belongs to the process that opened it", output, 1, true)
      local _, lines = assert(journal.read(shell.read(path)))
      assert.equal(4, lines) -- run, ready, and the parent's two
    end)
  end)

  it("is no symbolic link", function()
    with_run(function(run)
      shell.write(run.directory .. "/theirs", "")
      shell.run(("ln -s theirs %s"):format(run.given.journal))
      assert_error("config", "it is a symbolic link, which is not followed", run.client:ingest(run.given))
      assert.equal("", shell.read(run.directory .. "/theirs"))
    end)
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

  it("of another call, or of files that changed, is refused and says what differs", function()
    with_run(function(run)
      run.server:set_faults(outage(6))
      assert.is_nil(run.client:ingest(run.given))
      local kept = shell.read(run.given.journal)
      local function ingest(changes)
        local given = {}
        for name, value in pairs(run.given) do given[name] = value end
        for name, value in pairs(changes) do given[name] = value end
        return run.client:ingest(given)
      end
      assert_error("data", "it is of the dataset " .. DATASET .. ", and this call is for other", ingest { dataset = "other" })
      assert_error("data", "it is of the sandbox prod, and this call is for dev", ingest { sandbox = "dev" })
      assert_error("data", "its batch has the options", ingest { tags = { a = { "b" } } })
      assert_error("data", "it has the file f4.json, which this call does not name",
        ingest { files = { table.unpack(run.given.files, 1, 3) } })
      shell.write(run.directory .. "/g.json", "{}\n")
      assert_error("data", "it does not have the file g.json",
        ingest { files = { run.directory .. "/g.json", table.unpack(run.given.files) } })
      shell.write(run.given.files[1], ('{"n":2}\n'):rep(10))
      assert_error("data", "f1.json was changed since", ingest {})
      shell.write(run.given.files[1], ('{"n":1}\n'):rep(11))
      assert_error("data", "f1.json had 80 bytes, and has 88 now", ingest {})
      assert.equal(kept, shell.read(run.given.journal))
      shell.write(run.given.journal, "these are my notes\n")
      assert_error("data", "line 1 is not one of a journal's; is it the right file?", ingest {})
      assert.equal("these are my notes\n", shell.read(run.given.journal))
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

  it("may lie in the directory that is ingested", function()
    with_run(function(run)
      local given = {
        dataset = DATASET, format = "json", dir = run.directory .. "/in/", journal = run.directory .. "/in/./run.journal",
      }
      shell.run(("mkdir %s/in && mv %s/*.json %s/in"):format(run.directory, run.directory, run.directory))
      for _, resumed in ipairs { false, true } do
        local report = assert(run.client:ingest(given))
        assert.equal(resumed, report.resumed)
        assert.equal(4, #report.files)
      end
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

  it("is never put in the place of somebody else's file", function()
    with_run(function(run)
      local path = run.given.journal
      for _, text in ipairs {
        "an old letter", '{"only":"a line"}', '{"a":1}\n{"b":2}', '{"a":1}\n', "{", '{"event":"r', ("\0"):rep(100), "1234",
        "0a1b2c3d not a journal's\n",
      } do
        shell.write(path, text)
        local report, err = run.client:ingest(run.given)
        assert.is_nil(report)
        assert.equal("data", err.kind)
        assert.matches("is it the right file?", err.message, 1, true)
        assert.equal(text, shell.read(path))
      end
      for _, text in ipairs { "", '0a1b2c3d {"event":"run","base_url":"htt', '{"event":"run","base_url":"htt' } do
        shell.write(path, text) -- what a crash leaves of a journal that was about to begin
        assert_whole(run, assert(run.client:ingest(run.given)))
      end
    end)
  end)

  it("of an ingest whose coroutine was dropped is free again", function()
    with_run(function(run)
      local client = service.client(run.server.url, { loop = { wait = function() coroutine.yield() end } })
      assert(coroutine.resume(coroutine.create(function() client:ingest(run.given) end)))
      assert_whole(run, assert(run.client:ingest(run.given)))
    end)
  end)

  it("is one process's at a time", function()
    with_run(function(run)
      local held = assert(core.journal.open(run.given.journal))
      assert_error("config", "cannot be used: another process has it", run.client:ingest(run.given))
      held:close()
      assert_whole(run, assert(run.client:ingest(run.given)))
    end)
  end)

  it("that cannot be written is an error before anything is created", function()
    with_run(function(run)
      run.given.journal = run.directory .. "/none/run.journal"
      assert_error("config", "none/run.journal cannot be used: No such file or directory", run.client:ingest(run.given))
      run.given.journal = run.directory
      assert_error("config", "cannot be used: Is a directory", run.client:ingest(run.given))
      run.given.journal = "/dev/full"
      assert_error("config", "/dev/full cannot be used", run.client:ingest(run.given))
      assert.equal(0, count(batches(run.client)))
    end)
  end)

  -- A limit on the size of files stands for a disk that is full: a write fails, and not the first one.
  it("on a full disk ends the run with an error, and the run goes on when there is room", function()
    with_run(function(run)
      local script = ([[
        local client = assert(require("catalog").client { base_url = %q, org = "ORG@AdobeOrg", api_key = "key", token = "token" })
        local report, err = client:ingest { dataset = %q, format = "json", dir = %q, pattern = "f*.json", journal = %q,
          parallel = 2, part_size = 1000, part_threshold = 2000 }
        print(report and "whole" or err)
      ]]):format(run.server.url, DATASET, run.directory, run.given.journal)
      local full = shell.lua(script, "trap '' XFSZ; ulimit -f 1;")
      assert.matches("the journal cannot be written: File too large [config]", full, 1, true)
      local _, fields = next(batches(run.client))
      assert.equal("loading", fields and fields.status or "loading")
      assert.matches("whole", shell.lua(script))
      assert.equal(1, count(batches(run.client)))
    end)
  end)

  -- make torture kills it 200 times.
  it("leads to one whole batch, wherever the program is killed", function()
    assert.is_true(kills.run(8) >= 8)
  end)

  it("is read whatever is in it", function()
    assert.is_nil((journal.read '{"event":"run"}\n'))
    assert.is_nil((journal.read '{"event":"ready"}\n'))
    assert.is_nil((journal.read "[]\n"))
    assert.is_nil((journal.read "\n"))
    assert.same({ files = {}, groups = {} }, journal.read "")
  end)
end)
