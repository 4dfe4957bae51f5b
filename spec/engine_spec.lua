local core = require "catalog.core"
local in_flight = require "support.in_flight"
local poll = require "support.poll"
local raw = require "support.raw"
local service = require "support.service"

local CREATED <const> = raw.answer("201 Created", '{"id":"b1"}')

local function start(client)
  return in_flight(client, {
    method = "POST", path = "/data/foundation/import/batches", content_type = "application/json", body = "{}",
  })
end

describe("the engine", function()
  -- It is one for all specs: what others have dropped is taken out of it.
  before_each(function()
    collectgarbage()
    collectgarbage()
    while core.engine.get():next_completed() do end
  end)

  it("is one for all clients of a state", function()
    local server <close> = raw.start { { { send = CREATED } } }
    local engine, waiting = core.engine.get(), {}
    assert.is_true(rawequal(engine, core.engine.get()))
    for _ = 1, 2 do waiting[start(service.client(server.url))] = true end
    while next(waiting) do
      engine:step(5)
      for transfer in function() return engine:next_completed() end do waiting[transfer] = nil end
    end
  end)

  it("runs many transfers at once and gives each back once", function()
    local server <close> = raw.start { { { send = CREATED, pause = 0.05 } } }
    local client = service.client(server.url)
    local waiting = {}
    for _ = 1, 8 do waiting[start(client)] = true end
    while next(waiting) do
      core.engine.get():step(5)
      local transfer = core.engine.get():next_completed()
      while transfer do
        assert.is_true(waiting[transfer])
        assert.is_true(transfer:done())
        assert.equal(201, (transfer:reply()))
        waiting[transfer] = nil
        transfer = core.engine.get():next_completed()
      end
    end
    assert.is_nil(core.engine.get():next_completed())
  end)

  it("has a descriptor that is readable when there is work, until all is collected", function()
    local server <close> = raw.start { { { send = CREATED } } }
    local client = service.client(server.url)
    local transfer = start(client)
    local function readable(seconds) return poll(core.engine.get():fd(), seconds) end
    while not transfer:done() do
      assert.is_true(readable(10))
      core.engine.get():step(0)
    end
    assert.is_true(readable(0))
    assert.is_true(readable(0))
    assert.is_true(rawequal(transfer, core.engine.get():next_completed()))
    assert.is_nil(core.engine.get():next_completed())
    assert.is_false(readable(0))
  end)

  it("wakes its descriptor for a deadline", function()
    local server <close> = raw.start { { { hang = true } } }
    local client = service.client(server.url, { timeout = 0.1 })
    local transfer = start(client)
    while not transfer:done() do
      assert.is_true(poll(core.engine.get():fd(), 10))
      core.engine.get():step(0)
    end
    local status, err = transfer:reply()
    assert.is_nil(status)
    assert.equal("timeout", err.kind)
  end)

  it("keeps its descriptor up to date once it was asked for", function()
    local server <close> = raw.start { { { send = CREATED }, { send = CREATED } } }
    local client = service.client(server.url)
    local engine = core.engine.get()
    local fd = engine:fd()
    assert.is_false(poll(fd, 0))
    local transfer = start(client)
    while not transfer:done() do
      assert.is_true(poll(fd, 10))
      engine:step(0)
    end
    assert.is_true(poll(fd, 0))
    assert.is_true(rawequal(transfer, engine:next_completed()))
    assert.is_nil(engine:next_completed())
    assert.is_false(poll(fd, 0))
    assert(client:create_batch { dataset = service.DATASET })
    assert.is_false(poll(fd, 0))
    engine:wake(true)
    assert.is_true(poll(fd, 0))
    engine:wake(false)
    assert.is_false(poll(fd, 0))
    engine:set_timer(core.system.monotonic())
    assert.is_true(poll(fd, 10))
    engine:set_timer(nil)
    assert.is_false(poll(fd, 0))
  end)

  it("gives a transfer at most a second more when its host did other work", function()
    local server <close> = raw.start { { { hang = true } } }
    local client = service.client(server.url, { timeout = 5 })
    local transfer = assert(core.transfer.start(client.connection, { method = "GET", url = server.url .. "/" },
      core.client.headers {}, 0.2))
    core.engine.get():step(0.05)
    require "cqueues".sleep(0.5)
    for i = 1, 2 do -- once at the first step after its deadline
      core.engine.get():step(0)
      assert.is_false(transfer:done(), i)
    end
    require "cqueues".sleep(0.5)
    core.engine.get():step(0)
    assert.is_true(transfer:done())
    assert.equal("timeout", select(2, transfer:reply()).kind)
  end)

  it("passes over what has happened before it looks at deadlines, when its host did other work", function()
    local cqueues = require "cqueues"
    local server <close> = raw.start { { { send = CREATED, pause = 0.3 } } }
    local client = service.client(server.url, { timeout = 0.2 })
    local transfer = start(client)
    core.engine.get():step(0.05) -- the request is out
    cqueues.sleep(0.5)       -- longer than the timeout: by now the answer is here
    core.engine.get():step(0.1)
    assert.is_true(transfer:done())
    assert.equal(201, (transfer:reply()))
  end)

  it("sees a deadline though its host is late each time, whoever asks for the descriptor", function()
    local server <close> = raw.start { { { hang = true } } }
    local client = service.client(server.url, { timeout = 0.3 })
    local engine, turns = core.engine.get(), 0
    local transfer <close> = in_flight(client, { method = "GET", path = "/", content_type = "x/y" })
    while not transfer:done() and turns < 30 do
      turns = turns + 1
      engine:fd()
      local ends = core.system.monotonic() + 0.25
      while core.system.monotonic() < ends do end
      engine:fd() -- as for another call that begins
      engine:step(0)
    end
    assert.is_true(transfer:done())
  end)

  it("drops a transfer that nobody holds any more", function()
    local server <close> = raw.start { { { hang = true } } }
    local client = service.client(server.url)
    start(client)
    collectgarbage()
    collectgarbage()
    core.engine.get():step(0)
    assert.is_nil(core.engine.get():next_completed())
  end)

  it("says what a transfer and an engine are, also when closed", function()
    local server <close> = raw.start { { { hang = true } } }
    local client = service.client(server.url)
    local transfer = start(client)
    assert.matches("^catalog.transfer %(POST .*batches, in flight%)$", tostring(transfer))
    transfer:close()
    transfer:close()
    assert.matches("closed%)$", tostring(transfer))
    assert.error_matches(function() transfer:reply() end, "the transfer is closed", 1, true)
    assert.equal("catalog.engine (open)", tostring(core.engine.get()))
    client:close()
    client:close()
    local again, err = client:create_batch { dataset = service.DATASET }
    assert.is_nil(again)
    assert.equal("cancelled", err.kind)
  end)
end)
