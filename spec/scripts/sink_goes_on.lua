-- Writes records, in calls of one or many, from where the last run was synced up to a number, and waits until all are in
-- the platform. Usage: URL SPOOL LAST [FAULTY]
local service = require "support.service"

local LAST <const> = math.tointeger(tonumber(arg[3]))

local client = service.client(arg[1], { timeout = 5, retry = { tries = 3, base = 0.002, cap = 0.02 } })
local sink = assert(client:sink {
  dataset = service.DATASET, spool = arg[2], limit = { free = 0 }, sync_seconds = 0.002, file_bytes = 300,
  record_bytes = 200, roll = { records = 37 },
})
local at = sink:synced "s" or 0
while at < LAST do
  local last = math.min(at + math.random(1, 12), LAST)
  if last == at + 1 then
    assert(sink:write({ n = last }, "s", last))
  else
    local lines = {}
    for i = at + 1, last do lines[#lines + 1] = ('{"n":%d}'):format(i) end
    assert(sink:write_lines(table.concat(lines, "\n"), "s", last))
  end
  at = last
  if math.random(8) == 1 then assert(sink:poll(0.001)) end
end
assert(sink:flush { timeout = 60 })
assert(sink:close())
