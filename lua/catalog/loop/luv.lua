--- The adapter for luv. Calls wait in coroutines, whoever has made them, and the loop goes on turning. In a coroutine
-- that yields to somebody else than the loop (an iterator, say) a call would yield to that.
-- @module catalog.loop.luv
-- @usage local client = catalog.client { loop = require "catalog.loop.luv" }
local uv = require "luv"

local adapter = {}

-- A fault of the coroutine is the callback's: luv says what it does about those.
local function go_on(thread)
  if coroutine.status(thread) ~= "suspended" then return end -- somebody has closed it
  local fine, message = coroutine.resume(thread)
  if not fine then error(type(message) == "string" and debug.traceback(thread, message) or message, 0) end
end

local handles = {} -- fd -> what luv polls it with; luv takes a descriptor once

-- Polls no more, whatever ends the wait.
local Stop = {}

function Stop:__close() self.handle:stop() end

function adapter.wait(fd)
  local thread, handle = coroutine.running(), handles[fd]
  if not handle then
    handle = assert(uv.new_poll(fd))
    handles[fd] = handle
  end
  local _ <close> = setmetatable({ handle = handle }, Stop)
  assert(handle:start("r", function() go_on(thread) end))
  coroutine.yield()
end

adapter.suspend = coroutine.yield

local queue, bell = {}, nil

-- Goes on with those that were to be, each from here and not from within another.
local function answer()
  local threads = queue
  queue = {}
  bell:stop()
  for i, thread in ipairs(threads) do
    local fine, message = pcall(go_on, thread)
    if not fine then
      for k = i + 1, #threads do adapter.resume(threads[k]) end
      error(message, 0)
    end
  end
end

function adapter.resume(thread)
  bell = bell or assert(uv.new_idle())
  queue[#queue + 1] = thread
  if #queue == 1 then bell:start(answer) end
end

function adapter.spawn(body)
  coroutine.wrap(body)()
end

return adapter
