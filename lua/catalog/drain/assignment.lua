--- The partitions that this member of the group has, and where each goes on. A broker looks at the member and the
-- generation of a commit, never at who has the partition: so that is looked at here. Each time a partition is assigned
-- it gets a new *epoch*, and what belongs to another is dropped.
-- @module catalog.drain.assignment
local failure = require "catalog.base.failure"
local intention = require "catalog.drain.intention"

local Assignment = {}
Assignment.__index = Assignment

-- How long to wait before offsets are asked for again, in seconds.
local AGAIN <const> = 1

--- @tparam table kafka the consumer, as of `catalog.drain.consumer`
-- @tparam ?string from `beginning` or `end`: where a new group starts
-- @tparam table host `pause(seconds)`: false when there is nothing more to be done; `failed(err)` is told of what is
--   tried again; `go_on(partition, offset)`: its records come from there; `inherit(partition, intention, offset)`:
--   what became of a batch decides first; `blocked(partition, why)`; `give_up(err)`: this member cannot go on
-- @treturn table `partitions` by their keys: `topic`, `number`, `key`, `epoch`, `next` (the offset of the next record;
--   nil until it is known)
function Assignment.new(kafka, from, host)
  return setmetatable({ kafka = kafka, from = from, host = host, partitions = {}, topics = {}, epoch = 0 }, Assignment)
end

--- The key of a partition.
function Assignment.key(topic, number) return ("%s/%d"):format(topic, number) end

--- Whether a partition is still the one it was: of this member, without having been another's meanwhile.
-- @tparam table held `partition`, `epoch`
-- @treturn boolean
function Assignment:holds(held)
  local now = self.partitions[held.partition.key]
  return now ~= nil and now.epoch == held.epoch
end

--- Whether that is so of all partitions of a batch.
-- @tparam {[string]=table,...} ranges
-- @treturn boolean
function Assignment:holds_all(ranges)
  for _, range in pairs(ranges) do
    if not self:holds(range) then return false end
  end
  return true
end

local function is_current(self, partition) return self.partitions[partition.key] == partition end

--- The partition of a topic with a number: as in `partitions`, for each message.
-- @tparam string topic
-- @tparam integer number
-- @treturn ?table
function Assignment:find(topic, number)
  local numbers = self.topics[topic]
  return numbers and numbers[number]
end

local function put(self, topic, number, partition)
  self.partitions[Assignment.key(topic, number)] = partition
  self.topics[topic] = self.topics[topic] or {}
  self.topics[topic][number] = partition
end

--- Takes partitions over. Nothing of them is read until it is known where they go on: rule 2.
-- @tparam {table,...} list each `topic`, `number`
-- @treturn {table,...} the partitions
function Assignment:add(list) -- rule 1: an epoch of its own
  local added = {}
  for i, one in ipairs(list) do
    self.epoch = self.epoch + 1
    local key = Assignment.key(one.topic, one.number)
    added[i] = { topic = one.topic, number = one.number, key = key, epoch = self.epoch }
    put(self, one.topic, one.number, added[i])
  end
  return added
end

--- Gives partitions up.
-- @tparam {table,...} list each `topic`, `number`
function Assignment:remove(list)
  for _, one in ipairs(list) do put(self, one.topic, one.number, nil) end
end

-- --- where a partition goes on ---

-- A partition by what is noted of it.
local function place(self, partition, noted)
  local intended, fault = intention.decode(noted.metadata)
  if intended == nil then return self.host.blocked(partition, fault) end -- rule 14: somebody else's, or newer
  if intended then return self.host.inherit(partition, intended, noted.offset) end
  self.host.go_on(partition, noted.offset)
end

