-- For the C host: all calls of a consumer of Kafka and of its producer. Nobody is there at the address, so each is answered
-- by librdkafka alone.
return function(brokers)
  local kafka = require "catalog.kafka"
  pin(package.searchpath("cjson", package.cpath))
  local core = require "catalog.core"

  local function open(more)
    local properties = {
      ["bootstrap.servers"] = brokers, ["group.id"] = "g", ["enable.auto.commit"] = "false",
      ["auto.offset.reset"] = "error", ["partition.assignment.strategy"] = "cooperative-sticky", [more or "client.id"] = "c",
    }
    return kafka.new(properties, { ["bootstrap.servers"] = brokers })
  end

  -- Polls until an error is told: nobody is there.
  local function wait_for_error(one)
    local last = core.system.monotonic() + 10
    repeat
      local name, err = one:poll()
      if name == "error" then return err end
    until core.system.monotonic() > last
    error "nothing is told"
  end

  local function use(one)
    local place = { { topic = "t", number = 0, offset = 1, metadata = "what it is" } }
    assert(one:subscribe { "t", "u" })
    assert(one:generation() == -1)
    for _, call in ipairs { "commit", "seek", "assign" } do one[call](one, place) end -- refused, each by its own reason
    for _, call in ipairs { "pause", "resume" } do one[call](one, place) end
    assert(one:high("t", 0) == nil)
    assert(one:committed(place))
    assert(one:produce("t", "key", "value", { name = "value", other = "value" }))
    assert(one:undelivered() == 1)
    assert(wait_for_error(one).kind == "network")
    one:drain_fd()
    assert(one:unsubscribe())
    assert(one:closed() == false)
  end

  return function()
    local none, err = open "no.such"
    assert(none == nil and err.kind == "config")
    local one <close> = assert(open())
    use(one)
    one:close()
    none, err = one:poll()
    assert(none == nil and err.kind == "cancelled")
    return true
  end
end
