-- The pace of creations, which the service limits.
local catalog = require "catalog"
local core = require "catalog.core"
local new_rate_limiter = require "catalog.client.rate_limiter"
local raw = require "support.raw"
local service = require "support.service"

local DATASET <const> = service.DATASET
local QUICK <const> = { base = 0.01, cap = 0.02 }
local created <const>, refused <const> = raw.created, raw.refused

describe("the rate of creations", function()
  it("is slowed down once for all that meet the limit together", function()
    local free = new_rate_limiter(false)
    for _ = 1, 12 do free:observe { status = 429, retry_after = "1" } end
    assert.equal(1, free.interval)
    service.run({ faults = { {
      match = { method = "POST", path = "/import/batches$" }, times = 3,
      action = { status = 429, headers = { ["retry-after"] = "1" }, body = "{}" },
    } } }, function(server)
      local client = service.client(server.url, { retry = { tries = 5, base = 0.01, deadline = 60 } })
      assert(catalog.map({ 1, 2, 3 }, function() return client:create_batch { dataset = DATASET } end))
    end)
  end)

  it("is not taken from a few creations", function()
    for count = 0, 3 do
      local free = new_rate_limiter(false)
      for _ = 1, count do free:observe(nil) end
      free:observe { status = 429 }
      assert.equal(1, free.interval)
    end
  end)

  it("is without limit until the service shows one, and is let go again", function()
    local free = new_rate_limiter(false)
    for _ = 1, 30 do
      assert.equal(0, free:reserve(math.huge))
      free:observe(nil)
    end
    free:observe { status = 429 }
    assert.is_true(free:reserve(math.huge) > 1.5) -- thirty a minute is one every two seconds
    assert.is_true(free:reserve(math.huge) > 3.5)
    for _ = 1, 300 do free:observe(nil) end
    assert.is_nil(free.interval)
  end)

  it("is that of the last minute, however many were created before", function()
    local free = new_rate_limiter(false)
    for _ = 1, 12000 do free:observe(nil) end
    for i, at in ipairs(free.made) do free.made[i] = at - 120 end -- two minutes pass
    for _ = 1, 30 do free:observe(nil) end
    free:observe { status = 429 }
    assert.equal(2, free.interval)
  end)

  -- The pace after a 429 is one a second; the pauses of tries are a few milliseconds.
  it("is in the pause that the host is told of, for each of those who wait", function()
    service.run({ faults = { {
      match = { method = "POST", path = "/import/batches$" }, times = 2, action = { status = 429, body = "{}" },
    } } }, function(server)
      local told = {}
      local client = service.client(server.url, {
        retry = QUICK, on_retry = function(state) told[#told + 1] = state.pause end,
      })
      assert(catalog.map({ 1, 2 }, function() return client:create_batch { dataset = DATASET } end))
      assert.equal(2, #told)
      assert.is_true(told[1] > 0.5)
      assert.is_true(told[2] > told[1] + 0.5)
    end)
  end)

  it("is not waited for beyond the deadline of the call: nothing is sent then", function()
    local server <close> = raw.start { { refused("429 Slow", "", '{"title":"Slow"}'), created "b1" } }
    local client = service.client(server.url, { retry = { tries = 1, deadline = 0.2 } })
    client:create_batch { dataset = DATASET }
    local told = 0
    local often = service.client(server.url, {
      retry = { tries = 5, deadline = 0.2 }, on_retry = function() told = told + 1 end,
    })
    often.rate_limiter = client.rate_limiter
    for _, one in ipairs { client, client, often } do
      local batch, err = one:create_batch { dataset = DATASET }
      assert.is_nil(batch)
      assert.equal("limit", err.kind)
      assert.is_true(err.retryable)
      assert.is_nil(err.ambiguous)
    end
    assert.equal(0, told) -- it would be so each time
    assert.equal(1, #server:stop())
  end)

  it("is what the caller says, and never more", function()
    local bound = new_rate_limiter(60)
    assert.equal(0, bound:reserve(math.huge))
    assert.is_true(bound:reserve(math.huge) > 0.9)
    bound:observe { status = 429 }
    for _ = 1, 300 do bound:observe(nil) end
    assert.equal(1, bound.interval)
  end)

  it("is kept to by creations", function()
    local server <close> = raw.start { { created "b1", created "b2", created "b3" } }
    local client = service.client(server.url, { rate = 1200 })
    local before = core.system.monotonic()
    for _ = 1, 3 do assert(client:create_batch { dataset = DATASET }) end
    assert.is_true(core.system.monotonic() - before >= 0.1)
    local none, err = catalog.client(service.settings(server.url, { rate = 0 }))
    assert.is_nil(none)
    assert.matches("rate is a number of batches a minute", err.message, 1, true)
  end)
end)
