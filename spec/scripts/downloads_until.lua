-- Downloads a batch, writes down what is done in a directory, and is killed before so many calls on files; 0: never.
-- Usage: DIRECTORY TRACE CALLS BATCH, the batch into DIRECTORY/out, where it replaces files.
local catalog = require "catalog"
local disk = package.loadlib(os.getenv "DISK", "luaopen_disk")()

local directory, trace, calls, id = table.unpack(arg)
disk.trace(directory, trace, tonumber(calls))
assert(catalog.batch(id):download { to = directory .. "/out", parallel = 2, failed = true, overwrite = true })
print "told"
os.exit(true) -- what is done at the end is no part of it
