-- Within a host's event loop: the same calls, and the loop goes on turning.
local batches = require "support.batches"
local catalog = require "catalog"
local emulator = require "catalog.emulator"
local hosts = require "support.hosts"
local raw = require "support.raw"
local service = require "support.service"
local shell = require "support.shell"

local DATASET <const> = service.DATASET
local SILENT <const> = { { { hang = true } } }

local create <const> = batches.create

for host, run in pairs(hosts.run) do
  describe("in a loop of " .. host .. ", a call", function()
    it("lets the loop turn, and others of its kind go on", function()
      local server <close> = assert(emulator.start { latency_ms = 30 })
      local client, ticks, bodies, ids, within = hosts.client(host, server), 0, {}, {}, 0
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
        local client, ticks, done = hosts.client(host, server, { retry = { tries = 10, base = 0.01 } }), 0, {}
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
      local client, other, closed = hosts.client(host, silent), hosts.client(host, server), hosts.client(host, silent)
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
      client = hosts.client(host, server, { retry = { base = 0.001 }, on_retry = function(state)
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
      local client, kind = hosts.client(host, silent, { timeout = 0.05 }), nil
      run({ function() kind = select(2, client:batch("b"):get()).kind end }, function() end)
      assert.equal("timeout", kind)
    end)

    it("blocks where it cannot yield, and is right all the same", function()
      local server <close> = assert(emulator.start { latency_ms = 2 })
      local client, ids = hosts.client(host, server), {}
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
      local client, id, awaited, ticks, before = hosts.client(host, server), nil, nil, 0, nil
      hosts.run[host]({ function()
        local task = catalog.spawn(function()
          create(client)
          id = create(client).id
          return id
        end)
        before = ticks
        awaited = task:await()
        before = ticks - before
      end }, function() ticks = ticks + 1 end)
      assert.is_string(id)
      assert.equal(id, awaited)
      assert.is_true(before > 0) -- the loop turned while it was awaited
    end)

    it("a spawned task that raises does so where it is awaited", function()
      local server <close> = assert(emulator.start { latency_ms = 5 })
      local client, message = hosts.client(host, server), nil
      hosts.run[host]({ function()
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
      local client, bodies, ids, count = hosts.client(host, server), {}, {}, 0
      for i = 1, 100 do
        bodies[i] = function()
          for _ = 1, 5 do ids[create(client).id] = true end
        end
      end
      hosts.run[host](bodies, function() end)
      for _ in pairs(ids) do count = count + 1 end
      assert.equal(500, count)
    end)
  end)
end
