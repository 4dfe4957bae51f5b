--- Where rejected messages go: a topic, a directory, or nowhere but to who is told of them. At least once: a batch that
-- is dropped is read again, and so is what was rejected of it.
-- @module catalog.drain.rejected
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local problems = require "catalog.batch.problems"
local random = require "catalog.base.random"

local Rejected = {}
Rejected.__index = Rejected

local rejected = {}

--- What is wrong with a batch that failed, in a line.
-- @tparam ?table fields
-- @treturn string
function rejected.reason_of(fields)
  local list = problems.list(fields and fields.errors)
  return list[1] and list[1].text or "its errors say no more"
end

-- A file of this drain in the directory; its name is of the time, so that one may be taken away.
local function open_file(directory)
  local path = ("%s/%s-%s.jsonl"):format(directory, os.date "!%Y%m%dT%H%M%SZ", random(4))
  local file, why = io.open(path, "a")
  if not file then return failure("config", "cannot keep rejected records: %s", why) end
  return file
end

--- @tparam table drain with `settings` and `kafka`
-- @treturn[1] table `count`
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function rejected.new(drain)
  local settings, file = drain.settings, nil
  if settings.rejected then
    local opened, err = open_file(settings.rejected)
    if not opened then return nil, err end
    file = opened
  end
  return setmetatable({
    kafka = drain.kafka, topic = settings.rejected_topic, file = file, on_rejected = settings.on_rejected, count = 0,
  }, Rejected)
end

-- A line of the file: what the message was, as text where it is any.
local function line_of(message, reason)
  local fields = {
    topic = message.topic, partition = message.partition, offset = message.offset, reason = reason,
    timestamp = message.timestamp,
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

--- Takes a message.
-- @tparam table message `topic`, `partition`, `offset`, `key`, `value`, `timestamp`, `headers`
-- @tparam string reason
function Rejected:add(message, reason)
  self.count = self.count + 1
  if self.topic then self.kafka:produce(self.topic, message, reason) end
  if self.file then self.file:write(line_of(message, reason), "\n") end
  if self.on_rejected then self.on_rejected(message, select(2, failure("data", "%s", reason))) end
end

--- Waits until all that was taken is kept.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function Rejected:flush()
  if self.topic then return self.kafka:flush() end
  if self.file then
    local ok, why = self.file:flush()
    if not ok then return failure("config", "cannot keep rejected records: %s", why) end
  end
  return true
end

--- Ends it.
function Rejected:close()
  if self.file then self.file:close() end
end

return rejected
