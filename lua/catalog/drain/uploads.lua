--- The files of a batch: buffers that are sent as soon as they are full, some at a time. No request stays open while
-- records come in. The first file has the batch created.
-- @module catalog.drain.uploads
local Group = require "catalog.scheduler.group"
local core = require "catalog.core"

local Uploads = {}
Uploads.__index = Uploads

--- @tparam table service `create(filling)` sets its `id`; `put(filling, name, buffer)`. Each tries until it comes to
--   something, and gives nil and an error where the batch can come to nothing any more
-- @tparam table given `file_bytes` (of a buffer), `parallel` (files at a time), `buffers`: those that are idle;
--   `sent()` is told when there is room for one more
-- @tparam table filling the batch; it is killed where a file cannot be sent
-- @treturn table `count`: of files
function Uploads.new(service, given, filling)
  return setmetatable({
    service = service, given = given, filling = filling, count = 0, waiting = {}, under_way = 0, creating = false,
    jobs = Group.new("detached", given.parallel),
  }, Uploads)
end

--- A buffer that is not used.
function Uploads:buffer()
  return table.remove(self.given.buffers) or core.buffer.new(self.given.file_bytes)
end

--- Takes a buffer back that is not sent.
function Uploads:put_back(buffer)
  buffer:reset()
  table.insert(self.given.buffers, buffer)
end

local function put(self, name, buffer)
  local ok, err = self.service:put(self.filling, name, buffer)
  self.under_way = self.under_way - 1
  self.given.sent()
  if not ok then
    self.filling:kill(tostring(err))
    return nil, err
  end
  self:put_back(buffer)
  return true
end

local function add_file(self, name, buffer)
  self.jobs:add(function() return put(self, name, buffer) end)
end

-- Files that come meanwhile wait for the batch.
local function create_and_put(self, name, buffer)
  local ok, err = self.service:create(self.filling)
  if not ok then
    self.filling:kill(tostring(err))
    return nil, err
  end
  self.creating = false
  for _, file in ipairs(self.waiting) do add_file(self, file.name, file.buffer) end
  self.waiting = {}
  return put(self, name, buffer)
end

--- Sends a buffer as a file.
function Uploads:send(buffer)
  self.count, self.under_way = self.count + 1, self.under_way + 1
  local name = ("%06d.jsonl"):format(self.count)
  if self.filling.id then
    add_file(self, name, buffer)
  elseif self.creating then
    self.waiting[#self.waiting + 1] = { name = name, buffer = buffer }
  else
    self.creating = true
    self.jobs:add(function() return create_and_put(self, name, buffer) end)
  end
end

--- Whether there are as many files under way as there may be.
-- @treturn boolean
function Uploads:is_full() return self.under_way >= self.given.parallel end

--- Waits until all files have arrived.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function Uploads:wait() return self.jobs:wait() end

--- Ends those that are under way.
function Uploads:cancel() self.jobs:cancel() end

return Uploads
