-- Puts calls of a hundred lines into a spool, over segments of 2 kB, tells how many are on the disk, and is killed in the
-- middle of one. Usage: SPOOL
local core = require "catalog.core"

local spool = assert(core.spool.open { path = arg[1], sync_seconds = 0, file_bytes = 2000 })
local id = assert(spool:source "s")
local lines = ('{"n":1}\n'):rep(100)
for call = 1, 50 do
  spool:write_lines(lines, 1)
  spool:commit(id, call)
end
local ticket = spool:sync()
repeat local name, value = spool:take() until name == "job" and value == ticket
print(50)
io.stdout:flush()
for call = 51, 90 do
  spool:write_lines(lines, 1)
  spool:commit(id, call)
end
spool:write_lines(lines, 1)
os.execute "kill -9 $PPID"
