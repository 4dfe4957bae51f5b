-- A call of many lines goes on for as long as the disk fails; meanwhile nothing else of the sink hangs. Usage: URL SPOOL,
-- and a file in the environment's DISK, which says what the disk does.
local service = require "support.service"
local shell = require "support.shell"
local tasks = require "catalog.scheduler.tasks"

local LINE <const> = '{"n":1}\n'

local client = service.client(arg[1])
local sink = assert(client:sink { dataset = service.DATASET, spool = arg[2], limit = { free = 0 }, sync_seconds = 0.01 })

-- More than fits into memory: a part of it was given to the disk.
local function write_much() return sink:write_lines(LINE:rep(3 << 20)) end

local function is_full(done, err) return done == nil and err.code == "full" end

tasks.run(function()
  assert(sink:write { n = 0 })
  shell.write(os.getenv "DISK", "fail")
  local written = tasks.spawn(write_much)
  while not is_full(sink:offer { n = 2 }) do assert(sink:poll(0.01)) end
  local sealed = tasks.spawn(function() return sink:seal() end)
  assert(sink:poll(0.2))
  local blocked = sink:metrics().blocked
  assert(blocked:find("Input/output error", 1, true), blocked)
  local done, err = sink:flush { timeout = 0.2 }
  assert(not done and err.kind == "timeout", tostring(err))
  os.remove(os.getenv "DISK")
  assert(written:await() == 3 << 20)
  assert(sealed:await())
  assert(sink:flush())
end)
assert(sink:close())
print "ok"
