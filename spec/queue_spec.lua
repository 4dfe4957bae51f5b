-- The tasks that are ready, and the coroutines they run in.
local catalog = require "catalog"
local queue = require "catalog.scheduler.queue"
local sleep = require("catalog.scheduler.scheduler").sleep

describe("the queue of ready tasks", function()
  it("resumes them in the order in which they became ready", function()
    local order = {}
    catalog.run(function()
      for i, name in ipairs { "a", "b", "c" } do
        catalog.spawn(function()
          for step = 1, 2 do
            sleep(0.001 * i)
            order[#order + 1] = name .. step
          end
        end)
      end
      os.execute "sleep 0.02" -- by now all are due, and the next of each is not
    end)
    assert.same({ "a1", "b1", "c1" }, { table.unpack(order, 1, 3) })
    assert.same({ "a2", "b2", "c2" }, { table.unpack(order, 4) })
  end)

  it("gives the coroutine of a task that is done to another", function()
    local threads = {}
    local function note() threads[#threads + 1] = coroutine.running() end
    catalog.run(function() catalog.spawn(note):await() end)
    catalog.run(function() catalog.spawn(note):await() end)
    assert.equal(threads[1], threads[2])
    assert.equal("suspended", coroutine.status(threads[2]))
    assert.is_nil(queue.task_of[threads[2]])
  end)

  it("is empty, and no task is being resumed, when all is over", function()
    catalog.map({ 1, 2, 3 }, function() return sleep(0.001) end)
    pcall(catalog.run, error)
    assert.equal(0, queue.count)
    assert.equal(0, queue.depth)
    assert.is_false(queue.first)
    assert.is_false(queue.last)
  end)
end)
