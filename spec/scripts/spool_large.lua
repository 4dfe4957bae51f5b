-- Writes one call of more than 64 MiB over several batches, and is killed after some seconds. Usage: SPOOL [SECONDS]
local service = require "support.service"

local sink = assert(service.client("http://127.0.0.1:1"):sink {
  dataset = service.DATASET, spool = arg[1], limit = { free = 0 }, file_bytes = 5000000, roll = { bytes = 20000000 },
})
local lines = ('{"n":"%s"}\n'):format(("x"):rep(1000)):rep(66000)
if arg[2] then os.execute(("(sleep %s; kill -9 $PPID 2>/dev/null) & :"):format(arg[2])) end
assert(sink:write_lines(lines, "s", 1))
assert(sink:sync())
print "synced"
