--- The event loops that the module is measured in: how each runs something, and lets it be done every millisecond.
local cqueues = require "cqueues"
local uv = require "luv"

local MILLISECOND <const> = 0.001

local hosts = { names = { "cqueues", "luv" }, cqueues = {}, luv = {} }

--- Runs a function in a coroutine of the loop, until nothing is left to do in it.
function hosts.cqueues.run(body)
  local loop = cqueues.new()
  loop:wrap(body)
  assert(loop:loop())
end

--- Calls `heard` about every millisecond with the seconds by which it is late, until that returns true.
function hosts.cqueues.tick(heard)
  local before = cqueues.monotime()
  cqueues.running():wrap(function()
    repeat
      cqueues.sleep(MILLISECOND)
      local now = cqueues.monotime()
      local late = now - before - MILLISECOND
      before = now
    until heard(late)
  end)
end

function hosts.luv.run(body)
  local thread, fault = coroutine.create(body), nil
  local function begin()
    local fine, message = coroutine.resume(thread)
    if not fine then fault = message end
  end
  begin()
  uv.run()
  assert(not fault, fault)
  assert(coroutine.status(thread) == "dead", "the loop ended before its work")
end

function hosts.luv.tick(heard)
  local timer, before = uv.new_timer(), uv.hrtime()
  timer:start(1, 1, function()
    local now = uv.hrtime()
    local late = (now - before) / 1e9 - MILLISECOND
    before = now
    if heard(late) then timer:close() end
  end)
end

return hosts
