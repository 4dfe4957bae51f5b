--- Records from Lua into a file of a batch, sent while more are produced.
-- @classmod catalog.writer
local Group = require "catalog.scheduler.group"
local batch = require "catalog.batch.batch"
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local options = require "catalog.base.options"
local parts = require "catalog.batch.parts"
local paths = require "catalog.batch.paths"
local scheduler = require "catalog.scheduler.scheduler"

local writer = {}

local Writer = { __name = "catalog.writer" }
Writer.__index = Writer

local SCHEMA <const> = { part_size = "integer", parallel = "integer", timeout = "number", check = "boolean" }

-- How much is produced, in bytes, before transfers under way are seen to.
local POKE <const> = 65536

-- An empty buffer: one that was sent, or a new one.
local function take_buffer(self)
  return table.remove(self.idle) or core.buffer.new(self.part_size)
end

-- Says the error of a writer once and for all.
local function give_up(self, err)
  self.failure, self.buffer = err, nil
  batch.state(self.of).writing[self.name] = nil
  return nil, err
end

-- A writer at work: nobody else may use it meanwhile, and one that is left in the middle, by what a callback raised or
-- by its coroutine's end, has a hole.
local Busy = {}

function Busy:__close()
  if not self.of.busy then return end
  self.of.busy = nil
  self.of.jobs:abandon()
  if self.of.buffer then
    give_up(self.of, core.failure.new {
      kind = "cancelled", message = ("the writing of %s was left in the middle"):format(self.of.name),
    })
  end
end

local function begin(self)
  self.busy = true
  return setmetatable({ of = self }, Busy)
end

