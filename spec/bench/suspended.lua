--- What is measured of calls that wait: the memory of each, and whether it is given back when they are cancelled.
local bare = require "bench.bare"

local KIB <const>, MOST <const>, KEPT <const> = 1024, 32, 1 -- KiB a call
local GROUP <const> = 1000 -- calls that are begun at once
local SPARE <const> = 100  -- descriptors of a process for other things than calls

local suspended = {}

local function measure(bench, url, groups)
  local pipe = assert(io.popen(("'%s' '%s/spec/bench/waiters.lua' %s %d %d"):format(bench.lua, bench.root, url, groups,
    GROUP + 1)))
  local rounds, count = {}, groups * GROUP
  for i = 1, 2 do
    local before, dirty, waiting, lua, after = pipe:read("n", "n", "n", "n", "n")
    assert(after, "the process that waits did not finish")
    rounds[i] = {
      each = (waiting - before) / count / KIB, dirty = (dirty - before) / count / KIB, lua = lua / count / KIB,
      kept = (after - before) / count / KIB,
    }
  end
  pipe:close()
  return rounds[1], rounds[2]
end

--- Measures all of it.
function suspended.run(bench)
  local wanted, possible = bench.size.suspended // GROUP, (bare.descriptors() - SPARE) // (GROUP + 1)
  local groups, port = math.min(wanted, possible), bare.ports(1)[1]
  if groups < wanted then bench.note("%d calls, no more: there are no more descriptors", groups * GROUP) end
  local child = bare.spawn("/usr/bin/env", bench.lua, bench.root .. "/spec/bench/silent.lua", tostring(port),
    tostring(groups), tostring(GROUP + 1))
  local _ <close> = setmetatable({}, { __close = function() bare.stop(child) end })
  assert(bare.await_port(port, 5), "the silent server does not start")
  local first, second = measure(bench, "http://127.0.0.1:" .. port, groups)
  bench.row(("memory of %d calls that wait: each"):format(groups * GROUP), ("<= %d KiB"):format(MOST),
    ("%.1f KiB"):format(first.each), first.each <= MOST)
  bench.note("%.1f KiB of that are Lua's; %.1f KiB with what is garbage already", first.lua, first.dirty)
  bench.row("the same: kept after they were cancelled, each", ("<= %d KiB"):format(KEPT), ("%.2f KiB"):format(first.kept),
    first.kept <= KEPT)
  bench.note("once more: %.1f KiB each, and %.2f more kept", second.each, second.kept)
end

return suspended
