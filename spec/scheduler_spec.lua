-- The one place that waits: in tasks, in coroutines that somebody else resumes, and where nothing can yield.
local batches = require "support.batches"
local catalog = require "catalog"
local scheduler = require "catalog.scheduler.scheduler"
local service = require "support.service"

local queue <const>, sleep <const> = scheduler.queue, scheduler.sleep


local create <const> = batches.create

describe("a task", function()
  it("may call where one cannot yield, in the middle of other calls", function()
    service.run({ latency_ms = 20 }, function(_, client)
      local ids = catalog.run(function()
        catalog.spawn(create, client)
        local list = {}
        for i = 1, 3 do
          ("a"):gsub(".", function() list[#list + 1] = create(client).id end)
          list[#list + 1] = create(client).id
          assert.equal(2 * i, #list)
        end
        return list
      end)
      assert.equal(6, #ids)
    end)
  end)

  it("lets a task be awaited within a map that holds it up", function()
    local value
    catalog.run(function()
      local task = catalog.spawn(function()
        sleep(0.01)
        return "its value"
      end)
      ;("a"):gsub(".", function() value = catalog.map({ 1 }, function() return task:await() end)[1] end)
    end)
    assert.equal("its value", value)
  end)

  it("that waits for one below it on the same stack raises, and hangs nowhere", function()
    -- `below` waits in place; the tasks that are resumed meanwhile stand above it
    local function above_and_below(wait)
      local below, value
      local _, message = pcall(catalog.run, function()
        below = catalog.spawn(function()
          sleep(0.001)
          catalog.spawn(function()
            sleep(0.001)
            value = wait(below)
          end)
          local other = catalog.spawn(function() return sleep(0.02) end)
          ;("a"):gsub(".", function() other:await() end)
          return "its value"
        end)
      end)
      return message, value
    end
    local in_place = above_and_below(function(below) ("a"):gsub(".", function() below:await() end) end)
    assert.matches("is below it on the same stack", in_place, 1, true)
    local within = above_and_below(function(below)
      ("a"):gsub(".", function() catalog.map({ 1 }, function() return below:await() end) end)
    end)
    assert.matches("this would wait for ever", within, 1, true)
    -- where it can yield, the one below goes on
    local message, value = above_and_below(function(below) return below:await() end)
    assert.is_nil(message)
    assert.equal("its value", value)
  end)

  it("may run others within itself, many levels deep", function()
    local function nest(level)
      if level == 0 then return "the bottom" end
      return catalog.run(nest, level - 1)
    end
    assert.equal("the bottom", nest(1000))
    local count = 0
    local function chain(level)
      count = count + 1
      if level > 0 then catalog.spawn(chain, level - 1) end
    end
    catalog.run(chain, 1000)
    assert.equal(1001, count)
  end)

  it("is awaited where one cannot yield, too, and part of a map is no way round a circle", function()
    service.run({ latency_ms = 5 }, function(_, client)
      local id
      catalog.run(function()
        local task = catalog.spawn(function() return create(client).id end)
        assert.equal("a", (("a"):gsub(".", function() id = task:await() end)))
      end)
      assert.is_string(id)
    end)
    assert.error_matches(function()
      catalog.run(function()
        local task
        task = catalog.spawn(function()
          sleep(0.001)
          catalog.map({ 1 }, function() task:await() end)
        end)
      end)
    end, "a task cannot await itself")
  end)

  it("is shared by clients, and by coroutines of its own, which block", function()
    service.run({ latency_ms = 5 }, function(server, client)
      local other = service.client(server.url, { sandbox = "other" })
      local ids = catalog.run(function()
        local task = catalog.spawn(create, other)
        local inner = coroutine.wrap(function()
          coroutine.yield(create(client).id)
          coroutine.yield(create(other).id)
        end)
        return { inner(), inner(), task:await().id }
      end)
      assert.equal(3, #ids)
    end)
  end)
end)

describe("run", function()
  it("raises where a task yields to somebody else, with the place, and closes what the task has to close", function()
    local closed, sibling = false, nil
    local function yielder()
      local _ <close> = setmetatable({}, { __close = function() closed = true end })
      coroutine.yield "for you"
    end
    local thread = coroutine.create(function()
      catalog.run(function()
        catalog.spawn(function() sibling = select(2, sleep(3600)).kind end)
        yielder()
      end)
    end)
    local fine, message = coroutine.resume(thread)
    assert.is_false(fine)
    assert.matches("a task yielded to something else than this module's scheduler", message, 1, true)
    assert.matches("in upvalue 'yielder'", message, 1, true)
    assert.is_true(closed)
    assert.equal("cancelled", sibling)
  end)
end)

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

  it("is empty, and no task is being resumed, when all is over", function()
    catalog.map({ 1, 2, 3 }, function() return sleep(0.001) end)
    pcall(catalog.run, error)
    assert.equal(0, queue.count)
    assert.equal(0, queue.depth)
    assert.is_false(queue.first)
    assert.is_false(queue.last)
  end)
end)
