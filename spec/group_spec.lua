-- How tasks end: by themselves, by what is raised, and cancelled.
local batches = require "support.batches"
local catalog = require "catalog"
local raw = require "support.raw"
local service = require "support.service"
local shell = require "support.shell"
local sleep = require("catalog.scheduler.scheduler").sleep

local DATASET <const> = service.DATASET
local SILENT <const> = { { { hang = true } } } -- a server that never answers

local create <const> = batches.create

-- How many sockets are open.
local function sockets()
  return tonumber((shell.run "ls -l /proc/$PPID/fd 2>/dev/null | grep -c socket"))
end

describe("a task", function()
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
    local ends = {}
    catalog.run(function()
      catalog.spawn(function() ends.sibling = sleep(0.1) end)
      local task = catalog.spawn(function() ends.awaited = sleep(0.1) end)
      local waiting = catalog.spawn(function()
        sleep(0.01)
        ;("a"):gsub(".", function() ends.kind = select(2, task:await()).kind end)
      end)
      sleep(0.03)
      waiting:cancel()
      ends.main = sleep(0.1)
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
end)

describe("a group of tasks", function()
  it("raises once what a task raised that was awaited where one cannot yield", function()
    for _, body in ipairs {
      function(task) ("a"):gsub(".", function() task:await() end) end,
      function(task) coroutine.wrap(function() task:await() end)() end,
      function() end,
    } do
      assert.error_matches(function()
        catalog.run(function()
          body(catalog.spawn(function()
            sleep(0.01)
            error "on purpose"
          end))
        end)
      end, "on purpose")
    end
  end)

  it("raises what was raised first, and nothing that was raised because of it", function()
    local fine, message = pcall(catalog.run, function()
      for _ = 1, 3000 do
        catalog.spawn(function() assert(sleep(3600)) end)
      end
      sleep(0.01)
      error()
    end)
    assert.is_false(fine)
    assert.equal(select(2, pcall(error)), message) -- nil, of which Lua 5.5 makes a text
  end)

  it("ends what is spawned after something was raised", function()
    local kind
    assert.error_matches(function()
      catalog.run(function()
        catalog.spawn(function() error "on purpose" end)
        catalog.spawn(function() kind = select(2, sleep(3600)).kind end)
      end)
    end, "on purpose")
    assert.equal("cancelled", kind)
  end)

  it("says of a task whose coroutine somebody has closed that it is so", function()
    local thread
    assert.error_matches(function()
      catalog.run(function()
        catalog.spawn(function()
          thread = coroutine.running()
          sleep(0.05)
        end)
        coroutine.close(thread)
      end)
    end, "dead coroutine")
  end)
end)
