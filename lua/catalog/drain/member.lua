--- One member of the group: what it does when partitions come and go.
-- @module catalog.drain.member
local Assignment = require "catalog.drain.assignment"
local Batches = require "catalog.drain.batches"

local Member = {}
Member.__index = Member

--- @tparam table kafka the consumer: `assign(list)`, `unassign(list)`, `seek(partition, offset)`, and what
--   `catalog.drain.assignment` and `catalog.drain.batches` need
-- @tparam table service of `catalog.drain.service`
-- @tparam table given `from`, `file_bytes`, `parallel`
-- @tparam table host `pause(seconds)`, `failed(err)`, `begin(body, ...)`, `refused(range, id, fields)`,
--   `ingested(sealed, fields)`, `ended(sealed, verdict, fields)`, `kept()`, `sent()`, as of `catalog.drain.batches`;
--   `told_blocked(partition, why)`
-- @treturn table `assignment`, `batches`
function Member.new(kafka, service, given, host)
  local self = setmetatable({ kafka = kafka, host = host }, Member)
  local inner = setmetatable({
    go_on = function(partition, offset) self:go_on(partition, offset) end,
    blocked = function(partition, why) self:block(partition, why) end,
    inherit = function(partition, intended, offset) self.batches:inherit(partition, intended, offset) end,
  }, { __index = host })
  self.assignment = Assignment.new(kafka, given.from, inner)
  self.batches = Batches.new(kafka, self.assignment, service, given, inner)
  return self
end

-- Whether the batch that is filled has records of some partitions.
local function is_filled_from(self, list)
  for _, one in ipairs(list) do
    if self.batches.filling.ranges[Assignment.key(one.topic, one.number)] then return true end
  end
  return false
end

-- rule 2: reads a partition from where it goes on. False: it cannot be placed there yet, and nothing of it may be read:
-- it would be from somewhere else.
local function place(self, partition)
  local ok = self.kafka:seek(partition, partition.next)
  partition.is_astray = not ok
  if not ok then self.kafka:pause { partition } elseif not self.is_held then self.kafka:resume { partition } end
  return ok
end

-- Places a partition as soon as that can be done.
local function find(self, partition)
  local held = { partition = partition, epoch = partition.epoch }
  while self.host.pause(0.1) and partition.is_astray and self.assignment:holds(held) do
    if not partition.next then -- it is blocked
      partition.is_astray = false
      return
    end
    place(self, partition)
  end
end

-- Reads a partition from where it goes on, now or as soon as that can be done.
local function read_on(self, partition)
  local was_astray = partition.is_astray
  if not place(self, partition) and not was_astray then self.host.begin(find, self, partition) end
end

--- Lets a partition go on, or go back.
-- @tparam table partition
-- @tparam integer offset of the next record
function Member:go_on(partition, offset)
  partition.next, partition.blocked, partition.refusing = offset, nil, nil
  read_on(self, partition)
end

