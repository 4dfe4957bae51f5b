--- The batch that is filled: records of many partitions in files of one buffer each. It is dead once a partition of it
-- was lost, or it was given up at the service: then nobody completes it, and its partitions go back to where it began.
-- @module catalog.drain.filling
local Uploads = require "catalog.drain.uploads"
local core = require "catalog.core"

local Filling = {}
Filling.__index = Filling

--- @tparam table service as of `catalog.drain.uploads`
-- @tparam table given likewise
-- @treturn table `ranges`: by the keys of partitions, each `partition`, `epoch`, `first`, `next`; `records`, `bytes`;
--   `since` (monotonic: when the first of it came); `id`; `dead`: why, or false
function Filling.new(service, given)
  local self = setmetatable({
    given = given, ranges = {}, records = 0, bytes = 0, id = false, dead = false, since = false, buffer = false,
  }, Filling)
  self.uploads = Uploads.new(service, given, self)
  return self
end

-- Takes the buffer from it, where there is one.
local function take_buffer(self)
  local buffer = self.buffer
  self.buffer = false
  return buffer
end

--- Ends it: its files go nowhere.
-- @tparam string why
function Filling:kill(why)
  self.dead = self.dead or why
  local buffer = take_buffer(self)
  if buffer then self.uploads:put_back(buffer) end
  self.uploads:cancel()
end

--- How many files it has, those that are under way counted.
function Filling:files() return self.uploads.count end

--- Whether nothing more is to be taken for now: as many files are under way as may be.
-- @treturn boolean
function Filling:is_full() return self.uploads:is_full() end

-- --- how far its partitions come ---

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

-- --- records ---

--- The buffer that the next records go to.
-- @treturn buffer
function Filling:room()
  self.buffer = self.buffer or self.uploads:buffer()
  return self.buffer
end

--- Sends what is in the buffer.
function Filling:dispatch()
  local buffer = take_buffer(self)
  if not buffer then return end
  if buffer:length() > 0 then self.uploads:send(buffer) else self.uploads:put_back(buffer) end
end

--- Takes note of records that were put into the buffer.
-- @tparam integer records
-- @tparam integer bytes
function Filling:count(records, bytes)
  self.records, self.bytes = self.records + records, self.bytes + bytes
  if self.buffer and self.buffer:length() >= self.given.file_bytes then self:dispatch() end
end

--- Adds a record.
-- @tparam string line JSON, without a line break
function Filling:add(line)
  if not self:room():add_line(line, self.given.file_bytes) then
    self:dispatch()
    self:room():add_line(line, self.given.file_bytes)
  end
  self:count(1, #line + 1)
end

--- Sends what is left, and waits until all files have arrived.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] ?table error: it is dead
function Filling:finish()
  if not self.dead then self:dispatch() end
  local ok, err = self.uploads:wait()
  if ok and not self.dead then return true end
  return nil, err
end

return Filling
