-- Within a host's event loop: the same calls, and the loop goes on turning.
local catalog = require "catalog"
local core = require "catalog.core"
local cqueues = require "cqueues"
local emulator = require "catalog.emulator"
local raw = require "support.raw"
local service = require "support.service"
local shell = require "support.shell"
local uv = require "luv"

local DATASET <const> = service.DATASET
local SILENT <const> = { { { hang = true } } }

local function create(client)
  return assert(client:create_batch { dataset = DATASET, format = "json" })
end

-- Adds the id of a new batch to a list: the place is the next one when the batch is there.
local function add_id(ids, client)
  local id = create(client).id
  ids[#ids + 1] = id
end

-- Hosts: each runs functions in coroutines of its loop, and calls `tick` every millisecond until they are over.
local hosts = {}

function hosts.cqueues(bodies, tick)
  local loop, left = cqueues.new(), #bodies
  for _, body in ipairs(bodies) do
    loop:wrap(function()
      body()
      left = left - 1
    end)
  end
  loop:wrap(function()
    while left > 0 do
      cqueues.sleep(0.001)
      tick()
    end
  end)
  assert(loop:loop())
  loop:close()
end

function hosts.luv(bodies, tick)
  local left, timer = #bodies, uv.new_timer()
  timer:start(1, 1, function()
    tick()
    if left == 0 then timer:close() end
  end)
  for _, body in ipairs(bodies) do
    coroutine.wrap(function()
      body()
      left = left - 1
    end)()
  end
  uv.run()
end

-- A host of the barest kind: coroutines that wait for a descriptor, resumed when it can be read.
local bare = { waiting = {} }

function hosts.bare(bodies, tick)
  local readable = require "support.poll"
  local threads = {}
  for i, body in ipairs(bodies) do threads[i] = coroutine.create(body) end
  while #threads > 0 do
    for i = #threads, 1, -1 do
      local thread = threads[i]
      local fd = bare.waiting[thread]
      if not fd or readable(fd, 0.001) then
        bare.waiting[thread] = nil
        assert(coroutine.resume(thread))
      end
      if coroutine.status(thread) == "dead" then table.remove(threads, i) end
    end
    tick()
  end
end

local adapters <const> = {
  cqueues = require "catalog.loop.cqueues", luv = require "catalog.loop.luv",
  bare = { wait = function(fd)
    bare.waiting[coroutine.running()] = fd
    coroutine.yield()
  end },
}

local function client_in(host, server, changes)
  local settings = { loop = adapters[host] }
  for name, value in pairs(changes or {}) do settings[name] = value end
  return service.client(server.url, settings)
end

for host, run in pairs(hosts) do
  describe("in a loop of " .. host .. ", a call", function()
    it("lets the loop turn, and others of its kind go on", function()
      local server <close> = assert(emulator.start { latency_ms = 30 })
      local client, ticks, bodies, ids, within = client_in(host, server), 0, {}, {}, 0
      for i = 1, 5 do
        bodies[i] = function()
          local before = ticks
          ids[i] = create(client).id
          if ticks > before then within = within + 1 end
        end
      end
      run(bodies, function() ticks = ticks + 1 end)
      assert.equal(5, #ids)
      assert.equal(5, within)
    end)

    it("may be a map, an ingest, a wait and a writer", function()
      shell.with_directory(function(directory)
        for i = 1, 4 do shell.write(("%s/f%d"):format(directory, i), ('{"n":1}\n'):rep(1000)) end
        local server <close> = assert(emulator.start { data_dir = directory .. "/data", latency_ms = 3, stage_ms = 10 })
        local client, ticks, done = client_in(host, server, { retry = { tries = 10, base = 0.01 } }), 0, {}
        server:set_faults { { rate = 0.1, action = { status = 503, body = "{}" } } }
        run({
          function()
            local report = assert(client:ingest {
              dataset = DATASET, format = "json", dir = directory, pattern = "f*", part_size = 1000, part_threshold = 2000,
            })
            done.ingest = report.metrics.outputRecordCount
          end,
          function()
            local batch <close> = create(client)
            local out = assert(batch:writer("w", { part_size = 1000 }))
            for i = 1, 1000 do assert(out:write { n = i }) end
            assert(out:close())
            assert(batch:complete())
            done.writer = assert(batch:wait()).metrics.outputRecordCount
          end,
          function() done.map = #assert(catalog.map({ 1, 2, 3, 4 }, function() return create(client).id end)) end,
        }, function() ticks = ticks + 1 end)
        assert.same({ ingest = 4000, writer = 1000, map = 4 }, done)
        assert.is_true(ticks > 0)
      end)
    end)

    it("ends when it is cancelled, or its client is closed, and the others do not", function()
      local silent <close> = raw.start(SILENT)
      local server <close> = assert(emulator.start { latency_ms = 5 })
      local client, other, closed = client_in(host, silent), client_in(host, server), client_in(host, silent)
      local kinds = {}
      run({
        function() kinds.closed = select(2, closed:batch("b"):get()).kind end,
        function()
          catalog.run(function()
            local task = catalog.spawn(function() return client:batch("b"):get() end)
            create(other)
            task:cancel()
            kinds.cancelled = select(2, task:await()).kind
          end)
        end,
        function()
          create(other)
          closed:close()
          create(other)
          kinds.other = "fine"
        end,
      }, function() end)
      assert.same({ closed = "cancelled", cancelled = "cancelled", other = "fine" }, kinds)
    end)

    it("lets the loop turn in the pauses between its tries, and calls back within it", function()
      local server <close> = assert(emulator.start {})
      local ticks, told, client = 0, {}, nil
      client = client_in(host, server, { retry = { base = 0.001 }, on_retry = function(state)
        told[#told + 1] = { state.attempt, ticks, client:batch("none"):get() == nil }
      end })
      server:set_faults { {
        match = { method = "POST" }, times = 1,
        action = { status = 429, headers = { ["retry-after"] = "1" }, body = '{"title":"Slow"}' },
      } }
      local before
      run({ function()
        before = ticks
        create(client)
      end }, function() ticks = ticks + 1 end)
      assert.equal(1, #told)
      assert.equal(2, told[1][1])
      assert.is_true(told[1][3])
      assert.is_true(ticks - told[1][2] >= 20, ("%d turns in a second"):format(ticks - told[1][2]))
      assert.is_number(before)
    end)

    it("ends at its deadline although nothing happens on the network", function()
      local silent <close> = raw.start(SILENT)
      local client, kind = client_in(host, silent, { timeout = 0.05 }), nil
      run({ function() kind = select(2, client:batch("b"):get()).kind end }, function() end)
      assert.equal("timeout", kind)
    end)

    it("blocks where it cannot yield, and is right all the same", function()
      local server <close> = assert(emulator.start { latency_ms = 2 })
      local client, ids = client_in(host, server), {}
      local function add()
        local id = create(client).id
        ids[#ids + 1] = id
      end
      run({
        function() ("ab"):gsub(".", function() add() end) end,
        function() for _ = 1, 3 do add() end end,
      }, function() end)
      assert.equal(5, #ids)
      assert.is_string(create(client).id) -- outside of the loop
    end)
  end)
end

for _, host in ipairs { "cqueues", "luv" } do
  describe("in a loop of " .. host, function()
    it("a spawned task goes on by itself", function()
      local server <close> = assert(emulator.start { latency_ms = 5 })
      local client, id, awaited = client_in(host, server), nil, nil
      hosts[host]({ function()
        local task = catalog.spawn(function()
          create(client)
          id = create(client).id
          return id
        end)
        awaited = task:await()
      end }, function() end)
      assert.is_string(id)
      assert.equal(id, awaited)
    end)

    it("a spawned task that raises does so where it is awaited", function()
      local server <close> = assert(emulator.start { latency_ms = 5 })
      local client, message = client_in(host, server), nil
      hosts[host]({ function()
        local task = catalog.spawn(function()
          create(client)
          error "on purpose"
        end)
        message = select(2, pcall(task.await, task))
      end }, function() end)
      assert.matches("on purpose", message, 1, true)
    end)

    it("many calls at once wake each its own coroutine", function()
      local server <close> = assert(emulator.start {})
      local client, bodies, ids, count = client_in(host, server), {}, {}, 0
      for i = 1, 100 do
        bodies[i] = function()
          for _ = 1, 5 do ids[create(client).id] = true end
        end
      end
      hosts[host](bodies, function() end)
      for _ in pairs(ids) do count = count + 1 end
      assert.equal(500, count)
    end)
  end)
end

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

  it("without what it needs, or with both kinds, is a mistake", function()
    local needs = "it needs watch(fd, callback), suspend() and resume(thread), or wait(fd, seconds) alone"
    assert.error_matches(function() client_of {} end, needs, 1, true)
    assert.error_matches(function() client_of { watch = print, suspend = print } end, needs, 1, true)
    assert.error_matches(function() client_of { wait = print, suspend = print } end,
      "an adapter that can suspend has watch(fd, callback) in place of wait", 1, true)
    assert.error_matches(function() client_of { wait = print, supend = print } end, "did you mean 'suspend'?", 1, true)
    assert.error_matches(function() client_of "cqueues" end, "bad option 'loop' for client (table expected, got string)", 1, true)
  end)

  it("with fields of the old contract is told the new ones", function()
    for name, other in pairs { yieldable = "current", spawn = "watch" } do
      assert.error_matches(function() client_of { wait = print, suspend = print, resume = print, [name] = print } end,
        ("an adapter is { watch, suspend, resume, current } now, or { wait }; %s takes the place of %s"):format(other, name),
        1, true)
    end
  end)

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

  it("is not waited for by its own means within a task, which is told so", function()
    local message, loop = nil, cqueues.new()
    loop:wrap(function()
      message = select(2, pcall(catalog.run, function() cqueues.sleep(0.01) end))
    end)
    assert(loop:loop())
    assert.matches("a task yielded to something else than this module's scheduler", message, 1, true)
    assert.matches("call the loop's own waits in a coroutine of the loop", message, 1, true)
    assert.matches("spec/loop_spec.lua:", message, 1, true) -- where
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
    local wrapped, other, results = cqueues.new(), cqueues.new(), {}
    local client = client_of(adapters.cqueues)
    for _, loop in ipairs { wrapped, other } do
      loop:wrap(function()
        for _ = 1, 3 do add_id(results, client) end
      end)
    end
    while not (wrapped:empty() and other:empty()) do
      assert(wrapped:step(0.001))
      assert(other:step(0.001))
    end
    assert.equal(6, #results)
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

  it("for cqueues knows one controller from another, and works outside of all", function()
    local client, id = client_of(adapters.cqueues), nil
    local given_up, other = cqueues.new(), cqueues.new()
    given_up:wrap(function() create(client) end)
    given_up:step(0)
    other:wrap(function() id = create(client).id end)
    assert(other:loop())
    assert.is_string(id)
    assert.is_string(catalog.spawn(create, client):await().id)
  end)

  it("lets no call time out because its host was busy", function()
    local client = service.client(server.url, { loop = adapters.cqueues, timeout = 0.3 })
    local ids = 0
    local bodies = { function()
      cqueues.sleep(0)
      shell.run "sleep 0.6" -- the host's own work
    end }
    for i = 2, 9 do
      bodies[i] = function()
        create(client)
        ids = ids + 1
      end
    end
    hosts.cqueues(bodies, function() end)
    assert.equal(8, ids)
  end)

  it("of a controller that nobody steps does not make another spin", function()
    local count = 0
    local loop = {}
    for name, body in pairs(adapters.cqueues) do loop[name] = body end
    function loop.watch(fd, callback)
      return adapters.cqueues.watch(fd, function()
        count = count + 1
        return callback()
      end)
    end
    local silent <close> = raw.start(SILENT)
    local idle, other, id, kind = cqueues.new(), cqueues.new(), nil, nil
    idle:wrap(function() id = create(client_of(adapters.cqueues)).id end)
    idle:step(0)
    local client = service.client(silent.url, { loop = loop, timeout = 0.6 })
    other:wrap(function() kind = select(2, client:batch("b"):get()).kind end)
    while not kind do -- and it finds its turn, now and then
      other:step(1)
    end
    assert.equal("timeout", kind)
    assert.is_true(count < 20000, count .. " calls")
    assert.is_nil(id)
    while not idle:empty() do assert(idle:step(0.01)) end
    assert.is_string(id)
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

  -- In a state of its own, in which nobody else waits.
  it("lets a call end in time beside one whose coroutine is busy between its calls", function()
    assert.equal("timeout\n", (shell.lua [[
      local cqueues, adapter = require "cqueues", require "catalog.loop.cqueues"
      local raw, service = require "support.raw", require "support.service"
      local silent <close> = raw.start { { { hang = true } } }
      local quick <close> = assert(require("catalog.emulator").start {})
      local hanging = service.client(silent.url, { loop = adapter, timeout = 1 })
      local busy, loop, kind, rounds = service.client(quick.url, { loop = adapter }), cqueues.new(), "none", 0
      loop:wrap(function() kind = select(2, hanging:batch("b"):get()).kind end)
      loop:wrap(function()
        while kind == "none" and rounds < 12 do
          rounds = rounds + 1
          assert(busy:create_batch { dataset = "d" })
          local ends = cqueues.monotime() + 0.25
          while cqueues.monotime() < ends do end -- its own work
        end
        print(kind)
      end)
      assert(loop:loop())
    ]]))
  end)

  it("leaves what is raised to who runs the task, though another awaits it", function()
    local client, loop, task, raised = client_of(adapters.cqueues), cqueues.new(), nil, nil
    loop:wrap(function()
      raised = select(2, pcall(catalog.run, function()
        task = catalog.spawn(function()
          create(client)
          error "on purpose"
        end)
      end))
    end)
    loop:step(0)
    assert.is_true((pcall(task.await, task))) -- outside of the loop
    assert(loop:loop())
    assert.matches("on purpose", raised, 1, true)
  end)

  it("of one scheduler may wait while another's coroutine calls", function()
    local client, ids = client_of(adapters.cqueues), {}
    local plain = service.client(server.url)
    hosts.cqueues({
      function() ids[1] = create(client).id end,
      function() ids[2] = coroutine.wrap(function() return create(plain).id end)() end,
      function() ids[3] = coroutine.wrap(function() return create(client).id end)() end,
    }, function() end)
    assert.equal(3, #ids)
  end)
end)
