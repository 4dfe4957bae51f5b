-- Uses a spool until it is killed, and says what it was told to be on the disk. Usage: SPOOL TRACE CALLS SEED; before so
-- many calls on its files it is killed.
local core = require "catalog.core"
local many = require "support.many_spools"

local disk = package.loadlib(os.getenv "DISK", "luaopen_disk")()

local path, trace = arg[1], arg[2]
local calls, seed = math.tointeger(tonumber(arg[3])), math.tointeger(tonumber(arg[4]))

math.randomseed(seed)
disk.trace(path, trace, calls)
if math.random(3) == 1 then disk.fail(path, "fdatasync", "EIO", math.random(40), math.random(2)) end
if math.random(6) == 1 then disk.fail(path, "fsync", "EIO", math.random(8), 1) end
if math.random(6) == 1 then disk.fail(path, "pwrite", "ENOSPC", math.random(60), 1) end

local one = many.new(path, { file_bytes = 300, roll_files = 4 })
local state, refused
repeat
  state, refused = one:open() -- a fault of the disk is over the next time
  if not state and refused.kind ~= "config" then error(refused, 0) end
until state
local at, noted, rejected = state["source/s"] or 0, state.k or 0, state.rejected and state.rejected.records or 0
for name, segment in pairs(state) do
  if name:find "^segment/" then
    segment.number = math.tointeger(tonumber(name:match "%d+"))
    table.insert(one.segments, segment)
  end
end
table.sort(one.segments, function(a, b) return a.number < b.number end)
local gone = state.gone or 0

local function tell(...)
  print(...)
  io.stdout:flush()
end

local DO <const> = {}

function DO.write()
  at = at + 1
  one:put("write", ('{"n":%d}'):format(at), one.source, at)
end

function DO.lines()
  local last = at + math.random(2, 30)
  local is_bad = math.random(3) == 1
  one:lines(many.numbers(at + 1, last) .. (is_bad and "bad\n" or ""), last)
  at, rejected = last, rejected + (is_bad and 1 or 0)
end

function DO.roll_back()
  one.spool:write_lines(many.numbers(1, math.random(60)), 1)
  one.spool:reject '{"never":true}'
  one.spool:rollback()
end

function DO.seal() one:put "seal" end

function DO.sync()
  local a, r = at, rejected
  one:insist "sync"
  tell("told", a, r)
end

function DO.note()
  noted = noted + 1
  one:insist("note", ('{"k":%d,"text":"%s"}'):format(noted, ("x"):rep(math.random(0, 2000))))
  tell("noted", noted)
end

-- The first segment that is sealed is done with.
function DO.finish()
  local segment = table.remove(one.segments, 1)
  if not segment then return end
  gone = gone + segment.records
  one:insist("note", ('{"segment/%d":null,"gone":%d}'):format(segment.number, gone))
  one:insist("remove", ("seg/%010d.jsonl"):format(segment.number))
end

function DO.change_journal()
  for _ = 1, math.random(8) do one:insist("note", ('{"long":"%s"}'):format(("y"):rep(400000))) end
end

local OFTEN <const> = {
  "write", "write", "write", "write", "lines", "lines", "lines", "roll_back", "seal", "sync", "sync", "note", "finish",
  "finish",
}
while true do
  local what = math.random(150) == 1 and "change_journal" or OFTEN[math.random(#OFTEN)]
  DO[what]()
  one:take()
  if core.system.monotonic() % 1 < 0.02 then one:wait() end
end
