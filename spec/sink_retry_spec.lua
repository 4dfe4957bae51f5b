-- How batches that failed come back into a spool, wherever that is broken off.
local Group = require "catalog.scheduler.group"
local Spool = require "catalog.sink.spool"
local Store = require "catalog.sink.store"
local core = require "catalog.core"
local retry = require "catalog.sink.retry"
local scheduler = require "catalog.scheduler.scheduler"
local shell = require "support.shell"

local null <const> = core.json.null

-- Calls `body(spool, store)` with a spool that is opened for it; what it raises comes after the spool is closed.
local function with_spool(path, body)
  local spool, state = Spool.open {
    path = path, file_bytes = 1000, record_bytes = 100, sync_seconds = 0, roll_bytes = 1e6, roll_files = 100,
    limit_bytes = 1e9, limit_free = 0,
  }
  assert(spool, state)
  local store, group = Store.new(spool, state, { bytes = 1000000, files = 100 }), Group.new "detached"
  scheduler.begin(group:new_task(function() spool:listen(store) end))
  local fine, raised = pcall(body, spool, store)
  group:cancel()
  assert(spool:close())
  group:abandon()
  if not fine then error(raised, 0) end
end

-- A spool whose batch 7 has failed, of two files.
local function fail_batch(path)
  with_spool(path, function(spool)
    for _ = 1, 2 do
      assert(spool.core:write '{"n":1}')
      assert(spool.core:seal())
    end
    assert(spool:job "sync")
    assert(spool:job("mkdir", "failed/7"))
    for number = 1, 2 do
      local name = Store.name_of(number)
      assert(spool:job("rename", "seg/" .. name, "failed/7/" .. name))
    end
    assert(spool:job("save", "failed/7/why.json", "{}\n"))
    assert(spool:note {
      ["segment/1"] = null, ["segment/2"] = null, next_batch = 8,
      ["failed/7"] = { segments = { 1, 2 }, records = 2, bytes = 16, at = "2026-11-25T00:00:00Z" },
    })
  end)
end

-- What of it is where: the segments that the next batch has, and the files.
local function where(path)
  local plan, kept
  with_spool(path, function(_, store)
    plan, kept = store:plan(), store.kept
  end)
  return plan and plan.segments or {}, kept, shell.run(("cd %s && find failed seg | sort"):format(path))
end

local function look(path)
  with_spool(path, function(_, store) assert(retry.look(store) ~= nil) end)
end

describe("a batch that failed", function()
  it("stays where it is until somebody asks for it", function()
    shell.with_directory(function(directory)
      local path = directory .. "/spool"
      fail_batch(path)
      look(path)
      local segments, kept = where(path)
      assert.same({}, segments)
      assert.same({ 1, 2 }, kept["failed/7"].segments)
    end)
  end)

  it("is what its files are by then", function()
    shell.with_directory(function(directory)
      local path = directory .. "/spool"
      fail_batch(path)
      shell.write(path .. "/failed/7/0000000001.jsonl", '{"n":2}\n{"n":3}')
      os.remove(path .. "/failed/7/0000000002.jsonl")
      shell.write(path .. "/failed/7/retry", "")
      with_spool(path, function(_, store)
        assert.is_true(retry.look(store))
        local plan = store:plan()
        assert.same({ { 1 }, 15, 2 }, { plan.segments, plan.bytes, plan.records })
        assert.equal(core.journal.checksum '{"n":2}\n{"n":3}', store.segments[1].crc)
      end)
    end)
  end)

  it("leaves what somebody has put beside it", function()
    shell.with_directory(function(directory)
      local path = directory .. "/spool"
      fail_batch(path)
      shell.write(path .. "/failed/7/notes", "")
      shell.write(path .. "/failed/7/retry", "")
      look(path)
      local segments, kept, files = where(path)
      assert.same({ 1, 2 }, segments)
      assert.same({}, kept)
      assert.equal("failed\nfailed/7\nfailed/7/notes\nseg\nseg/0000000001.jsonl\nseg/0000000002.jsonl\n", files)
    end)
  end)

  it("comes back once and as a whole, wherever that is broken off", function()
    local steps = 0
    repeat
      local is_whole
      shell.with_directory(function(directory)
        local path, left = directory .. "/spool", steps
        fail_batch(path)
        shell.write(path .. "/failed/7/retry", "")
        is_whole = pcall(with_spool, path, function(spool, store)
          local job = spool.job
          function spool:job(...)
            if left == 0 then error("broken off", 0) end
            left = left - 1
            return job(self, ...)
          end
          retry.look(store)
        end)
        look(path)
        local segments, kept, files = where(path)
        assert.same({ 1, 2 }, segments)
        assert.same({}, kept)
        assert.equal("failed\nseg\nseg/0000000001.jsonl\nseg/0000000002.jsonl\n", files)
      end)
      steps = steps + 1
    until is_whole
    assert.is_true(steps > 8)
  end)
end)
