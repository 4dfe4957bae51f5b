-- The adapter for cqueues: what it does with controllers, and hosts that are busy.
local adapter = require "catalog.loop.cqueues"
local batches = require "support.batches"
local catalog = require "catalog"
local cqueues = require "cqueues"
local emulator = require "catalog.emulator"
local hosts = require "support.hosts"
local raw = require "support.raw"
local service = require "support.service"
local shell = require "support.shell"

local SILENT <const> = { { { hang = true } } }

local create <const> = batches.create
local add_id <const> = batches.add_id

describe("the adapter for cqueues", function()
  local server
  setup(function() server = assert(emulator.start { latency_ms = 5 }) end)
  teardown(function() server:stop() end)

  -- Coroutines that other specs have left in the middle of a call are no part of these.
  before_each(function()
    collectgarbage()
    collectgarbage()
  end)

  local function client_of(loop) return service.client(server.url, { loop = loop }) end

  it("is told where a task waits by cqueues' own means", function()
    local message, loop = nil, cqueues.new()
    loop:wrap(function()
      message = select(2, pcall(catalog.run, function() cqueues.sleep(0.01) end))
    end)
    assert(loop:loop())
    assert.matches("a task yielded to something else than this module's scheduler", message, 1, true)
    assert.matches("call the loop's own waits in a coroutine of the loop", message, 1, true)
    assert.matches("spec/cqueues_spec.lua:", message, 1, true) -- where
  end)

  it("knows one controller from another, and works outside of all", function()
    local client, id = client_of(adapter), nil
    local given_up, other = cqueues.new(), cqueues.new()
    given_up:wrap(function() create(client) end)
    given_up:step(0)
    other:wrap(function() id = create(client).id end)
    assert(other:loop())
    assert.is_string(id)
    assert.is_string(catalog.spawn(create, client):await().id)
  end)

  it("lets others go on while listings, downloads and checks wait", function()
    local client, loop, names, ticks, over = client_of(adapter), cqueues.new(), {}, 0, false
    loop:wrap(function()
      local dataset = assert(client:create_dataset { name = "in a loop" })
      local batch = assert(dataset:create_batch { format = "json" })
      assert(batch:upload("a", { data = "{}\nbad\n" }))
      assert(batch:fail())
      for one in client:batches { dataset = { name = "in a loop" }, status = "failed" } do
        for file in one:files { failed = true } do names[#names + 1] = file.name .. " " .. #assert(file:read()) end
      end
      assert(batch:resend { whole = true, rows = function(row) return not row._corrupt_record and row or nil end })
      over = true
    end)
    loop:wrap(function()
      while not over do
        cqueues.sleep(0.001)
        ticks = ticks + 1
      end
    end)
    assert(loop:loop())
    assert.same({ "a 7" }, names)
    assert.is_true(ticks > 5)
  end)

  it("lets no call time out because its host was busy", function()
    local client = service.client(server.url, { loop = adapter, timeout = 0.3 })
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
    hosts.run.cqueues(bodies, function() end)
    assert.equal(8, ids)
  end)

  it("does not let one controller spin because nobody steps another", function()
    local count = 0
    local loop = {}
    for name, body in pairs(adapter) do loop[name] = body end
    function loop.watch(fd, callback)
      return adapter.watch(fd, function()
        count = count + 1
        return callback()
      end)
    end
    local silent <close> = raw.start(SILENT)
    local idle, other, id, kind = cqueues.new(), cqueues.new(), nil, nil
    idle:wrap(function() id = create(client_of(adapter)).id end)
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
    local client, loop, task, raised = client_of(adapter), cqueues.new(), nil, nil
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

  it("may wait while a coroutine that is not the controller's calls", function()
    local client, ids = client_of(adapter), {}
    local plain = service.client(server.url)
    hosts.run.cqueues({
      function() ids[1] = create(client).id end,
      function() ids[2] = coroutine.wrap(function() return create(plain).id end)() end,
      function() ids[3] = coroutine.wrap(function() return create(client).id end)() end,
    }, function() end)
    assert.equal(3, #ids)
  end)

  it("lets calls in two controllers go on, whichever is stepped", function()
    local one, other, results = cqueues.new(), cqueues.new(), {}
    local client = client_of(adapter)
    for _, loop in ipairs { one, other } do
      loop:wrap(function()
        for _ = 1, 3 do add_id(results, client) end
      end)
    end
    while not (one:empty() and other:empty()) do
      assert(one:step(0.001))
      assert(other:step(0.001))
    end
    assert.equal(6, #results)
  end)
end)
