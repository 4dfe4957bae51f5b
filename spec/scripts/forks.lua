-- For the C host, which gives us `fork`, `wait_for` and `leave`: forks in the middle of things, at the server whose URL it is
-- given. The child is to use nothing that its parent has begun, and the parent is to notice nothing.
return function(url, path, what)
  local catalog = require "catalog"
  local scheduler = require "catalog.scheduler.scheduler"
  local scenarios = {}

  local function client_with(changes)
    local settings = {
      base_url = url, org = "ORG@AdobeOrg", api_key = "key", token = "token", timeout = 20, retry = { base = 0.001 },
    }
    for name, value in pairs(changes or {}) do settings[name] = value end
    return assert(catalog.client(settings))
  end

  local function assert_left(value, err)
    assert(value == nil and err.kind == "cancelled", tostring(value) .. " " .. tostring(err))
    assert(err.message:find("the process that this one was forked from", 1, true), err.message)
  end

  -- A child goes on with its client, and ends: what it has copies of is collected and closed.
  local function go_on(client)
    assert(client:create_batch { dataset = "child" })
    assert(#assert(catalog.map({ 1, 2 }, function() return client:create_batch { dataset = "child" } end)) == 2)
    collectgarbage()
    leave()
  end

  function scenarios.on_progress()
    local client, child = client_with(), nil
    local report, err = client:ingest {
      dataset = "parent", format = "json", parallel = 1, part_size = 8, part_threshold = 8,
      files = { { name = "a", file = path }, { name = "b", file = path } },
      on_progress = function() child = child or fork() end,
    }
    if child == 0 then
      assert_left(report, err)
      go_on(client)
    end
    assert(report and report.status == "success", tostring(err))
    return child
  end

  function scenarios.handles()
    local client = client_with()
    local child
    do
      local batch <close> = assert(client:create_batch { dataset = "parent", format = "json" })
      local untouched <close> = assert(client:create_batch { dataset = "parent" })
      local attached = client:batch(batch.id)
      local out = assert(batch:writer("w", { part_size = 100 }))
      for i = 1, 30 do assert(out:write { n = i }) end
      local task = catalog.spawn(function() return client:create_batch { dataset = "parent" } end)
      child = fork()
      if child == 0 then
        assert_left(batch:upload("f", { data = "{}" }))
        assert_left(batch:get())
        assert_left(batch:wait())
        assert_left(batch:complete())
        assert_left(batch:abort())
        assert_left(attached:get())
        assert_left(task:await())
        task:cancel()
        assert_left(out:close())
        -- and what the block has to close
      else
        for i = 31, 60 do assert(out:write { n = i }) end
        assert(out:close())
        assert(task:await().id)
        assert(batch:complete())
        assert(untouched:complete())
      end
    end
    if child == 0 then go_on(client) end
    return child
  end

  function scenarios.tasks()
    local client, child, seen = client_with(), nil, {}
    local result, err = catalog.run(function()
      catalog.spawn(function()
        local batch <close> = assert(client:create_batch { dataset = "parent" })
        seen[1] = scheduler.sleep(0.05)
        assert(batch:complete())
      end)
      scheduler.sleep(0.01)
      child = fork()
      if child == 0 then
        assert_left(client:create_batch { dataset = "parent" })
        assert_left(catalog.map({ 1 }, function() return client:create_batch { dataset = "parent" } end))
        assert_left(scheduler.sleep(0.01))
      end
      return "its value"
    end)
    if child == 0 then
      assert_left(result, err)
      assert(seen[1] == nil)
      go_on(client)
    end
    assert(result == "its value" and seen[1] == true)
    return child
  end

  -- A task forks and ends, while a call outside of it waits; the child would wait for what its parent has under way.
  function scenarios.endings()
    local client = client_with()
    for _, call in ipairs {
      function() return client:create_batch { dataset = "parent" } end,
      function() return catalog.spawn(function() return client:create_batch { dataset = "parent" } end):await() end,
    } do
      local child
      catalog.spawn(function()
        scheduler.sleep(0.01)
        child = fork()
      end)
      local batch, err = call()
      if child == 0 then
        assert_left(batch, err)
        go_on(client)
      end
      assert(batch, tostring(err))
      assert(wait_for(child) == 0)
    end
    return nil
  end

  -- A call under way is not sent by both.
  function scenarios.callbacks()
    local child, client
    for _, name in ipairs { "on_retry", "token" } do
      child = nil
      local changes = { [name] = function()
        child = child or fork()
        return "token"
      end }
      client = client_with(changes)
      local nobody = name == "on_retry" and client_with { base_url = "http://127.0.0.1:1", on_retry = changes.on_retry } or client
      local batch, err = nobody:create_batch { dataset = "parent" }
      if child == 0 then
        assert_left(batch, err)
        go_on(client)
      end
      assert(name == "on_retry" or batch, tostring(err))
      assert(wait_for(child) == 0)
    end
    return nil
  end

  -- A sink, and what it writes, is the parent's.
  function scenarios.sink()
    local client = client_with()
    local sink <close> = assert(client:sink { dataset = "parent", spool = path .. ".spool", limit = { free = 0 } })
    assert(sink:write { n = 1 })
    local child = fork()
    if child == 0 then
      assert_left(sink:write { n = 3 })
      assert_left(sink:write_lines '{"n":3}')
      assert_left(sink:sync())
      assert_left(sink:seal())
      assert_left(sink:close())
      getmetatable(sink).__close(sink)
      go_on(client)
    end
    assert(wait_for(child) == 0)
    assert(sink:write { n = 2 })
    assert(sink:flush())
  end

  return function()
    local child = scenarios[what]()
    assert(child == nil or wait_for(child) == 0, "the child failed")
    return true
  end
end
