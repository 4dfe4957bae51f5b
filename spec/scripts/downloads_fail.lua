-- Downloads a batch while a call on files fails once, and once more when it does not.
-- Usage: DIRECTORY BATCH CALL ERROR NUMBER
local catalog = require "catalog"
local disk = package.loadlib(os.getenv "DISK", "luaopen_disk")()

local directory, id, call, why, number = table.unpack(arg)
disk.fail(directory, call, why, tonumber(number), 1)
local batch = catalog.batch(id)
local report, err = batch:download { to = directory, failed = true }
assert(disk.failed(directory) == 1, call .. " was not called")
assert(not report, "it was called whole")
print(err.message)
assert(batch:download { to = directory, failed = true })
