-- Within a host's event loop: the same calls, and the loop goes on turning.
local catalog = require "catalog"
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

  local function client_of(loop) return service.client(server.url, { loop = loop }) end

  it("without a wait, or with half of what wakes, is a mistake", function()
    assert.error_matches(function() client_of {} end, "it needs a function wait(fd, seconds)", 1, true)
    assert.error_matches(function() client_of { wait = print, suspend = print } end, "suspend and resume go together")
    assert.error_matches(function() client_of { wait = print, supend = print } end, "did you mean 'suspend'?", 1, true)
    assert.error_matches(function() client_of "cqueues" end, "bad option 'loop' for client (table expected, got string)", 1, true)
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

  it("of which one of many coroutines is closed in the middle wakes the others", function()
    local threads, resumed = {}, {}
    local loop = {
      wait = function() coroutine.yield() end, suspend = function() coroutine.yield() end,
      resume = function(thread) resumed[thread] = true end,
    }
    local client, ids = client_of(loop), {}
    for i = 1, 3 do
      threads[i] = coroutine.create(function()
        local id = create(client).id
        ids[#ids + 1] = id
      end)
      assert(coroutine.resume(threads[i]))
    end
    assert(coroutine.close(threads[1])) -- the one that waits for all
    local driving
    for i = 2, 3 do
      if resumed[threads[i]] then driving = threads[i] end
    end
    assert.is_truthy(driving)
    repeat assert(coroutine.resume(driving)) until coroutine.status(driving) == "dead"
    for i = 2, 3 do
      if threads[i] ~= driving then
        assert.is_true(resumed[threads[i]])
        repeat assert(coroutine.resume(threads[i])) until coroutine.status(threads[i]) == "dead"
      end
    end
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

  it("whose driving coroutine is dropped wakes another", function()
    local waiting, queue = setmetatable({}, { __mode = "k" }), {}
    local loop = {
      wait = function(fd)
        waiting[coroutine.running()] = fd
        coroutine.yield()
      end,
      suspend = function() coroutine.yield() end, resume = function(thread) queue[#queue + 1] = thread end,
    }
    local client, id = client_of(loop), nil
    assert(coroutine.resume(coroutine.create(function() create(client) end)))
    assert(coroutine.resume(coroutine.create(function() id = create(client).id end)))
    collectgarbage()
    collectgarbage()
    local readable = require "support.poll"
    while not id do
      for thread, fd in pairs(waiting) do
        if readable(fd, 0.01) then
          waiting[thread] = nil
          assert(coroutine.resume(thread))
        end
      end
      if queue[1] then assert(coroutine.resume(table.remove(queue, 1))) end
    end
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
    function loop.wait(...)
      count = count + 1
      return adapters.cqueues.wait(...)
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
    assert.is_true(count < 20000, count .. " waits")
    assert.is_nil(id)
    while not id do idle:step(0.01) end
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
