-- How coroutines of a host's loop wait, whatever its adapter does.
local batches = require "support.batches"
local catalog = require "catalog"
local core = require "catalog.core"
local cqueues = require "cqueues"
local emulator = require "catalog.emulator"
local raw = require "support.raw"
local service = require "support.service"

local SILENT <const> = { { { hang = true } } }

local create <const> = batches.create
local add_id <const> = batches.add_id

describe("an adapter", function()
  local server
  setup(function() server = assert(emulator.start { latency_ms = 5 }) end)
  teardown(function() server:stop() end)

  -- Coroutines that other specs have left in the middle of a call are no part of these.
  before_each(function()
    collectgarbage()
    collectgarbage()
  end)

  local function client_of(loop) return service.client(server.url, { loop = loop }) end

  -- A host's loop in few lines: `turn()` calls the callback when its descriptor is readable, and resumes who is to go on.
  local function new_loop()
    local loop, queue, adapter = { watches = 0 }, {}, nil
    function loop.watch(fd, callback)
      loop.watches = loop.watches + 1
      loop.fd, loop.callback = fd, callback
    end
    function loop.suspend() coroutine.yield() end
    function loop.resume(thread) queue[#queue + 1] = thread end
    function loop.turn(seconds)
      if loop.callback and require "support.poll"(loop.fd, seconds or 0.01) and not loop.callback() then loop.callback = nil end
      while queue[1] do assert(coroutine.resume(table.remove(queue, 1))) end
    end
    function loop.client(changes)
      adapter = adapter or { watch = loop.watch, suspend = loop.suspend, resume = loop.resume }
      local settings = { loop = adapter }
      for name, value in pairs(changes or {}) do settings[name] = value end
      return service.client(server.url, settings)
    end
    return loop
  end

  it("may come back early, or late", function()
    local early = client_of { wait = function() end }
    assert.is_string(coroutine.wrap(function() return create(early).id end)())
    local late = client_of { wait = function() cqueues.sleep(0.02) end }
    assert.is_string(coroutine.wrap(function() return create(late).id end)())
  end)

  it("that raises raises out of the call, which leaves nothing behind", function()
    local count = 0
    local client = client_of { wait = function()
      count = count + 1
      if count == 2 then error "the host's own" end
    end }
    coroutine.wrap(function()
      assert.error_matches(function() create(client) end, "the host's own")
      assert.is_string(create(client).id)
    end)()
  end)

  it("of which one of many coroutines is closed in the middle goes on with the others", function()
    local loop, threads, ids = new_loop(), {}, {}
    local client = loop.client()
    for i = 1, 3 do
      threads[i] = coroutine.create(function() add_id(ids, client) end)
      assert(coroutine.resume(threads[i]))
    end
    assert(coroutine.close(threads[1])) -- the one that came first
    while loop.callback do loop.turn() end
    assert.equal(2, #ids)
    assert.equal(1, loop.watches)
  end)

  it("is held to no coroutine of the host's: who drops one that is suspended has it go on all the same", function()
    local loop, id = new_loop(), nil
    local client = loop.client()
    for _ = 1, 2 do
      assert(coroutine.resume(coroutine.create(function() id = create(client).id end)))
      collectgarbage()
      collectgarbage()
    end
    while loop.callback do loop.turn() end
    assert.is_string(id)
  end)

  it("whose watch never calls keeps nobody else from going on, and is told who is to go on by their turns", function()
    local resumed
    local client = client_of { watch = function() end, suspend = coroutine.yield, resume = function(thread) resumed = thread end }
    local thread = coroutine.create(function() return create(client).id end)
    assert(coroutine.resume(thread))
    local plain, turns = service.client(server.url), 0
    while not resumed and turns < 100 do
      turns = turns + 1
      create(plain)
    end
    assert.equal(thread, resumed)
    assert.is_string(select(2, coroutine.resume(thread)))
  end)

  it("that calls after it was told to stop is told again, and harms nothing", function()
    local loop, ids = new_loop(), {}
    local client = loop.client()
    local function begin() assert(coroutine.resume(coroutine.create(function() add_id(ids, client) end))) end
    begin()
    local stale = loop.callback
    while loop.callback do loop.turn() end
    for _ = 1, 3 do assert.is_false(stale()) end
    begin()
    assert.is_false(stale())
    while loop.callback do loop.turn() end
    assert.equal(2, #ids)
    assert.equal(2, loop.watches)
  end)

  it("whose watch raises raises out of the call, which leaves nothing behind", function()
    local loop, broken = new_loop(), true
    local client = service.client(server.url, { loop = {
      suspend = loop.suspend, resume = loop.resume, watch = function(...)
        if broken then error "the host's own" end
        loop.watch(...)
      end,
    } })
    local id
    coroutine.wrap(function()
      assert.error_matches(function() create(client) end, "the host's own")
      broken = false
      id = create(client).id
    end)()
    while loop.callback do loop.turn() end
    assert.is_string(id)
  end)

  it("whose resume raises warns, and the call it was for is the only one that hears nothing", function()
    local loop = new_loop()
    local client, id = service.client(server.url, { loop = {
      watch = loop.watch, suspend = loop.suspend, resume = function() error "the host's own" end,
    } }), nil
    assert(coroutine.resume(coroutine.create(function() id = create(client).id end)))
    local plain, turns = service.client(server.url), 0
    while loop.callback and turns < 100 do
      turns = turns + 1
      assert.is_string(create(plain).id)
      loop.turn(0)
    end
    assert.is_nil(loop.callback)
    assert.is_nil(id)
  end)

  it("is told once what a task raised that nobody awaits, and goes on", function()
    local loop, ids = new_loop(), {}
    local client, raised = loop.client(), {}
    local function begin()
      assert(coroutine.resume(coroutine.create(function() add_id(ids, client) end)))
    end
    catalog.spawn(function()
      create(client)
      error "on purpose"
    end)
    begin()
    while loop.callback do
      local fine, message = pcall(loop.turn)
      if not fine then
        raised[#raised + 1] = message
        begin()
      end
    end
    assert.equal(1, #raised)
    assert.matches("on purpose", raised[1], 1, true)
    assert.equal(2, #ids)
  end)

  it("whose coroutine is dropped lets go of what that waited for", function()
    local silent <close> = raw.start(SILENT)
    local client = service.client(silent.url, { loop = { wait = function() coroutine.yield() end } })
    local held = setmetatable({}, { __mode = "k" })
    do
      local thread = coroutine.create(function() return client:batch("b"):get() end)
      held[thread] = true
      assert(coroutine.resume(thread))
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(held))
  end)

  it("that has only `wait` is given the descriptor for one coroutine, and nil for few milliseconds for the others", function()
    local silent <close> = raw.start(SILENT)
    local given, most = {}, 0
    local function wait(fd, seconds)
      local thread = coroutine.running()
      given[thread] = fd or "none"
      if not fd then most = math.max(most, seconds) end
      local holders = 0
      for _, what in pairs(given) do holders = holders + (what ~= "none" and 1 or 0) end
      assert.equal(1, holders)
      coroutine.yield()
      given[thread] = nil
    end
    -- each client has an adapter of its own: the descriptor is one all the same
    local threads, kinds = {}, {}
    for i = 1, 4 do
      local client = service.client(silent.url, { loop = { wait = wait }, timeout = 0.1 })
      threads[i] = coroutine.create(function()
        local kind = select(2, client:batch("b"):get()).kind
        kinds[#kinds + 1] = kind
      end)
      assert(coroutine.resume(threads[i]))
    end
    local function count(what)
      local number = 0
      for _, one in pairs(given) do number = number + ((one == "none") == (what == "none") and 1 or 0) end
      return number
    end
    assert.equal(3, count "none")
    assert.is_true(most > 0 and most <= 0.010)
    assert(coroutine.close(threads[1])) -- another is given it then
    given[threads[1]] = nil
    while #kinds < 3 do
      cqueues.sleep(0.005)
      for _, thread in ipairs(threads) do
        if coroutine.status(thread) == "suspended" then assert(coroutine.resume(thread)) end
      end
      assert.is_true(#kinds > 0 or count "fd" == 1)
    end
    assert.same({ "timeout", "timeout", "timeout" }, kinds)
  end)

  it("that has only `wait` finds its descriptor readable when another's turn has ended what it waits for", function()
    local waiting
    local client, id = client_of { wait = function(fd)
      waiting = fd
      coroutine.yield()
    end }, nil
    local thread = coroutine.create(function() id = create(client).id end)
    assert(coroutine.resume(thread))
    local plain, readable = service.client(server.url), require "support.poll"
    local engine = core.engine.get()
    repeat create(plain) until engine:idle() -- in place
    assert.is_true(readable(waiting, 0))
    assert.is_true(readable(waiting, 0)) -- until it has come back
    assert(coroutine.resume(thread))
    assert.is_string(id)
    assert.is_false(readable(waiting, 0))
  end)

  it("of a host that never turns keeps nothing alive, and others may go on", function()
    local stuck = client_of { wait = function() coroutine.yield() end }
    local thread = coroutine.create(function() return create(stuck) end)
    assert(coroutine.resume(thread))
    assert.is_string(create(service.client(server.url)).id)
    assert.equal("suspended", coroutine.status(thread))
  end)

  it("whose loop is late each time lets a call end all the same", function()
    local silent <close> = raw.start(SILENT)
    local client, kind = client_of { wait = function()
      cqueues.sleep(0.16)
      coroutine.yield()
    end }, nil
    client = service.client(silent.url, { loop = client.loop, timeout = 0.2 })
    local thread = coroutine.create(function() kind = select(2, client:batch("b"):get()).kind end)
    for _ = 1, 60 do
      if not kind then assert(coroutine.resume(thread)) end
    end
    assert.equal("timeout", kind)
  end)

  it("may be one of two in a state: each has its own watch, and calls in both go on", function()
    local one, two, ids = new_loop(), new_loop(), {}
    for _, loop in ipairs { one, two, one, two } do
      local client = loop.client()
      assert(coroutine.resume(coroutine.create(function()
        for _ = 1, 3 do add_id(ids, client) end
      end)))
    end
    while one.callback or two.callback do
      one.turn()
      two.turn(0)
    end
    assert.equal(12, #ids)
  end)
end)
