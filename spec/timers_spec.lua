-- The heap of timers.
local new_timers = require "catalog.scheduler.timers"

describe("a heap of timers", function()
  it("gives what is due, the soonest first, and nothing before its time", function()
    local timers, deadlines = new_timers(), {}
    for i = 1, 1000 do
      deadlines[i] = math.random(100)
      timers:add({ deadline = deadlines[i] }, deadlines[i])
    end
    -- its operations are held weakly: these live on in the list
    local kept = {}
    timers = new_timers()
    for i, deadline in ipairs(deadlines) do
      kept[i] = { deadline = deadline }
      timers:add(kept[i], deadline)
    end
    table.sort(deadlines)
    assert.is_nil(timers:expired(deadlines[1] - 0.5))
    for _, deadline in ipairs(deadlines) do
      assert.is_nil(timers:expired(deadline - 0.5))
      assert.equal(deadline, timers:expired(deadline).deadline)
    end
    assert.is_nil(timers:expired(math.huge))
    assert.equal(0, timers.count)
  end)

  it("lets any be taken out, once", function()
    local timers, all, kept = new_timers(), {}, {}
    for i = 1, 200 do
      kept[i] = { number = i }
      all[i] = timers:add(kept[i], math.random(50))
    end
    local left = {}
    for i, timer in ipairs(all) do
      if math.random(2) == 1 then
        timers:remove(timer)
        timers:remove(timer)
      else
        left[i] = true
      end
    end
    new_timers():remove(all[1]) -- nor is one of another heap's taken out
    local last = -math.huge
    for operation in function() return timers:expired(math.huge) end do
      assert.is_true(left[operation.number])
      assert.is_true(all[operation.number].deadline >= last)
      left[operation.number], last = nil, all[operation.number].deadline
    end
    assert.is_nil(next(left))
  end)

  it("keeps no operation alive: of one that was dropped only the time is left", function()
    local timers = new_timers()
    timers:add({}, 1)
    collectgarbage()
    collectgarbage()
    assert.is_true(timers:expired(1))
  end)
end)