-- All partitions of a topic.
local function partitions_of(self, topic)
  local count, err = self.kafka:count(topic)
  if not count then return nil, err end
  local all = {}
  for number = 0, count - 1 do
    all[#all + 1] = { topic = topic, number = number, key = Assignment.key(topic, number) }
  end
  return all
end

local function highest_noted(all, noted)
  local highest
  for _, one in ipairs(all) do
    if noted[one.key] then highest = math.max(highest or 0, one.number) end
  end
  return highest
end

-- rule 13: the start is committed once. Where partitions begin, in one request.
local function note_start(self, list, from)
  local entries = {}
  for i, one in ipairs(list) do
    local low, high = self.kafka:watermarks(one)
    if not low then return nil, high end
    entries[i] = { partition = one, offset = from == "end" and high or low }
  end
  return self.kafka:commit(entries)
end

local BEHIND <const> = "the group has offsets of other partitions of the topic and none of this one: it has expired, "
  .. "or was deleted. Say where to go on: catalog group resolve %s=OFFSET"

-- rule 13: what is to be done about a partition of which no offset is noted: nothing but waiting, where it gives nil.
-- Who has the first partition of a topic notes the start of all of them, so that it is noted once; the others wait.
-- Later ones are new: the topic was enlarged.
local function way_to_start(self, partition, highest)
  if highest and highest > partition.number then return "blocked", BEHIND:format(partition.key) end
  if highest then return "new" end
  if not self.from then return "nowhere" end
  return partition.number == 0 and "first" or nil
end

-- Places those partitions of a topic that are noted by now, and notes the start of others. Gives those that are left,
-- and whether something was noted; or nil and an error.
local function start(self, topic, list)
  local all, err = partitions_of(self, topic)
  if not all then return nil, err end
  local noted, unread = self.kafka:committed(all)
  if not noted then return nil, unread end
  local highest, left, ways = highest_noted(all, noted), {}, { new = {}, first = {}, nowhere = {} }
  for _, partition in ipairs(list) do
    local is_placed = noted[partition.key] ~= nil
    if is_current(self, partition) and is_placed then place(self, partition, noted[partition.key]) end
    if is_current(self, partition) and not is_placed then
      local way, why = way_to_start(self, partition, highest)
      if way == "blocked" then self.host.blocked(partition, why) else left[#left + 1] = partition end
      if ways[way] then table.insert(ways[way], partition) end
    end
  end
  if ways.nowhere[1] then
    self.host.give_up(select(2, failure("config", 'the group has committed nothing yet: say where it starts, '
      .. 'from = "beginning" or "end"')))
  end
  local ok, refused = true, nil
  if ways.new[1] then ok, refused = note_start(self, ways.new, "beginning") end
  if ways.first[1] then ok, refused = note_start(self, all, self.from) end
  if not ok then return nil, refused end
  return left, ways.new[1] ~= nil or ways.first[1] ~= nil
end

local function by_topic(list)
  local topics = {}
  for _, partition in ipairs(list) do
    topics[partition.topic] = topics[partition.topic] or {}
    table.insert(topics[partition.topic], partition)
  end
  return topics
end

-- Until each is placed or was lost.
local function start_all(self, list)
  while #list > 0 do
    local left, is_noted = {}, false
    for topic, some in pairs(by_topic(list)) do
      local rest, more = start(self, topic, some)
      if not rest then self.host.failed(more) end
      is_noted = is_noted or rest and more
      table.move(rest or some, 1, #(rest or some), #left + 1, left)
    end
    list = left
    if #list > 0 and not is_noted and not self.host.pause(AGAIN) then return end
  end
end

--- Finds out where partitions go on. Returns when each is placed, blocked, or lost again.
-- @tparam {table,...} added
function Assignment:resolve(added)
  if #added == 0 then return end
  local noted, err = self.kafka:committed(added)
  while not noted do
    self.host.failed(err)
    if not self.host.pause(AGAIN) then return end
    noted, err = self.kafka:committed(added)
  end
  local without = {}
  for _, partition in ipairs(added) do
    local is_noted = noted[partition.key] ~= nil
    if is_current(self, partition) and is_noted then place(self, partition, noted[partition.key]) end
    if is_current(self, partition) and not is_noted then without[#without + 1] = partition end
  end
  start_all(self, without)
end

return Assignment
