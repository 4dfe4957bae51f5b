-- What `make tsan` runs: the C host with eight threads that ingest, and with eight that have a spool each, built with
-- ThreadSanitizer, against an emulator that is not.
local core = require "catalog.core"
local emulator = require "catalog.emulator"

local build = os.getenv "TSAN_HOST"
local server <close> = assert(emulator.start {})
local directory = assert(core.fs.temporary())
local file = assert(io.open(directory .. "/source", "wb"))
file:write '{"a":1}\n{"a":2}\n{"a":3}\n'
file:close()
local command <const> = "LUA_CPATH='%s/?.so;;' TSAN_OPTIONS=exitcode=66 %s/host threads 8 spec/scripts/%s %s %s"
local ok = os.execute(command:format(build, build, "uploads.lua", server.url, directory .. "/source"))
  and os.execute(command:format(build, build, "spool_calls.lua", directory, "own"))
core.fs.remove(directory)
if not ok then os.exit(1, true) end
