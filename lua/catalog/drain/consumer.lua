--- A consumer of Kafka as the coroutines of this process see it: what it is asked for is waited for as everything else
-- is.
-- @module catalog.drain.consumer
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local scheduler = require "catalog.scheduler.scheduler"

local Consumer = {}
Consumer.__index = Consumer

-- How often it is polled where its descriptor says nothing, as while all is paused, in seconds.
local POLL <const> = 0.25

-- So long offsets may take that a person sets, in seconds.
local ALTERING <const> = 15

-- What librdkafka is to do unless somebody wants it otherwise. The queue and a fetch are small, for the sake of memory,
-- and large enough for many times the speed that the platform has. A list of topics is looked at each half minute for
-- new partitions.
local DEFAULTS <const> = {
  ["partition.assignment.strategy"] = "cooperative-sticky", ["queued.max.messages.kbytes"] = 16384,
  ["fetch.message.max.bytes"] = 2097152, ["fetch.max.bytes"] = 2097152, ["topic.metadata.refresh.interval.ms"] = 30000,
  ["client.id"] = "catalog", ["isolation.level"] = "read_committed",
}

-- What the guarantee needs; rule 13: no offset is passed over.
local KEPT <const> = {
  ["enable.auto.commit"] = "false", ["enable.auto.offset.store"] = "false", ["auto.offset.reset"] = "error",
  ["enable.partition.eof"] = "true",
}

-- Where the names are, for who has mistaken one.
local NAMES <const> = "; its CONFIGURATION.md has the names, which are not always those of Kafka's Java clients"

-- Of the consumer's properties, those that its producer has as well.
local SHARED <const> = {
  "^sasl%.", "^ssl%.", "^security%.", "^client%.id$", "^bootstrap%.servers$", "^socket%.", "^broker%.",
}

local function properties_of(kafka)
  local all = { ["bootstrap.servers"] = kafka.brokers, ["group.id"] = kafka.group }
  for _, list in ipairs { DEFAULTS, kafka.config or {}, KEPT } do
    for name, value in pairs(list) do all[name] = tostring(value) end
  end
  return all
end

-- What is sent fits into little memory; how long a message may be is for the broker to say.
local PRODUCING <const> = {
  ["enable.idempotence"] = "true", ["queue.buffering.max.kbytes"] = "8192", ["message.max.bytes"] = "67108864",
}

local function producing(properties)
  local all = {}
  for name, value in pairs(PRODUCING) do all[name] = value end
  for name, value in pairs(properties) do
    for _, pattern in ipairs(SHARED) do
      if name:find(pattern) then all[name] = value end
    end
  end
  return all
end

--- The C module, or nil and what to install.
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function Consumer.load()
  local found, kafka = pcall(require, "catalog.kafka")
  if found then return kafka end
  return failure("config", "reading from Kafka needs catalog.kafka: install catalog-kafka (LuaRocks) or "
    .. "lua-catalog-kafka (Debian), or build with librdkafka (Debian: librdkafka-dev) (%s)",
    core.failure.line((tostring(kafka):gsub("\n.*", ""))))
end

--- @tparam table kafka `brokers`, `topics`, `group`, `config`
-- @tparam ?table loop the adapter of the client
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function Consumer.new(kafka, loop)
  local module, missing = Consumer.load()
  if not module then return nil, missing end
  local properties = properties_of(kafka)
  local opened, err = module.new(properties, producing(properties))
  if not opened then
    if err.message:find "none of this name$" then err.message = err.message .. NAMES end
    return nil, err
  end
  return setmetatable({
    core = opened, topics = kafka.topics, loop = loop, asked = {}, ready = false, closed = false,
    listener = core.listener.new(opened:fd()),
  }, Consumer)
end

-- --- what it is asked for ---

-- Waits for the answer to a ticket, which the polling hands out; for some seconds at the most, where they are given.
local function answer_to(self, ticket, refused, seconds)
  if not ticket then return nil, refused end
  local operation = scheduler.new_operation(self.loop)
  self.asked[ticket] = operation
  if seconds then scheduler.add_timer(operation, seconds) end
  scheduler.await(operation)
  self.asked[ticket] = nil
  local stopped = scheduler.cancelled()
  if stopped then return nil, stopped end
  if operation.value ~= nil then return operation.value end
  if operation.failed then return nil, operation.failed end
  return failure("timeout", "Kafka has not answered within %d s", seconds)
end

-- Asks what librdkafka answers to one at a time: the next question waits for the answer, though nobody else may.
local function ask(self, question, ...)
  while self.asking and not self.refused do
    if not scheduler.sleep(0.01, self.loop) then return nil, scheduler.cancelled() end
  end
  if self.refused then return nil, self.refused end
  local ticket, err = question(self.core, ...)
  self.asking = ticket
  return answer_to(self, ticket, err)
end

local function list_of(entries)
  local list = {}
  for i, entry in ipairs(entries) do
    list[i] = {
      topic = entry.partition.topic, number = entry.partition.number, offset = entry.offset, metadata = entry.metadata,
    }
  end
  return list
end

--- Commits offsets.
-- @tparam {table,...} entries each `partition`, `offset`, `metadata`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
-- @treturn[2] boolean whether nobody knows what came of it
function Consumer:commit(entries)
  local ok, err = answer_to(self, self.core:commit(list_of(entries)))
  if ok then return true end
  return nil, err, err.is_unclear or err.kind == "cancelled"
end

