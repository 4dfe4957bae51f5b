-- For the C host, which gives us `fork`, `wait_for` and `leave`: a drain forks before it runs, and in a callback while it
-- does. The child uses nothing of its parent's, and the parent notices nothing.
return function(url, brokers, topic, directory)
  local catalog = require "catalog"

  local function assert_left(value, err)
    assert(value == nil and err.kind == "cancelled", tostring(value) .. " " .. tostring(err))
    assert(err.message:find("the process that this one was forked from", 1, true), err.message)
  end

  -- What a child finds of the drain of its parent.
  local function look(drain)
    assert_left(drain:run())
    assert_left(drain:close())
    assert_left(drain:metrics())
    getmetatable(drain).__close(drain)
    local value, err = drain.kafka.core:poll()
    assert(value == nil and err.kind == "cancelled")
    value, err = drain.kafka.core:commit {}
    assert(value == nil and err.kind == "cancelled")
    value, err = drain.kafka.core:closed()
    assert(value == nil and err.kind == "cancelled")
    leave()
  end

  return function()
    local client = assert(catalog.client {
      base_url = url, org = "ORG@AdobeOrg", api_key = "key", token = "token", timeout = 20,
    })
    local drain, child, batches = nil, nil, 0
    drain = assert(client:drain {
      dataset = "d", from = "beginning", roll = { seconds = 1, records = 5 }, rejected = directory,
      kafka = { brokers = brokers, topics = { topic }, group = "forks", config = { ["session.timeout.ms"] = 6000 } },
      on_batch = function(report)
        child = child or fork()
        batches = batches + (report.state == "success" and report.records or 0)
        if child ~= 0 and batches >= 10 then drain:close() end
      end,
    })
    local early = fork()
    if early == 0 then look(drain) end
    assert(wait_for(early) == 0, "the child failed that was there before the drain ran")
    local ok, err = drain:run()
    if child == 0 then
      assert_left(ok, err)
      look(drain)
    end
    assert(ok, tostring(err))
    assert(wait_for(child) == 0, "the child failed")
    return true
  end
end
