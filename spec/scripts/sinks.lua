-- Writes a hundred records into a spool, the nth hundred, puts them on the disk, and is killed. Usage: URL SPOOL NTH
local service = require "support.service"

local client = service.client(arg[1])
local sink = assert(client:sink { dataset = service.DATASET, spool = arg[2], limit = { free = 0 } })
local first = (arg[3] - 1) * 100
for i = 1, 50 do assert(sink:write { n = first + i }) end
local lines = {}
for i = 51, 100 do lines[#lines + 1] = ('{"n":%d}'):format(first + i) end
assert(sink:write_lines(table.concat(lines, "\n")))
assert(sink:sync())
os.execute "kill -9 $PPID"
