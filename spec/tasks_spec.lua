-- Many things at once: map, run, spawn, and cancelling.
local batches = require "support.batches"
local catalog = require "catalog"
local emulator = require "catalog.emulator"
local raw = require "support.raw"
local service = require "support.service"
local shell = require "support.shell"

local DATASET <const> = service.DATASET
local SILENT <const> = { { { hang = true } } } -- a server that never answers

local create <const> = batches.create

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
end)

describe("a task", function()
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
end)
