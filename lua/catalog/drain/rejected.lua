--- Where rejected messages go, and rows that the service has refused: a topic, a directory, or nowhere but to who is
-- told of them. At least once: a batch that is dropped is read again, and so is what was rejected of it.
-- @module catalog.drain.rejected
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local problems = require "catalog.batch.problems"
local random = require "catalog.base.random"

local Rejected = {}
Rejected.__index = Rejected

local rejected = {}

-- A broker takes messages of a little more than so many bytes, as it comes; longer ones are cut. `catalog_source` says
-- where they are as a whole.
local LONGEST <const> = 900000

--- What is wrong with a batch that failed, in a line.
-- @tparam ?table fields
-- @treturn string
function rejected.reason_of(fields)
  local list = problems.list(fields and fields.errors)
  return list[1] and list[1].text or "its errors say no more"
end

-- A file of this drain in the directory; its name is of the time, so that one may be taken away.
local function open_file(directory)
  local made, err = core.fs.mkdir(directory)
  if not made then return nil, err end
  local path = ("%s/%s-%s.jsonl"):format(directory, os.date "!%Y%m%dT%H%M%SZ", random(4))
  local file, refused = core.journal.open(path)
  if not file then return failure("config", "cannot keep what is rejected: %s", refused.message) end
  return { file = file, path = path }
end

--- @tparam table drain with `settings` and `kafka`
-- @treturn[1] table `count` (messages)
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function rejected.new(drain)
  local settings, kept = drain.settings, {}
  if settings.rejected then
    local opened, err = open_file(settings.rejected)
    if not opened then return nil, err end
    kept = opened
  end
  return setmetatable({
    kafka = drain.kafka, topic = settings.rejected_topic, file = kept.file, path = kept.path, faults = 0, fault = false,
    on_rejected = settings.on_rejected, count = 0, first = 1, last = 0, waiting = {}, is_late = false,
    untold = {},
  }, Rejected)
end

-- A line of the file: what the message was, as text where it is any.
local function line_of(message, reason)
  local fields = {
    topic = message.topic, partition = message.partition, offset = message.offset, reason = reason,
    timestamp = message.timestamp, batch = message.batch,
  }
  for _, name in ipairs { "key", "value" } do
    local text = message[name]
    if text and utf8.len(text) then
      fields[name] = text
    elseif text then
      fields[name .. "_hex"] = (text:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
    end
  end
  return assert(core.json.encode(fields))
end

-- Something could not be kept, and nobody knows of whom it was.
local function note_fault(self, err) self.faults, self.fault = self.faults + 1, err end

local function write(self, line)
  local ok, err = self.file:append(line .. "\n", false)
  if not ok then
    note_fault(self, select(2, failure("config", "cannot keep what is rejected in %s: %s", self.path, err.message)))
  end
end

-- --- the topic ---

local function headers_of(message, reason, cut)
  local headers = {}
  for name, value in pairs(message.headers or {}) do headers[name] = value end
  headers.catalog_reason, headers.catalog_batch, headers.catalog_cut = reason, message.batch, cut
  if message.topic then
    headers.catalog_source = ("%s/%d:%d"):format(message.topic, message.partition, message.offset)
  end
  return headers
end

-- A message as it is sent.
local function outgoing(message, reason)
  local value, cut = message.value, nil
  if value and #value > LONGEST then
    cut, value = ("the first %d of %d bytes"):format(LONGEST, #value), value:sub(1, LONGEST)
  end
  return { key = message.key, value = value, headers = headers_of(message, reason, cut) }
end

local function send(self, message)
  local ok, err = self.kafka:produce(self.topic, message.key, message.value, message.headers)
  if ok then return true end
  if err.code == "_QUEUE_FULL" then return false end
  note_fault(self, err)
  return true
end

--- Sends what waits, as far as there is room for it.
function Rejected:push()
  while self.first <= self.last and send(self, self.waiting[self.first]) do
    self.waiting[self.first], self.first = nil, self.first + 1
  end
end

local function waits(self) return self.first <= self.last end

--- Whether nothing more is to be read: there is no room for what waits, or somebody waits for what is under way.
-- @treturn boolean
function Rejected:is_full() return waits(self) or self.is_late end

local function produce(self, message)
  self.last = self.last + 1
  self.waiting[self.last] = message
  self:push()
end

-- --- all of it ---

local function keep(self, message, reason)
  if self.topic then produce(self, outgoing(message, reason)) end
  if self.file then write(self, line_of(message, reason)) end
  if self.on_rejected then self.untold[#self.untold + 1] = { message, select(2, failure("data", "%s", reason)) } end
end

--- Tells what was taken since. Whoever is told may wait for something; so this is for where nothing is in the middle of
-- anything.
function Rejected:tell()
  if not self.untold[1] then return end
  local untold = self.untold
  self.untold = {}
  for _, one in ipairs(untold) do self.on_rejected(one[1], one[2]) end
end

--- Takes a message.
-- @tparam table message `topic`, `partition`, `offset`, `key`, `value`, `timestamp`, `headers`
-- @tparam string reason
function Rejected:add(message, reason)
  self.count = self.count + 1
  keep(self, message, reason)
end

--- Takes a row that the service has refused.
-- @tparam string batch the id
-- @tparam string line the row, as the service shows it
-- @tparam string reason
function Rejected:add_row(batch, line, reason) keep(self, { batch = batch, value = line }, reason) end

--- Whether anybody wants to have rows.
-- @treturn boolean
function Rejected:wants_rows() return (self.topic or self.file or self.on_rejected) ~= nil end

-- After how many seconds of waiting nothing more is read, so that it has an end.
local LATE <const> = 0.5

-- Waits until all has left, and is there.
local function push_all(self, pause)
  local late = core.system.monotonic() + LATE
  repeat
    self:push()
    local left, err = self.kafka:undelivered()
    if not left then
      note_fault(self, err)
      return nil, err
    end
    local is_there = left == 0 and not waits(self)
    self.is_late = not is_there and core.system.monotonic() > late
    if is_there then return true end
  until not pause(0.02)
  return failure("cancelled", "the drain has ended")
end

--- Waits until all that was taken is kept. Where something could not be kept everybody is told who waits, or has begun
-- by then: who has it reads it again.
-- @tparam function pause `pause(seconds)`: false when there is nothing more to be done
-- @tparam integer since what `faults` was when the first of it came
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function Rejected:flush(pause, since)
  local ok, err = true, nil
  if self.topic then
    ok, err = push_all(self, pause)
    self.is_late = false
  end
  if self.file and self.faults == since then ok, err = self.file:append("", true) end
  if self.faults > since then return nil, self.fault end
  return ok, err
end

--- Ends it. A file that has nothing is none.
function Rejected:close()
  if not self.file then return end
  self.file:close()
  self.file = nil
  if core.file.look(self.path) == 0 then os.remove(self.path) end
end

return rejected
