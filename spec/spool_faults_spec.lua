-- What a spool does when its disk fails: spec/scripts/disk.c is that disk.
local core = require "catalog.core"
local disk = require "support.disk"
local losses = require "support.losses"
local many = require "support.many_spools"
local power = require "support.power"

-- All of these at once: they wait for the disk to be tried again.
describe("a spool whose disk fails at each call in turn", function()
  local RUNS <const> = {
    "pwrite ENOSPC 0", "pwrite EIO 2", "pwrite SHORT 1", "write ENOSPC 1", "openat ENOSPC 0",
    "openat EROFS 2", "mkdirat ENOSPC 0", "unlinkat EIO 1", "renameat EIO 0", "ftruncate EIO 1", "sync_file_range EIO 0",
    "fdatasync EIO 1", "fdatasync EIO 0", "fsync EIO 2", "fsync EIO 0",
    "pwrite ENOSPC 1 opening", "fsync EIO 1 opening", "openat EROFS 0 opening", "mkdirat ENOSPC 1 opening",
    "ftruncate EIO 1 opening", "unlinkat EIO 1 opening",
  }

  it("goes on once it does not, and nothing is lost or doubled", function()
    disk.with_directory(function(directory)
      for i = 1, #RUNS, 6 do
        local started = {}
        for k = i, math.min(i + 5, #RUNS) do
          started[k] = disk.start(("spec/scripts/disk_fails.lua %s/%d %s"):format(directory, k, RUNS[k]))
        end
        for k, finish in pairs(started) do
          local output, status = finish()
          assert.equal(0, status, RUNS[k] .. ": " .. output)
        end
      end
    end)
  end)
end)

describe("a spool of a machine whose power is lost", function()
  it("has what was said to be on the disk, once, and of the rest nothing twice", function()
    local seed = os.time()
    losses.run_many(5, 8, seed) -- an error says of which
  end)
end)

describe("a spool whose disk has failed, and says later that all is well", function()
  -- What the script has printed, and what there is after the power was lost.
  local function run(fault, check)
    disk.with_directory(function(directory)
      local path, after = directory .. "/spool", directory .. "/after"
      core.fs.mkdir(path)
      local before = power.of(path, true)
      local output = disk.run(("spec/scripts/disk_lies.lua %s %s %s"):format(path, directory .. "/trace", fault))
      before:read(directory .. "/trace")
      before:lose()
      before:make(after)
      local one = many.new(after)
      local state = assert(one:open())
      one:close()
      check(output, one:content(), state["source/s"])
    end)
  end

  for fault, what in pairs { no_room = "has had no room for a copy at first", names = "has not synced the names of files" } do
    it("does not believe it, also where it " .. what, function()
      run(fault, function(output, text, position)
        assert.matches("^synced\t1000\t", output)
        assert.equal(many.numbers(1, 1000), text)
        assert.equal(1000, position)
      end)
    end)
  end

  for fault, what in pairs { unlike = "something else", unreadable = "nothing" } do
    it("is broken when it reads " .. what .. ", and has what it had before", function()
      run(fault, function(output, text, position)
        local why = "the disk has failed, and does not give back what was written to it"
        assert.equal(("the spool cannot go on: %s [config]\t10\t2\n"):format(why), output:match "^[^\n]*\n")
        assert.equal(2, select(2, output:gsub("the spool cannot go on: " .. why, "")))
        assert.matches("990 records were not written to the spool: " .. why, output, 1, true)
        assert.equal(many.numbers(1, 10), text)
        assert.equal(10, position)
      end)
    end)
  end
end)
