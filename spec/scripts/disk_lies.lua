-- Uses a spool whose disk fails once, and says later that all is well. Usage: SPOOL TRACE FAULT
local many = require "support.many_spools"

local disk = package.loadlib(os.getenv "DISK", "luaopen_disk")()

local path, trace, fault = arg[1], arg[2], arg[3]
disk.trace(path, trace, 0)
local one = many.new(path)
assert(one:open())
one:lines(many.numbers(1, 10), 10)
one:insist "sync"

local FAULTS <const> = {}

-- There is no room for a copy, so that it is tried again.
function FAULTS.no_room()
  disk.fail(path, "fdatasync", "EIO", 1, 1)
  disk.fail(path, "openat", "ENOSPC", 1, 1)
end

-- The names of new segments cannot be synced.
function FAULTS.names()
  one:put "seal"
  disk.fail(path, "fsync", "EIO", 1, 1)
end

function FAULTS.unlike()
  disk.fail(path, "fdatasync", "EIO", 1, 1)
  disk.fail(path, "pread", "SPOIL", 1, 1)
end

function FAULTS.unreadable()
  disk.fail(path, "fdatasync", "EIO", 1, 1)
  disk.fail(path, "pread", "EIO", 1, 1)
end

FAULTS[fault]()
one:lines(many.numbers(11, 1000), 1000)
local ok, err = one:job "sync"
print(ok and "synced" or err, one.spool:position(one.source), disk.failed(path))
if not ok then
  local state = one.spool:status()
  assert(state.broken and not state.disk_error)
  print(select(2, one.spool:write('{"n":1001}', one.source, 1001)))
  print(select(2, one.spool:close()))
end
io.stdout:flush()
os.execute "kill -9 $PPID"