--- What the group has committed.
-- @tparam {table,...} partitions
-- @treturn[1] table by the keys of the partitions: `offset`, `metadata`
-- @treturn[2] nil
-- @treturn[2] table error
function Consumer:committed(partitions)
  local list, err = ask(self, self.core.committed, partitions)
  if not list then return nil, err end
  local noted = {}
  for _, one in ipairs(list) do
    if one.offset then noted[("%s/%d"):format(one.topic, one.number)] = one end
  end
  return noted
end

--- Sets what the group has committed; it has to be empty, and this consumer in no group.
-- @tparam {table,...} list each `topic`, `number`, `offset`, `metadata`
function Consumer:alter(list)
  -- first that their coordinator is there: librdkafka does not end well while it waits with offsets for one
  local known, away = ask(self, self.core.committed, list)
  if not known then return nil, away end
  local ticket, err = self.core:alter(list)
  return answer_to(self, ticket, err, ALTERING)
end

--- The group: `state`, `members` (how many).
function Consumer:describe() return ask(self, self.core.describe) end

--- How many partitions a topic has.
function Consumer:count(topic) return ask(self, self.core.ask, topic, -1) end

--- Where a partition begins and ends.
-- @tparam table partition
-- @treturn[1] integer
-- @treturn[1] integer
-- @treturn[2] nil
-- @treturn[2] table error
function Consumer:watermarks(partition)
  local found, err = ask(self, self.core.ask, partition.topic, partition.number)
  if not found then return nil, err end
  return found.low, found.high
end

-- --- what it reads ---

function Consumer:subscribe() return self.core:subscribe(self.topics) end
function Consumer:assign(list) return self.core:assign(list) end
function Consumer:unassign(list) return self.core:unassign(list) end
function Consumer:pause(list) return self.core:pause(list) end
function Consumer:resume(list) return self.core:resume(list) end

--- Reads a partition from an offset on.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error: it is where it was, and is not to be resumed
function Consumer:seek(partition, offset)
  return self.core:seek { { topic = partition.topic, number = partition.number, offset = offset } }
end

--- The end of a partition as it was last heard of; nil: not yet.
function Consumer:high(partition) return self.core:high(partition.topic, partition.number) end

--- Leaves the group and joins it again: what this member has in flight is of an older generation then.
function Consumer:rejoin()
  self.core:unsubscribe()
  return self.core:subscribe(self.topics)
end

-- Hands an answer to who waits for it.
local function hand_out(self, ticket, value, err)
  if ticket == self.asking then self.asking = nil end
  local operation = self.asked[ticket]
  if not operation then return end
  operation.value, operation.failed = value, err
  scheduler.complete(operation)
end

-- An error of brokers in fewer words: how long it took librdkafka helps nobody.
local function shorten(err)
  err.message = err.message:gsub(" %(after %d+ms in state [^()]*[()%a]*[^()]*%)$", "")
end

--- What has happened, without waiting.
-- @tparam ?boolean without_messages as of `kafka:poll`
-- @treturn ?string as of `kafka:poll`
-- @return
function Consumer:poll(without_messages)
  while true do
    local name, first, value, err = self.core:poll(without_messages)
    if name == "error" then shorten(first) end
    if name ~= "answer" then return name, first end
    hand_out(self, first, value, err)
  end
end

--- Takes records into a buffer, and tells what has happened else, without waiting: as `kafka:fill`.
function Consumer:fill(...)
  local records, bytes, dropped, name, first, value, err = self.core:fill(...)
  if name == "error" then shorten(first) end
  if name ~= "answer" then return records, bytes, dropped, name, first, value end
  hand_out(self, first, value, err)
  return records, bytes, dropped, "more" -- who has waited for it may have sent the buffer
end

--- Waits until there may be something to poll.
-- @tparam number seconds at the most
function Consumer:wait(seconds)
  if not self.ready then self:await(seconds) end
  self.ready = false
end

function Consumer:await(seconds)
  local operation = scheduler.new_operation(self.loop)
  scheduler.add_timer(operation, math.min(seconds, POLL))
  self.woken = operation
  scheduler.await(operation)
  self.woken = nil
end

--- Wakes who waits by `wait`.
function Consumer:wake()
  if self.woken then scheduler.complete(self.woken) end
end

--- Wakes it whenever the descriptor is readable: what one task does.
function Consumer:listen()
  while not self.closed do
    if not self.listener:start() then return end
    if not scheduler.transfer(self.listener, self.loop) then return end
    self.core:drain_fd() -- what comes from now on makes it readable again
    self.ready = true
    self:wake()
  end
end

-- --- what is rejected ---

--- Sends a message to a topic.
-- @tparam string topic
-- @tparam ?string key
-- @tparam ?string value
-- @tparam {[string]=string,...} headers
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error: of code `_QUEUE_FULL` when too much is under way
function Consumer:produce(topic, key, value, headers) return self.core:produce(topic, key, value, headers) end

--- How many messages were produced and are not there yet.
-- @treturn[1] integer
-- @treturn[2] nil
-- @treturn[2] table error: one could not be delivered; it is told once
function Consumer:undelivered() return self.core:undelivered() end

-- --- the end ---

-- Gives all that was asked for an error.
local function fail_all(self, err)
  for _, operation in pairs(self.asked) do
    operation.failed = err
    scheduler.complete(operation)
  end
end

--- Gives all that was asked for an error, and each question from now on.
function Consumer:refuse(err)
  self.refused = err
  fail_all(self, err)
end

--- Ends it at once.
function Consumer:drop()
  self.closed, self.asking = true, nil
  self.listener:close()
  self.core:close()
  fail_all(self, select(2, failure("cancelled", "the drain has ended")))
  self:wake()
end

return Consumer
