-- The adapter for luv: what it does with the threads that are to go on.
local adapter = require "catalog.loop.luv"
local shell = require "support.shell"
local uv = require "luv"

-- Threads that note their names when they go on.
local function threads_of(names, order)
  local threads = {}
  for i, name in ipairs(names) do
    threads[i] = coroutine.create(function()
      coroutine.yield()
      order[#order + 1] = name
    end)
    assert(coroutine.resume(threads[i]))
  end
  return threads
end

describe("the adapter for luv", function()
  it("goes on with threads in their turn, from the loop and not from who tells it", function()
    local order = {}
    for _, thread in ipairs(threads_of({ "a", "b", "c" }, order)) do adapter.resume(thread) end
    assert.same({}, order)
    uv.run()
    assert.same({ "a", "b", "c" }, order)
  end)

  it("passes over a thread that somebody has closed", function()
    local order = {}
    local threads = threads_of({ "a", "b" }, order)
    for _, thread in ipairs(threads) do adapter.resume(thread) end
    assert(coroutine.close(threads[1]))
    uv.run()
    assert.same({ "b" }, order)
  end)

  it("leaves what a thread raises to luv, which ends the program", function()
    local output, status = shell.lua [[
      local thread = coroutine.create(function()
        coroutine.yield()
        error "on purpose"
      end)
      coroutine.resume(thread)
      require("catalog.loop.luv").resume(thread)
      require("luv").run()
    ]]
    assert.matches("Uncaught Error: .*on purpose", output)
    assert.not_equal(0, status)
  end)

  it("calls a watch while its descriptor is readable, until that returns false or is ended", function()
    for _, ended in ipairs { false, true } do
      local fds = assert(uv.pipe({ nonblock = true }, { nonblock = true }))
      local writer, calls, stop = uv.new_pipe(), 0, nil
      assert(writer:open(fds.write))
      writer:write "x" -- nobody reads it
      stop = adapter.watch(fds.read, function()
        calls = calls + 1
        if ended and calls == 2 then stop() end
        return ended or calls < 3
      end)
      local timer, wanted, rounds = uv.new_timer(), ended and 2 or 3, 0
      timer:start(1, 1, function()
        if calls >= wanted then rounds = rounds + 1 end
        if rounds < 10 then return end -- the calls have ended by then
        timer:close()
        writer:close()
        stop()
      end)
      uv.run()
      assert.equal(wanted, calls)
    end
  end)
end)
