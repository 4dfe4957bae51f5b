--- The adapter for luv. Calls wait in coroutines, whoever has made them, and the loop goes on turning. In a coroutine
-- that yields to somebody else than the loop (an iterator, say) a call would yield to that.
-- @module catalog.loop.luv
-- @usage local client = catalog.client { loop = require "catalog.loop.luv" }
local uv = require "luv"

local adapter = {}

local queue, idle = {}, nil -- threads that are to go on; a handle whose callback is called when the loop turns
local handles = {} -- fd -> what luv polls it with; luv takes a descriptor once

-- Goes on with those that were to be, each from here and not from within another. A fault of the coroutine is the
-- callback's: luv says what it does about those.
local function flush()
  local threads = queue
  queue = {}
  idle:stop()
  for i, thread in ipairs(threads) do
    if coroutine.status(thread) == "suspended" then -- nobody has closed it
      local fine, message = coroutine.resume(thread)
      if not fine then
        for k = i + 1, #threads do adapter.resume(threads[k]) end
        error(type(message) == "string" and debug.traceback(thread, message) or message, 0)
      end
    end
  end
end

function adapter.watch(fd, callback)
  local handle = handles[fd] or assert(uv.new_poll(fd))
  handles[fd] = handle
  assert(handle:start("r", function()
    if not callback() then handle:stop() end
  end))
  return function() handle:stop() end
end

adapter.suspend = coroutine.yield

function adapter.resume(thread)
  queue[#queue + 1] = thread
  if queue[2] then return end
  idle = idle or assert(uv.new_idle())
  idle:start(flush)
end

return adapter
