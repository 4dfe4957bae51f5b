-- Uses spools whose disk fails at the first call of a kind, at the second, and so on until none fails, and looks whether
-- each has what it has taken. Usage: DIRECTORY CALL ERROR COUNT [opening]; of COUNT 0 it fails until it is mended.
local core = require "catalog.core"
local many = require "support.many_spools"
local shell = require "support.shell"

local disk = package.loadlib(os.getenv "DISK", "luaopen_disk")()

local directory, call, errno, count, opening = arg[1], arg[2], arg[3], math.tointeger(tonumber(arg[4])), arg[5]

assert(core.fs.mkdir(directory))

local AT_ONCE <const> = 16

-- What is done with a spool that there is.
local function use(one)
  for i = 1, 10 do one:put("write", ('{"n":%d}'):format(i), one.source, i) end
  one:insist "sync"
  one:lines(many.numbers(11, 30) .. "bad\n" .. many.numbers(31, 40), 40)
  one:insist("note", '{"a":1}')
  one.spool:write_lines(many.numbers(1, 30), 1)
  one.spool:rollback()
  one:put "seal"
  one:put("write", '{"n":41}', one.source, 41)
  one:insist "sync"
  one:insist("mkdir", "failed/1")
  one:insist("save", "failed/1/why.json", "{}")
  one:insist("append", "failed/1/why.json", "[]")
  one:insist("rename", "failed/1/why.json", "failed/1/other.json")
  one:insist "sync"
  while not os.rename(one.path .. "/rejected/records.jsonl", one.path .. "/moved") do one:wait(true) end
  one:lines(many.numbers(42, 50) .. "bad\n" .. many.numbers(51, 60), 60)
  one.spool:write_lines(many.numbers(1, 5), 1)
  one.spool:rollback()
  one:put "seal"
  one:insist("save", "trouble.json", "{}")
  one:insist("remove", "trouble.json")
  one:insist "sync"
end

local function check(one)
  local text, segments, state = one:content()
  assert(text == many.numbers(1, 60), text)
  assert(state["source/s"] == 60 and state.a == 1)
  assert(#core.fs.list(one.path .. "/seg") == segments)
  local rejected = '{"reason":"it is no JSON object"}\n'
  assert(shell.read(one.path .. "/rejected/records.jsonl") == rejected)
  local moved = shell.read(one.path .. "/moved")
  assert(moved == rejected or call == "ftruncate" and moved == rejected:rep(2)) -- then it cannot be cut
  assert(shell.read(one.path .. "/failed/1/other.json") == "{}[]")
  assert(not core.fs.list(one.path .. "/failed/1")[2])
end

local function body(nth, result)
  return function(one)
    local function fail() disk.fail(one.path, call, errno, nth, count) end
    if opening then fail() end
    local state, err = one:open()
    if not state then
      assert(err.kind == "config", err)
      disk.mend(one.path)
      assert(one:open())
    end
    if not opening then fail() end
    one.on_wait = function(failed)
      if disk.failed(one.path) > 0 and (failed or one.spool:status().disk_error) then disk.mend(one.path) end
    end
    use(one)
    one:close()
    result.failed = disk.failed(one.path)
    disk.mend(one.path)
    assert(one:open())
    check(one)
    one:close()
  end
end

-- Runs those with these numbers. Whether each has had a failure.
local function run(numbers)
  local bodies, results = {}, {}
  for i, nth in ipairs(numbers) do
    results[i] = {}
    bodies[i] = body(nth, results[i])
  end
  many.run(directory, bodies, { file_bytes = 160 })
  local all = true
  for _, result in ipairs(results) do all = all and result.failed > 0 end
  return all
end

if opening then
  run { 1, 2, 3, 4, 5, 64, 65, 66, 128, 129, 130 }
  print "ok"
  return
end
local nth = 1
repeat
  local numbers = {}
  for i = 1, AT_ONCE do numbers[i] = nth + i - 1 end
  nth = nth + AT_ONCE
until not run(numbers)
print(("ok, less than %d"):format(nth))
