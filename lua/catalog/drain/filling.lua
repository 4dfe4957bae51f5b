--- The batch that is filled: records of many partitions in files of one buffer each, sent as soon as they are full. No
-- request stays open while records come in. It is dead once a partition of it was lost, or it was given up at the
-- service: then nobody completes it, and its partitions go back to where it began.
-- @module catalog.drain.filling
local Group = require "catalog.scheduler.group"
local core = require "catalog.core"

local Filling = {}
Filling.__index = Filling

--- @tparam table service `create(filling)` sets its `id`; `put(filling, name, buffer)`. Each tries until it comes to
--   something, and gives nil and an error where the batch can come to nothing any more
-- @tparam table given `file_bytes` (of a buffer), `parallel` (files at a time), `buffers`: those that are idle
-- @treturn table `ranges`: by the keys of partitions, each `partition`, `epoch`, `first`, `next`; `records`, `bytes`,
--   `files`; `since` (monotonic: when the first of it came); `dead`: why, or false
function Filling.new(service, given)
  return setmetatable({
    service = service, given = given, ranges = {}, records = 0, bytes = 0, files = 0, id = false, dead = false,
    since = false, buffer = false, waiting = {}, under_way = 0, creating = false,
    jobs = Group.new("detached", given.parallel),
  }, Filling)
end

--- Ends it: its files go nowhere.
-- @tparam string why
function Filling:kill(why)
  self.dead = self.dead or why
  self.jobs:cancel()
end

-- --- files ---

local function put(self, name, buffer)
  local ok, err = self.service:put(self, name, buffer)
  self.under_way = self.under_way - 1
  if not ok then
    self:kill(tostring(err))
    return nil, err
  end
  buffer:reset()
  table.insert(self.given.buffers, buffer)
  return true
end

local function add_file(self, name, buffer)
  self.jobs:add(function() return put(self, name, buffer) end)
end

-- The first file has the batch created; those that come meanwhile wait for that.
local function create_and_put(self, name, buffer)
  local ok, err = self.service:create(self)
  if not ok then
    self:kill(tostring(err))
    return nil, err
  end
  self.creating = false
  for _, file in ipairs(self.waiting) do add_file(self, file.name, file.buffer) end
  self.waiting = {}
  return put(self, name, buffer)
end

-- Sends the buffer as a file.
local function dispatch(self)
  local buffer = self.buffer
  self.buffer, self.files, self.under_way = false, self.files + 1, self.under_way + 1
  local name = ("%06d.jsonl"):format(self.files)
  if self.id then
    add_file(self, name, buffer)
  elseif self.creating then
    self.waiting[#self.waiting + 1] = { name = name, buffer = buffer }
  else
    self.creating = true
    self.jobs:add(function() return create_and_put(self, name, buffer) end)
  end
end

--- Whether there are as many files under way as there may be: nothing more is to be taken.
-- @treturn boolean
function Filling:is_full() return self.under_way >= self.given.parallel end

-- --- records ---

local function range_of(self, partition)
  local range = self.ranges[partition.key]
  if not range then
    range = { partition = partition, epoch = partition.epoch, first = partition.next, next = partition.next }
    self.ranges[partition.key] = range
    self.since = self.since or core.system.monotonic()
  end
  return range
end

--- Takes note that everything of a partition up to an offset is in the batch, or was dropped or rejected.
-- @tparam table partition
-- @tparam integer next the offset behind it
function Filling:advance(partition, next)
  range_of(self, partition).next = next
  partition.next = next
end

--- Adds a record.
-- @tparam string line JSON, without a line break
function Filling:add(line)
  local buffer = self.buffer
  if not buffer then
    buffer = table.remove(self.given.buffers) or core.buffer.new(self.given.file_bytes)
    self.buffer = buffer
  end
  buffer:append(line)
  buffer:append "\n"
  self.records, self.bytes = self.records + 1, self.bytes + #line + 1
  if buffer:length() >= self.given.file_bytes then dispatch(self) end
end

--- Sends what is left, and waits until all files have arrived.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] ?table error: it is dead
function Filling:finish()
  if self.buffer and not self.dead then dispatch(self) end
  local ok, err = self.jobs:wait()
  if ok and not self.dead then return true end
  return nil, err
end

return Filling
