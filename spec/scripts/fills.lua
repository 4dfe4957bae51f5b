-- For the C host: takes records from Kafka into a buffer, at the broker and of the topic that it is given, whose two
-- partitions have the same messages: a record, one with a line break, none, a tombstone, a record.
return function(brokers, topic)
  local core = require "catalog.core"
  local kafka = require "catalog.kafka"
  local properties = {
    ["bootstrap.servers"] = brokers, ["group.id"] = "fills", ["enable.auto.commit"] = "false",
    ["auto.offset.reset"] = "error", ["enable.partition.eof"] = "true", ["fetch.wait.max.ms"] = "10",
  }
  local one = assert(kafka.new(properties, {}))
  local list = { { topic = topic, number = 0, offset = 0 }, { topic = topic, number = 1, offset = 0 } }
  assert(one:assign(list))

  -- As `fill`, again where there was no memory: nothing may be lost by that.
  local function fill(...)
    local results
    for _ = 1, 3 do
      results = table.pack(pcall(one.fill, one, ...))
      if results[1] then return table.unpack(results, 2, results.n) end
    end
    error(results[2], 0)
  end

  -- Takes all messages of both partitions. Gives how many records, bytes and tombstones there were, and those rejected.
  local function take_all(buffer, partitions, reached)
    local totals, rejected, last = { 0, 0, 0 }, {}, core.system.monotonic() + 20
    repeat
      local records, bytes, dropped, name, message, why = fill(buffer, 1000, partitions, reached, 1000, 100)
      totals[1], totals[2], totals[3] = totals[1] + records, totals[2] + bytes, totals[3] + dropped
      if name == "rejected" then rejected[#rejected + 1] = message.value .. message.offset .. why end
      if not name then os.execute "sleep 0.002" end
      assert(core.system.monotonic() < last, "the messages do not come")
      local is_done = true
      for _, partition in pairs(partitions) do is_done = is_done and reached[partition] == 5 end
    until is_done
    return totals, rejected
  end

  return function()
    fill(core.buffer.new(1), 1, {}, {}, 1, 0) -- what was taken and not told, where it has failed before
    local ok, err = one:seek(list)
    while not ok and err.code == "_TIMED_OUT" do ok, err = one:seek(list) end -- librdkafka's thread has not had its turn
    assert(ok, err)
    assert(one:resume(list))
    local buffer, partitions = core.buffer.new(1000), { [topic .. "/0"] = { next = 0 }, [topic .. "/1"] = { next = 0 } }
    local totals, rejected = take_all(buffer, partitions, {})
    assert(totals[1] == 6 and totals[2] == 2 * 27 and totals[3] == 2, table.concat(totals, " "))
    assert(buffer:length() == 2 * 27)
    assert(#rejected == 2 and rejected[1] == "none2it is no JSON object" and rejected[2] == rejected[1])
    collectgarbage()
    return true
  end
end
