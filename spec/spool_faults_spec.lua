-- What a spool does when its disk fails: spec/scripts/disk.c is that disk.
local disk = require "support.disk"
local losses = require "support.losses"

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