--- Reads nothing of all partitions, or goes on where each was.
-- @tparam boolean hold
function Member:hold(hold)
  self.is_held = hold
  local list = {}
  for _, partition in pairs(self.assignment.partitions) do
    if partition.next and not partition.is_astray then list[#list + 1] = partition end
  end
  if hold then return self.kafka:pause(list) end
  for _, partition in ipairs(list) do read_on(self, partition) end
end

--- What a batch had that has failed is kept elsewhere: then its partition goes on behind it. Where it could not be kept
-- it is read once more.
-- @tparam table partition
-- @tparam table refusing `first`, `next`: the offset behind it; `faults`: those of `rejected` when it began
-- @tparam table rejected of `catalog.drain.rejected`
function Member:pass_refused(partition, refusing, rejected)
  local held = { partition = partition, epoch = partition.epoch }
  local kept, lost = rejected:flush(self.host.pause, refusing.faults)
  while self.assignment:holds(held) do
    local ok, err = nil, lost
    if kept then ok, err = self.batches:pass_over(partition, refusing.next) end
    if ok then return self:go_on(partition, refusing.next) end
    self.host.failed(err)
    if not self.host.pause(1) or not self.assignment:holds(held) then return end
    if not kept then
      self:go_on(partition, refusing.first)
      refusing.faults = rejected.faults
      partition.refusing = refusing
      return
    end
  end
end

local GONE <const> = "%d offsets from %d on were deleted before they were read; say where to go on: catalog group "
  .. "resolve %s=%d"
local BEYOND <const> = "it ends at %d, and its group is at %d: the topic was made anew, or its end was lost; say where "
  .. "to go on: catalog group resolve %s=OFFSET"

--- Kafka says that there is nothing at the offset where a partition goes on: it was deleted before it was read. Says
-- how much is gone. Or that was where it is parked: librdkafka reads and seeks in it no more until it is assigned anew.
-- @tparam table partition
function Member:look_for_offset(partition)
  if not partition.next and not partition.blocked then return self.kafka:rejoin() end
  local held = { partition = partition, epoch = partition.epoch }
  while self.assignment:holds(held) and partition.next do
    local low, high = self.kafka:watermarks(partition)
    local offset = partition.next
    if low and offset and self.assignment:holds(held) then
      if offset < low then return self:block(partition, GONE:format(low - offset, offset, partition.key, low)) end
      if offset > high then return self:block(partition, BEYOND:format(high, offset, partition.key)) end
      return self.kafka:rejoin() -- it is there: librdkafka reads it again when it is assigned anew
    end
    if not low then self.host.failed(high) end
    if not self.host.pause(1) then return end
  end
end

--- Counts the partitions of all members, for the share of this one.
-- @tparam {string,...} topics
function Member:count_all(topics)
  local all = 0
  for _, topic in ipairs(topics) do
    local count = self.kafka:count(topic)
    if not count then return end -- as many as were before
    all = all + count
  end
  self.all = all
end

--- How many times more partitions there are than this member has: 1 or more.
-- @treturn number
function Member:share()
  local own = 0
  for _ in pairs(self.assignment.partitions) do own = own + 1 end
  return own > 0 and math.max(1, (self.all or own) / own) or 1
end

--- What is to be said of the partitions.
-- @treturn table `count`, `lag`, `blocked`
function Member:summary()
  local count, lag, blocked = 0, 0, nil
  for key, partition in pairs(self.assignment.partitions) do
    local high = self.kafka.high and self.kafka:high(partition)
    count = count + 1
    if high and partition.next then lag = lag + math.max(0, high - partition.next) end
    if partition.blocked then
      blocked = blocked or {}
      blocked[key] = partition.blocked
    end
  end
  return { count = count, lag = lag, blocked = blocked }
end

--- Nothing more is read of a partition until a person has decided.
-- @tparam table partition
-- @tparam string why
function Member:block(partition, why)
  if partition.blocked then return end
  partition.blocked = why
  if is_filled_from(self, { partition }) then self.batches:drop(why) end
  partition.next = nil
  self.kafka:pause { partition }
  self.host.told_blocked(partition, why)
end

--- Partitions were assigned.
-- @tparam {table,...} list each `topic`, `number`
function Member:assigned(list)
  self.batches:joined()
  self.kafka:assign(list)
  self.host.begin(self.assignment.resolve, self.assignment, self.assignment:add(list))
end

-- They are nobody's from here on, as far as this member is concerned.
local function give_up(self, list, why)
  local filled = is_filled_from(self, list)
  self.assignment:remove(list)
  if filled then self.batches:drop(why) end
end

--- rule 11: partitions are to be given back. What was filled of them is sealed where that may be done now, and dropped
-- otherwise. The group waits for the answer, which is given when no commit is in flight.
-- @tparam {table,...} list
function Member:revoked(list)
  self.giving_back = list
  if is_filled_from(self, list) and self.batches:may_seal() then self.batches:seal() end
  give_up(self, list, "a partition was given back")
  while self.batches.committing do
    if not self.host.pause(0.01) then return end
  end
  if self.giving_back == list then self.kafka:unassign(list) end -- else they were lost meanwhile
end

--- rule 11: partitions were lost; somebody else has them by now.
-- @tparam {table,...} list
function Member:lost(list)
  self.giving_back = nil
  give_up(self, list, "a partition was lost")
  self.kafka:unassign(list)
end

--- rule 1: the partition that a record belongs to; nil where it is another's, was rewound, or cannot be read now.
-- @tparam string topic
-- @tparam integer number
-- @tparam integer offset
-- @treturn ?table
function Member:partition_of(topic, number, offset)
  local partition = self.assignment:find(topic, number)
  if partition and partition.next and not partition.is_astray and offset >= partition.next then return partition end
end

return Member
