-- Many things at once: map, run, spawn, and cancelling.
local catalog = require "catalog"
local emulator = require "catalog.emulator"
local raw = require "support.raw"
local service = require "support.service"
local shell = require "support.shell"
local sleep = require("catalog.scheduler.scheduler").sleep

local DATASET <const> = service.DATASET
local SILENT <const> = { { { hang = true } } } -- a server that never answers

local function create(client)
  return assert(client:create_batch { dataset = DATASET, format = "json" })
end

-- How many sockets are open.
local function sockets()
  return tonumber((shell.run "ls -l /proc/$PPID/fd 2>/dev/null | grep -c socket"))
end

describe("map", function()
  it("calls a function with each element, several at a time, and keeps the order", function()
    service.run({ latency_ms = 20 }, function(server)
      local most, now = 0, 0
      local client = service.client(server.url)
      local ids = assert(catalog.map({ "a", "b", "c", "d", "e", "f" }, function(name, i)
        now = now + 1
        most = math.max(most, now)
        local batch = create(client)
        now = now - 1
        return ("%s%d %s"):format(name, i, batch.id)
      end, { parallel = 3 }))
      assert.equal(6, #ids)
      for i, name in ipairs { "a1", "b2", "c3", "d4", "e5", "f6" } do assert.matches("^" .. name .. " %w+$", ids[i]) end
      assert.equal(3, most)
    end)
  end)

  it("uploads many files into one batch", function()
    shell.with_directory(function(directory)
      local server <close> = assert(emulator.start { data_dir = directory .. "/data", latency_ms = 5 })
      local batch, paths = create(service.client(server.url)), {}
      for i = 1, 12 do
        paths[i] = ("%s/f%d"):format(directory, i)
        shell.write(paths[i], ('{"n":%d}\n'):format(i):rep(i * 100))
      end
      assert(catalog.map(paths, function(path, i)
        return batch:upload("f" .. i, { file = path }, { part_size = 1000, part_threshold = 2000, parallel = 2 })
      end, { parallel = 8 }))
      for i, path in ipairs(paths) do
        assert.equal(shell.read(path), shell.read(("%s/data/files/%s/f%d"):format(directory, batch.id, i)))
      end
    end)
  end)

  it("loses no error: what failed stands where its value would", function()
    service.run({}, function(_, client)
      local values, err, results = catalog.map({ DATASET, "", DATASET }, function(dataset)
        return client:create_batch { dataset = dataset }
      end)
      assert.is_nil(values)
      assert.equal("data", err.kind)
      assert.is_string(results[1].id)
      assert.equal(err, results[2].error)
      assert.is_string(results[3].id)
    end)
  end)

  it("ends the others when one raises, and raises that once, with its traceback", function()
    local server <close> = raw.start(SILENT)
    local client, ends = service.client(server.url), {}
    local function thrower() error "on purpose" end
    local ok, message = pcall(catalog.map, { 1, 2, 3 }, function(i)
      if i == 3 then thrower() end
      local batch, err = client:batch("b"):get()
      ends[i] = batch == nil and err.kind
      return true
    end, { parallel = 3 })
    assert.is_false(ok)
    assert.matches("on purpose", message, 1, true)
    assert.matches("in upvalue 'thrower'", message, 1, true)
    assert.same({ "cancelled", "cancelled" }, ends)
  end)

  it("takes a list that is a table's only by its metatable, and an error that is false", function()
    local proxy = setmetatable({}, { __index = { 1, 2, 3 }, __len = function() return 3 end })
    assert.same({ 2, 3, 4 }, catalog.map(proxy, function(n) return n + 1 end))
    local values, err, results = catalog.map({ 1, 2 }, function(n) if n == 1 then return nil, false end return n end)
    assert.is_nil(values)
    assert.is_false(err)
    assert.same({ { error = false }, 2 }, results)
  end)

  it("shows where a callback raised, in one traceback", function()
    service.run({}, function(server)
      local function thrower() error "on purpose" end
      local batch = create(service.client(server.url, { retry = { base = 0.01 }, on_retry = function() thrower() end }))
      server:set_faults { { match = { method = "PUT" }, action = { status = 503, body = "{}" } } }
      local _, message = pcall(catalog.map, { 1 }, function() return batch:upload("f", { data = "x" }) end)
      assert.matches("in upvalue 'thrower'", message, 1, true)
      assert.equal(1, select(2, message:gsub("stack traceback:", "")))
    end)
  end)

  it("refuses what is no list, holes, and a width of 0", function()
    assert.error_matches(function() catalog.map(3, print) end, "bad argument to map (a list expected, got number)", 1, true)
    assert.error_matches(function() catalog.map({ 1, nil, 3 }, print) end, "none at 2", 1, true)
    assert.error_matches(function() catalog.map({}, print, { paralel = 3 }) end, "did you mean 'parallel'?", 1, true)
    local values, err = catalog.map({ 1 }, print, { parallel = 0 })
    assert.is_nil(values)
    assert.equal("config", err.kind)
    assert.same({}, catalog.map({}, print))
  end)

  it("wants a function, as run and spawn do", function()
    assert.error_matches(function() catalog.map({}) end, "bad option 'body' for map (callable expected", 1, true)
    assert.error_matches(function() catalog.run() end, "bad option 'body' for run (callable expected", 1, true)
    assert.error_matches(function() catalog.spawn(3) end, "bad option 'body' for spawn (callable expected", 1, true)
  end)

  it("takes an empty result for a value", function()
    assert.same({ true, nil, false }, catalog.map({ 1, 2, 3 }, function(i) return ({ true, nil, false })[i] end))
  end)
end)

describe("run", function()
  it("returns when all that was spawned is over, and what its function returned", function()
    service.run({ latency_ms = 10 }, function(_, client)
      local order = {}
      local function add(what) order[#order + 1] = what end
      local a, b = catalog.run(function(given)
        catalog.spawn(function()
          create(client)
          add "spawned"
        end)
        add "main"
        return given, 2
      end, 1)
      assert.same({ 1, 2 }, { a, b })
      assert.same({ "main", "spawned" }, order)
    end)
  end)

  it("lets tasks be awaited, by each other too", function()
    service.run({ latency_ms = 10 }, function(_, client)
      local first, second = catalog.run(function()
        local one = catalog.spawn(function() return create(client).id end)
        local two = catalog.spawn(function() return "after " .. one:await() end)
        return one:await(), two:await()
      end)
      assert.equal("after " .. first, second)
    end)
  end)

  it("runs within itself", function()
    service.run({ latency_ms = 5 }, function(_, client)
      local ids = catalog.run(function()
        return catalog.map({ 1, 2 }, function()
          return catalog.run(function() return catalog.spawn(create, client):await().id end)
        end)
      end)
      assert.equal(2, #ids)
    end)
  end)

  it("raises what a task raised, a table as it is", function()
    local fault = {}
    local ok, message = pcall(catalog.run, function() catalog.spawn(error, fault) end)
    assert.is_false(ok)
    assert.equal(fault, message)
  end)

  it("closes what its tasks have to close, also when they are cancelled", function()
    local server <close> = raw.start(SILENT)
    local client, closed = service.client(server.url), 0
    catalog.run(function()
      local task = catalog.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
        return client:batch("b"):get()
      end)
      task:cancel()
    end)
    assert.equal(1, closed)
  end)

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
    local pause, value = require("catalog.scheduler.scheduler").sleep, nil
    catalog.run(function()
      local task = catalog.spawn(function()
        pause(0.01)
        return "its value"
      end)
      ;("a"):gsub(".", function() value = catalog.map({ 1 }, function() return task:await() end)[1] end)
    end)
    assert.equal("its value", value)
  end)

  it("raises once what a task raised that was awaited where one cannot yield", function()
    local pause = require("catalog.scheduler.scheduler").sleep
    for _, body in ipairs {
      function(task) ("a"):gsub(".", function() task:await() end) end,
      function(task) coroutine.wrap(function() task:await() end)() end,
      function() end,
    } do
      assert.error_matches(function()
        catalog.run(function()
          body(catalog.spawn(function()
            pause(0.01)
            error "on purpose"
          end))
        end)
      end, "on purpose")
    end
  end)

  it("raises what was raised first, and nothing that was raised because of it", function()
    local pause = require("catalog.scheduler.scheduler").sleep
    local fine, message = pcall(catalog.run, function()
      for _ = 1, 3000 do
        catalog.spawn(function() assert(pause(3600)) end)
      end
      pause(0.01)
      error()
    end)
    assert.is_false(fine)
    assert.equal(select(2, pcall(error)), message) -- nil, of which Lua 5.5 makes a text
  end)

  it("ends what is spawned after something was raised", function()
    local pause, kind = require("catalog.scheduler.scheduler").sleep, nil
    assert.error_matches(function()
      catalog.run(function()
        catalog.spawn(function() error "on purpose" end)
        catalog.spawn(function() kind = select(2, pause(3600)).kind end)
      end)
    end, "on purpose")
    assert.equal("cancelled", kind)
  end)

  it("says of a task whose coroutine somebody has closed that it is so", function()
    local pause, thread = require("catalog.scheduler.scheduler").sleep, nil
    assert.error_matches(function()
      catalog.run(function()
        catalog.spawn(function()
          thread = coroutine.running()
          pause(0.05)
        end)
        coroutine.close(thread)
      end)
    end, "dead coroutine")
  end)

  it("that awaits itself, or one that awaits it, raises", function()
    assert.error_matches(function()
      catalog.run(function()
        local task
        task = catalog.spawn(function()
          sleep(0.001)
          catalog.spawn(function() task:await() end):await()
        end)
        task:await()
      end)
    end, "a task cannot await itself")
    local own
    assert.error_matches(function()
      catalog.run(function()
        own = catalog.spawn(function()
          service.run({}, function(_, client) create(client) end)
          own:await()
        end)
      end)
    end, "a task cannot await itself")
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

  it("may be one of 10,000, all of which are cancelled in the middle", function()
    local server <close> = raw.start(SILENT)
    local client, kinds, before = service.client(server.url), {}, nil
    local function count(kind) kinds[kind] = (kinds[kind] or 0) + 1 end
    catalog.run(function()
      local list, elements = {}, {}
      for i = 1, 10000 do
        list[i] = catalog.spawn(function()
          local ok, err = sleep(3600)
          if not ok then err = select(2, client:batch("b"):get()) end -- nor is anything sent
          count(err.kind)
        end)
      end
      for i = 1, 1000 do elements[i] = i end
      list[#list + 1] = catalog.spawn(function()
        local values, err, all = catalog.map(elements, function() return sleep(3600) end, { parallel = 500 })
        assert.is_nil(values)
        assert.equal(1000, #all)
        for _, one in ipairs(all) do assert.equal("cancelled", one.error.kind) end
        count("map " .. err.kind)
      end)
      sleep(0.01)
      for _, task in ipairs(list) do task:cancel() end
      before = next(kinds)
    end)
    assert.is_nil(before) -- each goes on in its turn, and not within the one that cancels
    assert.same({ cancelled = 10000, ["map cancelled"] = 1 }, kinds)
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

  it("outside of a run goes on while it is awaited", function()
    service.run({ latency_ms = 5 }, function(_, client)
      local task = catalog.spawn(create, client)
      assert.equal("catalog.task (under way)", tostring(task))
      assert.is_string(task:await().id)
      assert.equal("catalog.task (over)", tostring(task))
      assert.matches("^on purpose\n", (select(2, pcall(catalog.spawn, error, "on purpose"))))
      local late = catalog.spawn(function()
        create(client)
        error "on purpose"
      end)
      assert.error_matches(function() late:await() end, "on purpose")
    end)
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

  it("that is cancelled ends with an error, and so does each call it makes from then on", function()
    local server <close> = raw.start(SILENT)
    local told = {}
    local client = service.client(server.url, { on_request = function(exchange) told[#told + 1] = exchange end })
    local before, kinds = sockets(), {}
    catalog.run(function()
      local task = catalog.spawn(function()
        for i = 1, 2 do kinds[i] = select(2, client:batch("b"):get()).kind end
        return "its value"
      end)
      local paused = catalog.spawn(function() return client:batch("b"):wait() end)
      task:cancel()
      task:cancel()
      paused:cancel()
      assert.equal("its value", task:await()) -- it was told, and came to its end
      assert.equal("cancelled", select(2, paused:await()).kind)
    end)
    assert.same({ "cancelled", "cancelled" }, kinds)
    assert.same({}, told)
    assert.equal(before, sockets())
  end)

  it("that is cancelled where it awaits and cannot yield ends, and not the others", function()
    local pause, ends = require("catalog.scheduler.scheduler").sleep, {}
    catalog.run(function()
      catalog.spawn(function() ends.sibling = pause(0.1) end)
      local task = catalog.spawn(function() ends.awaited = pause(0.1) end)
      local waiting = catalog.spawn(function()
        pause(0.01)
        ;("a"):gsub(".", function() ends.kind = select(2, task:await()).kind end)
      end)
      pause(0.03)
      waiting:cancel()
      ends.main = pause(0.1)
    end)
    assert.same({ sibling = true, awaited = true, main = true, kind = "cancelled" }, ends)
  end)

  it("that is cancelled in a map, an upload or a pause ends there", function()
    shell.with_directory(function(directory)
      shell.write(directory .. "/f", ("x"):rep(5000))
      local server <close> = raw.start(SILENT)
      local client = service.client(server.url, { retry = { base = 60 } })
      local nobody = service.client("http://127.0.0.1:1", { retry = { base = 60, cap = 60 } })
      local batch = client:batch("b", { dataset = DATASET })
      local results = catalog.run(function()
        local list = {
          catalog.spawn(catalog.map, { 1, 2, 3 }, function() return client:batch("b"):get() end, { parallel = 2 }),
          catalog.spawn(batch.upload, batch, "f", { file = directory .. "/f" }, { part_size = 1000, part_threshold = 1000 }),
          catalog.spawn(nobody.create_batch, nobody, { dataset = DATASET }),
        }
        catalog.run(function() sleep(0.05) end)
        local kinds = {}
        for i, task in ipairs(list) do
          task:cancel()
          kinds[i] = select(2, task:await()).kind
        end
        return kinds
      end)
      assert.same({ "cancelled", "cancelled", "cancelled" }, results)
    end)
  end)

  it("whose client is closed ends with an error", function()
    local server <close> = raw.start(SILENT)
    local client = service.client(server.url)
    local nobody = service.client("http://127.0.0.1:1", { retry = { base = 60, cap = 60 } })
    local kinds = catalog.run(function()
      local one = catalog.spawn(function() return client:batch("b"):get() end)
      local two = catalog.spawn(function() return nobody:batch("b"):get() end)
      catalog.run(function() sleep(0.05) end)
      client:close()
      nobody:close()
      return { select(2, one:await()).kind, select(2, two:await()).kind }
    end)
    assert.same({ "cancelled", "cancelled" }, kinds)
  end)

  it("that was filling a batch leaves that as it is, to be abandoned by the service", function()
    shell.with_directory(function(directory)
      service.run({ latency_ms = 20, log = directory .. "/log" }, function(_, client)
        local uploaded = 0
        local function fill()
          local batch <close> = create(client)
          while true do
            local ok, err = batch:upload("f" .. uploaded, { data = "{}\n" })
            if not ok then return nil, err end
            uploaded = uploaded + 1
          end
        end
        catalog.run(function()
          local task = catalog.spawn(fill)
          repeat sleep(0.01) until uploaded > 1
          task:cancel()
          assert.equal("cancelled", select(2, task:await()).kind)
        end)
        assert(client:create_batch { dataset = DATASET }) -- the server has seen all that came before
        local log = shell.read(directory .. "/log")
        assert.matches("PUT", log, 1, true)
        assert.is_nil(log:find("ABORT", 1, true))
      end)
    end)
  end)

  it("whose client is closed hears of no exchange any more", function()
    local server <close> = raw.start(SILENT)
    local told = 0
    local client = service.client(server.url, { on_request = function() told = told + 1 end })
    catalog.run(function()
      local task = catalog.spawn(function() return client:batch("b"):get() end)
      client:close()
      assert.equal("cancelled", select(2, task:await()).kind)
    end)
    assert.equal(0, told)
  end)

  it("whose client is closed by a callback does not wait for its next try", function()
    local nobody
    nobody = service.client("http://127.0.0.1:1", {
      retry = { base = 600, cap = 600 }, on_retry = function() nobody:close() end,
    })
    assert.equal("cancelled", select(2, nobody:batch("b"):get()).kind)
  end)

  it("can be cancelled before it begins to wait, and from within", function()
    local server <close> = raw.start(SILENT)
    local client = service.client(server.url)
    local kind = catalog.run(function()
      local own
      own = catalog.spawn(function()
        sleep(0.001)
        own:cancel()
        return select(2, client:batch("b"):get()).kind
      end)
      return own:await()
    end)
    assert.equal("cancelled", kind)
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

describe("a callback", function()
  it("may call the API: a reader, on_progress and on_retry", function()
    service.run({ latency_ms = 5 }, function(server)
      local client, seen = nil, {}
      client = service.client(server.url, {
        retry = { base = 0.01 }, on_retry = function() seen.retry = create(client).id end,
      })
      local batch = create(client)
      local chunks = { '{"a":1}\n', '{"a":2}\n' }
      assert(batch:upload("from a reader", { reader = function()
        seen.reader = assert(batch:get()).id
        return table.remove(chunks)
      end }, { part_size = 8, parallel = 1 }))
      server:set_faults { { match = { method = "GET" }, times = 1, action = { status = 503, body = "{}" } } }
      assert(batch:get())
      shell.with_directory(function(directory)
        shell.write(directory .. "/f", '{"a":1}\n')
        assert(client:ingest {
          dataset = DATASET, format = "json", files = { directory .. "/f" },
          on_progress = function() seen.progress = assert(batch:get()).id end,
        })
      end)
      assert.equal(batch.id, seen.reader)
      assert.equal(batch.id, seen.progress)
      assert.is_string(seen.retry)
    end)
  end)

  it("that is a reader or on_progress runs on the coroutine that called, and what it raises is raised there", function()
    shell.with_directory(function(directory)
      for i = 1, 4 do shell.write(directory .. "/f" .. i, ('{"a":1}\n'):rep(100)) end
      service.run({ latency_ms = 60 }, function(_, client)
        local callers, count, chunks = {}, 0, 40
        local function note()
          callers[coroutine.running()] = true
          count = count + 1
        end
        local function ingest(on_progress)
          return client:ingest {
            dataset = DATASET, format = "json", dir = directory, parallel = 1, part_size = 100, part_threshold = 100,
            on_progress = on_progress,
          }
        end
        local thread = coroutine.create(function()
          local batch = create(client)
          assert(batch:upload("f", { reader = function()
            note()
            chunks = chunks - 1
            return chunks > 0 and ("x"):rep(10) or nil
          end }, { part_size = 100 }))
          assert(ingest(note))
        end)
        assert(coroutine.resume(thread))
        assert.equal("dead", coroutine.status(thread))
        assert.same({ [thread] = true }, callers)
        assert.is_true(count > 42)
        assert.error_matches(function() ingest(function() error "on purpose" end) end, "on purpose")
      end)
    end)
  end)

  it("that raises within an internal task raises out of the call", function()
    shell.with_directory(function(directory)
      shell.write(directory .. "/f", ('{"a":1}\n'):rep(500))
      service.run({}, function(server)
        local client = service.client(server.url, { retry = { base = 0.01 }, on_retry = function() error "on purpose" end })
        local batch = create(client)
        server:set_faults { { match = { method = "PATCH" }, times = 1, action = { status = 503, body = "{}" } } }
        assert.error_matches(function()
          batch:upload("g", { file = directory .. "/f" }, { part_size = 1000, part_threshold = 1000 })
        end, "on purpose")
      end)
    end)
  end)

  it("may close the client: on_progress ends the ingest with an error", function()
    shell.with_directory(function(directory)
      for i = 1, 4 do shell.write(directory .. "/f" .. i, '{"a":1}\n') end
      service.run({ latency_ms = 150 }, function(_, client)
        local report, err = client:ingest {
          dataset = DATASET, format = "json", dir = directory, parallel = 1, on_progress = function() client:close() end,
        }
        assert.is_nil(report)
        assert.equal("cancelled", err.kind)
      end)
    end)
  end)
end)

describe("a writer", function()
  local function with_writer(body, changes)
    service.run({ latency_ms = 3 }, function(server)
      local client = service.client(server.url, changes)
      local batch = create(client)
      body(assert(batch:writer("w", { part_size = 1000, parallel = 1 })), server, batch)
    end)
  end

  it("is for one coroutine at a time, and says so", function()
    with_writer(function(out)
      local refused, list = 0, {}
      for i = 1, 500 do list[i] = { n = i } end
      catalog.map(list, function(record)
        local ok, err = out:write(record)
        if not ok then
          refused = refused + 1
          assert.matches("is at work for another coroutine", err.message, 1, true)
        end
        return true
      end, { parallel = 8 })
      assert.is_true(refused > 0)
      assert(out:close())
    end)
  end)

  it("that was left in the middle by what a callback raised takes no more", function()
    with_writer(function(out, server)
      server:set_faults { { match = { method = "PATCH" }, times = 1, action = { status = 503, body = "{}" } } }
      assert.error_matches(function()
        for i = 1, 500 do assert(out:write { n = i }) end
      end, "on purpose")
      local ok, err = out:write { n = 501 }
      assert.is_nil(ok)
      assert.matches("left in the middle", err.message, 1, true)
      assert.is_nil((out:close()))
    end, { retry = { base = 0.01 }, on_retry = function() error "on purpose" end })
  end)

  it("outlives the task that has opened it", function()
    with_writer(function(_, _, batch)
      catalog.run(function()
        local out
        catalog.spawn(function()
          out = assert(batch:writer("another", { part_size = 1000 }))
          return batch:wait()
        end):cancel()
        for i = 1, 500 do assert(out:write { n = i }) end
        assert(out:close())
      end)
    end)
  end)

  it("of a reader that raises is gone, and its name is free", function()
    service.run({}, function(_, client)
      local batch = create(client)
      assert.error_matches(function() batch:upload("f", { reader = function() error "on purpose" end }) end, "on purpose")
      assert(batch:upload("f", { data = "{}\n" }))
      local again = assert(batch:writer "f")
      again:cancel()
    end)
  end)

  it("in a coroutine that is closed is not completed by halves", function()
    with_writer(function(_, _, batch)
      local thread = coroutine.create(function()
        local out <close> = assert(batch:writer "g")
        assert(out:write { n = 1 })
        coroutine.yield()
      end)
      assert(coroutine.resume(thread))
      local closed, why = coroutine.close(thread)
      assert.is_false(closed)
      assert.matches("the writer of g was left where it cannot be closed", why, 1, true)
    end)
  end)
end)

describe("a transfer", function()
  it("whose client is closed is over, as cancelled", function()
    local server <close> = raw.start(SILENT)
    local client = service.client(server.url)
    local transfer = assert(client:start { method = "GET", path = "/" })
    client:close()
    assert.is_true(transfer:done())
    local status, err = transfer:reply()
    assert.is_nil(status)
    assert.equal("cancelled", err.kind)
    transfer:close()
    assert.error_matches(function() transfer:reply() end, "the transfer is closed", 1, true)
  end)
end)
