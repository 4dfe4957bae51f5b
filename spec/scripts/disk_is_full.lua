-- Fills a disk with a spool, and makes room by what is done with. Usage: DIRECTORY
local many = require "support.many_spools"

local LAST <const>, LONG <const> = 20000, ("x"):rep(1000)

local one = many.new(arg[1] .. "/spool", { file_bytes = 300000 })
assert(one:open())

local gone, was_full = 0, 0

local function line(n) return ('{"n":%d,"x":"%s"}'):format(n, LONG) end

-- The first segment that is sealed is done with.
local function finish()
  local segment = table.remove(one.segments, 1)
  if not segment then return end
  gone = gone + segment.records
  assert(one:job("note", ('{"segment/%d":null,"gone":%d}'):format(segment.number, gone)))
  assert(one:job("remove", ("seg/%010d.jsonl"):format(segment.number)))
end

local function is_full() return (one.spool:status().disk_error or ""):find "No space" end

for n = 1, LAST do
  while not one.spool:write(line(n), one.source, n) do
    if is_full() then
      was_full = was_full + 1
      local saved, err = one:job("save", "trouble.json", '{"why":"it is full"}')
      if was_full == 1 then assert(saved, err) end -- there is a reserve for that
      for _ = 1, 5 do finish() end
    end
    one:wait()
  end
end
local ticket = assert(one.spool:sync())
while not one.ended[ticket] do
  if is_full() then finish() end
  one:wait()
end
assert(one.ended[ticket] == true, one.ended[ticket])
one:close()
local state = assert(one:open())
local lines = {}
for n = gone + 1, LAST do lines[#lines + 1] = line(n) .. "\n" end
assert(one:content() == table.concat(lines), "the records are others")
assert(state.gone == gone and state["source/s"] == LAST)
one:close()
assert(was_full > 0 and gone > 0, "it was never full")
print "ok"