-- Sends the buffer as the next part, in the background. One is being filled while `parallel` are sent.
local function dispatch(self)
  local buffer, first, length = self.buffer, self.sent, self.buffer:length()
  self.sent = first + length
  self.jobs:add(function()
    local ok, err = parts.send_part(self.target, self.path, first, length, buffer)
    if not ok then return nil, err end
    buffer:reset()
    self.idle[#self.idle + 1] = buffer
    return true
  end)
  local ok, err = self.jobs:wait(true)
  if not ok then return nil, err end
  self.buffer = take_buffer(self)
  return true
end

-- The first part is full and there is more: the file goes in parts.
local function flush(self)
  local _ <close> = begin(self)
  if not self.begun then
    local ok, err = parts.initialize(self.target, self.path)
    if not ok then return give_up(self, err) end
    self.begun = true
  end
  local ok, err = dispatch(self)
  if not ok then return give_up(self, err) end
  self.next_turn, self.busy = POKE, nil
  return true
end

-- Why nothing can be written.
local function refuse(self)
  if self.failure then return nil, self.failure end
  if self.busy then
    return failure("data", "the writer of %s is at work for another coroutine; one at a time may use it", self.name)
  end
  return failure("data", "the writer of %s is closed", self.name)
end

-- Now and then, when so much was produced, the transfers under way get a turn.
local function see_to_transfers(self, length)
  local _ <close> = begin(self)
  self.next_turn = length + POKE
  scheduler.poke()
  self.busy = nil
  if self.jobs.failure then return give_up(self, self.jobs.failure) end
  return true
end

-- The part is full, and the record goes into the next.
local function write_to_next(self, record, number)
  local ok, err = flush(self)
  if not ok then return nil, err end
  local length, unfit = self.buffer:encode(record, number, self.part_size)
  if not length then return nil, unfit end
  return true
end

--- Writes a record, as a line of JSON.
-- @tparam table record with string keys; an empty one is `{}`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error: of kind `data` when the record is no object or cannot be encoded (it is left out; those
--   before and after it are not harmed), otherwise that of a transfer, after which the writer is of no more use
function Writer:write(record)
  local buffer, number = self.buffer, self.records + 1
  if not buffer or self.busy then return refuse(self) end
  if self.checker then
    local unfit = self.checker:refusal(record)
    if unfit then return nil, unfit end
  end
  local length, unfit = buffer:encode(record, number, self.part_size)
  self.records = number
  if length == nil then return nil, unfit end
  if not length then return write_to_next(self, record, number) end
  if length < self.next_turn then return true end
  return see_to_transfers(self, length)
end

--- Adds bytes as they are; for readers.
-- @local
-- @tparam string text
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function Writer:add(text)
  if not self.buffer or self.busy then return refuse(self) end
  local from = 1
  while from <= #text do
    if self.buffer:length() >= self.part_size then
      local ok, err = flush(self)
      if not ok then return nil, err end
    end
    local to = math.min(#text, from + self.part_size - self.buffer:length() - 1)
    self.buffer:append(text, from, to)
    from = to + 1
  end
  local length = self.buffer:length()
  return length < self.next_turn or see_to_transfers(self, length)
end

-- Sends what ended within its first part: in one request, or in parts where that is too much.
local function send_whole(self)
  local target, path, buffer, total = self.target, self.path, self.buffer, self.sent
  local ok, err, in_parts = parts.send_whole(target, path, buffer, 0, total)
  if not in_parts then return ok, err end
  ok, err = parts.initialize(target, path)
  if not ok then return nil, err end
  local part_size = parts.part_size(target, self.part_size)
  for first = 0, total - 1, part_size do
    ok, err = parts.send_part(target, path, first, math.min(part_size, total - first), buffer, first)
    if not ok then return nil, err end
  end
  return parts.complete(target, path, total)
end

-- Sends what there is still to send: the whole file, or its last part and its end.
local function finish(self)
  if not self.begun then
    self.sent = self.buffer:length()
    return send_whole(self)
  end
  if self.buffer:length() > 0 then
    local ok, err = dispatch(self)
    if not ok then return nil, err end
  end
  local ok, err = self.jobs:wait()
  if not ok then return nil, err end
  return parts.complete(self.target, self.path, self.sent)
end

--- Sends what is left and ends the file.
-- @treturn[1] table `name`, `bytes`, `records`, `seconds`
-- @treturn[2] nil
-- @treturn[2] table error; the file is not part of the batch
function Writer:close()
  if not self.buffer or self.busy then return refuse(self) end
  local _ <close> = begin(self)
  local ok, err = finish(self)
  self.busy = nil
  if not ok then return give_up(self, err) end
  self.closed = true
  batch.state(self.of).writing[self.name] = nil
  self.buffer, self.idle = nil, {}
  return {
    name = self.name, bytes = self.sent, records = self.records, seconds = core.system.monotonic() - self.began,
  }
end

--- Drops what was not sent; the file is not part of the batch.
function Writer:cancel()
  if not self.closed then
    give_up(self, core.failure.new { kind = "cancelled", message = "the writer was cancelled" })
  end
  self.jobs:abandon()
  self.idle = {}
end

-- Left by an error it is cancelled. Left without one it is closed, and a fault raises: records would be lost unheard.
function Writer:__close(err)
  if self.closed or self.failure then return end
  local _, is_main = coroutine.running()
  local ended = not is_main and not coroutine.isyieldable() -- by coroutine.close, which gives no error
  if err ~= nil or ended then
    self:cancel()
    local name = core.failure.line(self.name)
    if err == nil then error(("the writer of %s was left where it cannot be closed"):format(name), 0) end
    return
  end
  local ok, failed = self:close()
  if not ok then error(failed, 0) end
end

function Writer:__tostring()
  return core.failure.line(("catalog.writer (%s, %d records)"):format(self.name, self.records))
end

--- Opens a writer without looking at the batch's format.
-- @local
-- @tparam catalog.batch self
-- @tparam string name
-- @tparam table given checked options
-- @treturn[1] catalog.writer
-- @treturn[2] nil
-- @treturn[2] table error
function writer.open(self, name, given)
  local target, err = parts.target(self, given.timeout)
  if not target then return nil, err end
  local path, unfit = paths.file(target, name)
  if not path then return nil, unfit end
  local state, kind = batch.state(self)
  local checker
  if given.check then
    checker, err = kind.client:checker { dataset = state.dataset, sandbox = kind.sandbox }
    if not checker then return nil, err end
  end
  state.writing = state.writing or {}
  if state.writing[name] then return failure("data", "%s is being written already", name) end
  state.writing[name] = true
  local parallel, part_size = given.parallel or target.client.parallel, given.part_size or parts.STREAM_PART
  return setmetatable({
    of = self, name = name, target = target, path = path, part_size = part_size, checker = checker,
    jobs = Group.new("detached", parallel), -- they go on between the calls of the writer's
    buffer = core.buffer.new(part_size), idle = {},
    -- nothing is under way before the first part has left
    sent = 0, records = 0, next_turn = math.huge, began = core.system.monotonic(),
  }, Writer)
end

-- JSON lines in a batch of another format would be lost: the service reads the format it was told.
local function check_format(self)
  local format = self.inputFormat
  if type(format) ~= "table" then
    local fresh, err = batch.fetch(self)
    if not fresh then return nil, err end
    format = type(fresh.inputFormat) == "table" and fresh.inputFormat or {}
  end
  if format.format ~= "json" or format.isMultiLineJson == true then
    local named = type(format.format) == "string" and format.format or "unknown"
    return failure("data", "a writer writes JSON lines, and the batch %s is of the format %s; create it with"
      .. " format = 'json'", self.id, format.isMultiLineJson == true and "multi-line json" or named)
  end
  return true
end

--- Opens a file of a batch for records.
-- @function catalog.batch:writer
-- @tparam string name in the batch
-- @tparam ?table given memory: at most `parallel` + 1 parts
-- @tparam[opt=8388608,unit=bytes] integer given.part_size of a part; at most 512,000,000
-- @tparam[opt=the client's,unit=requests] integer given.parallel in flight at a time
-- @tparam[opt=the client's,unit=seconds] number given.timeout for which an upload may stand still
-- @tparam[opt=false] boolean given.check `true`: each record is held against the schema of the data set, and one that
--   does not fit is left out, with an error
-- @treturn[1] catalog.writer
-- @treturn[2] nil
-- @treturn[2] table error: of kind `data` when the name cannot be used, is being written already, or the batch is not
--   of JSON lines
-- @raise an option is unknown or has a wrong type
function batch.methods:writer(name, given)
  if type(name) ~= "string" then error("bad argument to writer (the name is a string)", 2) end
  given = options.check(given, SCHEMA, "writer", 2)
  local ok, err = parts.check_options(given, given.timeout)
  if not ok then return nil, err end
  ok, err = check_format(self)
  if not ok then return nil, err end
  return writer.open(self, name, given)
end

return writer
