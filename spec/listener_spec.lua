local core = require "catalog.core"
local scheduler = require "catalog.scheduler.scheduler"
local tasks = require "catalog.scheduler.tasks"
local cqueues = require "cqueues"
local socket = require "cqueues.socket"

-- Two ends of a connection, whose descriptors can be polled.
local function pair()
  local near, far = socket.pair(socket.SOCK_STREAM)
  return near, far, near:pollfd()
end

describe("a listener", function()
  it("is done once its descriptor is readable, and can be started again", function()
    local near, far, descriptor = pair()
    local listener <close> = core.listener.new(descriptor)
    assert.is_true(listener:done())
    for _ = 1, 3 do
      assert.is_true(listener:start())
      assert.is_false(listener:done())
      assert.is_false(core.engine.get():idle())
      assert.equal(0, core.engine.get():step(0))
      far:write "x"
      far:flush()
      assert.is_true(scheduler.transfer(listener))
      assert.is_true(listener:done())
      assert.equal("x", near:read(1))
    end
    near:close()
    far:close()
  end)

  it("wakes a task, beside others", function()
    local near, far, descriptor = pair()
    local order = {}
    tasks.run(function()
      tasks.spawn(function()
        local listener <close> = core.listener.new(descriptor)
        assert(listener:start())
        assert(scheduler.transfer(listener))
        order[#order + 1] = "readable"
      end)
      assert(scheduler.sleep(0.01))
      order[#order + 1] = "written"
      far:write "x"
      far:flush()
    end)
    assert.same({ "written", "readable" }, order)
    near:close()
    far:close()
  end)

  it("wakes a coroutine of a host's loop", function()
    local near, far, descriptor = pair()
    local loop, seen = cqueues.new(), nil
    loop:wrap(function()
      local listener <close> = core.listener.new(descriptor)
      assert(listener:start())
      seen = scheduler.transfer(listener, require "catalog.loop.cqueues")
    end)
    loop:wrap(function()
      cqueues.sleep(0.01)
      far:write "x"
      far:flush()
    end)
    assert(loop:loop())
    assert.is_true(seen)
    near:close()
    far:close()
  end)

  it("that is closed or dropped waits no more", function()
    local near, far, descriptor = pair()
    local listener = core.listener.new(descriptor)
    assert(listener:start())
    listener:close()
    assert.is_true(listener:done())
    core.listener.new(descriptor):start()
    collectgarbage()
    collectgarbage()
    assert.is_true(core.engine.get():idle())
    far:write "x"
    far:flush()
    assert.equal(0, core.engine.get():step(0))
    near:close()
    far:close()
  end)

  it("is refused for what cannot be polled", function()
    local path = os.tmpname()
    local file <close> = core.file.open(path)
    assert(file)
    local taken = io.open("/proc/self/fd/" .. 0)
    if taken then taken:close() end
    for descriptor = 3, 255 do
      local listener = core.listener.new(descriptor)
      local target = io.popen(("readlink /proc/$PPID/fd/%d"):format(descriptor)):read "a"
      if target:find(path, 1, true) then
        local started, err = listener:start()
        assert.is_nil(started)
        assert.equal("config", err.kind)
        assert.is_truthy(err.message:find(("descriptor %d"):format(descriptor), 1, true))
        os.remove(path)
        return
      end
    end
    error "the descriptor of the file was not found"
  end)
end)
