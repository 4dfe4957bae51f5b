--- From Kafka into batches, each record exactly once: members of a group on any number of machines share the partitions
-- of some topics, fill batches from them, and note in Kafka what a batch has before it is completed.
-- @classmod catalog.drain
local Client = require "catalog.client.client"
local Consumer = require "catalog.drain.consumer"
local Group = require "catalog.scheduler.group"
local Intake = require "catalog.drain.intake"
local Member = require "catalog.drain.member"
local Service = require "catalog.drain.service"
local Transform = require "catalog.stream.transform"
local check_settings = require "catalog.drain.settings"
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local rejected = require "catalog.drain.rejected"
local rows = require "catalog.drain.rows"
local scheduler = require "catalog.scheduler.scheduler"
local stream = require "catalog.stream.settings"

local clock <const> = core.system.monotonic

local Drain = { __name = "catalog.drain" }
Drain.__index = Drain

-- In seconds: how long a turn waits at the most, and for how long it takes what there is before others have their
-- turn; the least that can be waited.
local TURN <const>, SLICE <const>, AT_ONCE <const> = 0.25, 0.001, 0.000001

-- How long what was fetched is kept while nothing may be taken, in seconds.
local PATIENCE <const> = 1

-- How long the end may take until the last COMPLETE is sent and the group is left, in seconds.
local END <const> = 30

-- --- what goes on beside ---

-- Does something beside. A defect in it ends the drain: `run` raises it.
local function begin(self, body, ...)
  scheduler.begin(self.group:new_task(function(...)
    local fine, raised = xpcall(body, debug.traceback, ...)
    if not fine and not self.ended then self.defect = raised end
  end, ...))
end

local function note_failure(self, err)
  if self.ended or err.kind == "cancelled" then return end
  self.last_error, self.last_error_at, self.retries = err, core.system.now(), self.retries + 1
  if self.settings.on_error then self.settings.on_error(err) end
end

-- What a batch came to.
local function report_of(sealed, verdict, fields)
  local positions = {}
  for key, range in pairs(sealed.positions or {}) do positions[key] = range end
  return {
    id = sealed.id, status = fields and fields.status or verdict, state = verdict == "again" and "dropped" or verdict,
    metrics = fields and fields.metrics, errors = fields and fields.errors, records = sealed.records,
    bytes = sealed.bytes, files = sealed.files and sealed:files(), positions = positions, inherited = not sealed.own,
  }
end

local function ended(self, sealed, verdict, fields)
  local state = verdict == "again" and "dropped" or verdict
  self.counts[state] = (self.counts[state] or 0) + 1
  if self.settings.on_batch then self.settings.on_batch(report_of(sealed, verdict, fields)) end
end

-- A batch failed for its data: what it has of a partition is read once more, and kept apart; or a person decides.
local function refuse(self, range, id, fields)
  local why = ("the batch %s failed: %s"):format(id, rejected.reason_of(fields))
  if self.settings.after_failure == "stop" then return self.member:block(range.partition, why) end
  self.member:go_on(range.partition, range.first)
  range.partition.refusing = { first = range.first, next = range.next, reason = why, faults = self.rejected.faults }
end

-- A batch was ingested: rows of it that were refused are kept. False: there is nothing more to be done.
local function keep_rows(self, sealed, fields)
  local count = self.rejected:wants_rows() and rows.keep(sealed, fields, self.service, self.rejected, self.host)
  if count == nil then return false end
  local metrics = type(fields.metrics) == "table" and fields.metrics or {}
  self.refused = self.refused + (count or metrics.failedRecordCount or 0)
  return true
end

local function new_host(self)
  return {
    pause = self.pause, failed = function(err) note_failure(self, err) end,
    begin = function(body, ...) begin(self, body, ...) end,
    refused = function(range, id, fields) refuse(self, range, id, fields) end,
    ingested = function(sealed, fields) return keep_rows(self, sealed, fields) end,
    ended = function(sealed, verdict, fields) ended(self, sealed, verdict, fields) end,
    kept = function()
      local since = self.faults -- the first of the batch came after the one before was sealed
      self.faults = self.rejected.faults
      local ok, err = self.rejected:flush(self.pause, since)
      if not ok then note_failure(self, err) end
      return ok, err
    end,
    sent = function() self.kafka:wake() end,
    give_up = function(err) self.fatal = self.fatal or err end,
    told_blocked = function(partition, why)
      note_failure(self, select(2, failure("conflict", "%s is blocked: %s", partition.key, why)))
    end,
  }
end

-- --- opening ---

--- Makes a drain. It joins the group when it runs.
-- @function catalog.client:drain
-- @tparam table given
-- @tparam string|table given.dataset the id of the data set, a `catalog.dataset`, or `{ name = ... }`
-- @tparam table given.kafka which topics, and as whom
-- @tparam string given.kafka.brokers as `k1:9092,k2:9092`
-- @tparam {string,...} given.kafka.topics names, no patterns
-- @tparam string given.kafka.group the consumer group, whose members share the partitions
-- @tparam[opt] {[string]=string,...} given.kafka.config properties of librdkafka, by their names
-- @tparam[opt] string given.from `beginning` or `end`: where a new group starts; required for one, ignored by an old
--   one
-- @tparam[opt] table given.roll when a batch is sealed: at whichever comes first
-- @tparam[opt=960,unit=seconds] number given.roll.seconds that the first record of a batch waits at the most; more as
--   this member's share of the partitions is smaller
-- @tparam[opt=10000000000,unit=bytes] number given.roll.bytes in a batch
-- @tparam[opt=1500,unit=files] integer given.roll.files in a batch
-- @tparam[opt=none,unit=records] integer given.roll.records in a batch
-- @tparam[opt=4000000,unit=bytes] number given.file_bytes of a file of a batch
-- @tparam[opt=4,unit=files] integer given.parallel at a time
-- @tparam[opt=1000000,unit=bytes] number given.record_bytes of a record; longer ones are rejected
-- @tparam[opt] function given.transform `transform(record, message)` changes each message: it gives nil, which drops
--   it, a list, which makes several of it, or a record; where it raises, or gives something else, the message is
--   rejected; `message` has `topic`, `partition`, `offset`, `key`, `value`, `timestamp` and `headers`
-- @tparam[opt=false] boolean given.raw `true`: the `record` of `transform` is the value as it is, a string, or nil, and
--   need not be JSON: for Avro, say
-- @tparam[opt] string given.rejected_topic a topic of Kafka, where rejected messages go, and rows that the service has
--   refused of a batch that it has ingested
-- @tparam[opt] string given.rejected or a directory for them
-- @tparam[opt=continue where rejected messages have a place; else stop] string given.after_failure what a failed
--   batch had goes there; or its partitions wait for a person: `catalog group resolve`
-- @tparam[opt=true] boolean given.error_diagnostics the service says of each bad row what is wrong
-- @tparam[opt=5,unit=percent] number given.partial_ingestion of the rows of a batch that may be bad
-- @tparam[opt] {[string]={string,...},...} given.tags of each batch: name to a list of texts
-- @tparam[opt=the client's] string given.sandbox where the data set is
-- @tparam[opt] table given.extra merged into the payload of each creation as it is
-- @tparam[opt] function given.on_batch `on_batch(report)`: a batch has ended
-- @tparam[opt] function given.on_rejected `on_rejected(message, err)`: a message was rejected
-- @tparam[opt] function given.on_error `on_error(err)`: something failed; what passes is tried again
-- @tparam[opt] function given.on_warning `on_warning(text)`: the options are not wise
-- @treturn[1] catalog.drain
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`: librdkafka is not there, or refuses a property
-- @raise an option is unknown or has a wrong type
function Client:drain(given)
  local settings, err = check_settings(given, 2)
  if settings and type(settings.dataset) == "table" then settings, err = self:with_dataset_id(settings) end
  if not settings then return nil, err end
  local kafka, refused = Consumer.new(settings.kafka, self.loop)
  if not kafka then return nil, refused end
  local drain = setmetatable({
    client = self, settings = settings, kafka = kafka, group = Group.new "detached", counts = {},
    taken = { records = 0, bytes = 0, dropped = 0 }, refused = 0, faults = 0, retries = 0, rebalances = 0,
    running = false, closing = false, ended = false, held_since = false, is_paused = false, fatal = false,
    defect = false,
    process = scheduler.process(),
  }, Drain)
  drain.transform = settings.transform
    and Transform.new(settings.transform, settings.record_bytes, { raw = settings.raw }) or false
  drain.rejected, err = rejected.new(drain)
  if not drain.rejected then
    kafka:drop()
    return nil, err
  end
  function drain.pause(seconds) return not drain.ended and scheduler.sleep(seconds, self.loop, self) end
  drain.host = new_host(drain)
  drain.service = Service.new(self, settings, drain.host)
  drain.member = Member.new(kafka, drain.service, settings, drain.host)
  drain.intake = Intake.new(kafka, drain.member.assignment, settings, drain.taken)
  stream.warn_of_fixed_token(self, settings)
  return drain
end

-- --- messages ---

local function add_line(self, filling, line)
  filling:add(line)
  self.taken.records, self.taken.bytes = self.taken.records + 1, self.taken.bytes + #line + 1
end

-- Adds what the transform has made of a message.
local function add_made(self, filling, message, lines, fault)
  if not lines then return self.rejected:add(message, fault) end
  if #lines == 0 then self.taken.dropped = self.taken.dropped + 1 end
  for _, line in ipairs(lines) do add_line(self, filling, line) end
end

local function add_changed(self, partition, message)
  local expected = partition.next
  local lines, fault = self.transform:lines(message.value, message)
  -- it may have waited for something, while the partition was lost or has gone back: then the message comes again
  local is_still = self.member:partition_of(message.topic, message.partition, message.offset) == partition
  if not is_still or partition.next ~= expected then return end
  local filling = self.member.batches.filling
  add_made(self, filling, message, lines, fault)
  filling:advance(partition, message.offset + 1) -- it is part of the batch, also where nothing of it is
end

-- What failed before is read once more, and kept apart up to where the batch ended.
local function refuse_message(self, partition, message)
  local refusing = partition.refusing
  if message.offset < refusing.next then
    self.rejected:add(message, refusing.reason)
    partition.next = message.offset + 1
  end
end

-- All of it was read: it is kept somewhere, then the partition goes on behind it.
local function end_refusing(self, partition)
  local refusing = partition.refusing
  partition.refusing, partition.next = nil, nil
  begin(self, function() self.member:pass_refused(partition, refusing, self.rejected) end)
end

-- --- events ---

local EVENTS <const> = {}

-- One that is not put into the buffer as it is.
function EVENTS.message(self, message)
  local partition = self.member:partition_of(message.topic, message.partition, message.offset)
  if not partition then return end
  if not partition.refusing then
    if self.transform then add_changed(self, partition, message) end -- else it is paused, and read again
    return
  end
  refuse_message(self, partition, message)
  if message.offset + 1 >= partition.refusing.next then end_refusing(self, partition) end
end

function EVENTS.rejected(self, message, reason) self.rejected:add(message, reason) end

-- A partition was read to its end. What is behind the last message, if anything, is what transactions leave there, and
-- those that were aborted: it is passed over, or it would look like messages that nobody has read.
function EVENTS.eof(self, at)
  local partition = self.member:partition_of(at.topic, at.partition, at.offset)
  if not partition then return end
  if partition.refusing then
    if at.offset >= partition.refusing.next then end_refusing(self, partition) end
  elseif at.offset > partition.next then
    local filling = self.member.batches.filling
    filling:advance(partition, partition.next)
    filling:advance(partition, at.offset)
  end
end

function EVENTS.assigned(self, list)
  self.rebalances = self.rebalances + 1
  self.member:assigned(list)
  begin(self, self.member.count_all, self.member, self.kafka.topics)
end

-- Beside: what it asks of Kafka is answered by the polling.
function EVENTS.revoked(self, list) begin(self, self.member.revoked, self.member, list) end
function EVENTS.lost(self, list) self.member:lost(list) end

-- What librdkafka says where there is nothing at an offset, and what a person has to change.
local OUT_OF_RANGE <const> = { _AUTO_OFFSET_RESET = true, OFFSET_OUT_OF_RANGE = true }
local FOR_A_PERSON <const> = { GROUP_AUTHORIZATION_FAILED = true, TOPIC_AUTHORIZATION_FAILED = true }

-- rule 13: an offset at which there is nothing is an error, and never passed over.
function EVENTS.error(self, err)
  local partition = err.topic and self.member.assignment:find(err.topic, err.partition)
  if partition and OUT_OF_RANGE[err.code] then
    return begin(self, self.member.look_for_offset, self.member, partition)
  end
  if err.is_fatal or FOR_A_PERSON[err.code] then self.fatal = self.fatal or err end
  note_failure(self, err)
end

-- --- one turn ---

-- How long the batch that is filled may still be filled, in seconds. A member's share of the partitions makes it
-- longer, so that all members together make as many batches as one would.
local function time_left(self)
  local filling = self.member.batches.filling
  if not next(filling.ranges) then return math.huge end
  return self.settings.roll.seconds * self.member:share() - (clock() - filling.since)
end

local function is_due(self)
  local filling, roll = self.member.batches.filling, self.settings.roll
  return filling.bytes >= roll.bytes or filling:files() >= roll.files or filling.records >= (roll.records or math.huge)
    or time_left(self) <= 0
end

-- Reads nothing while as many files are under way as may be, or the batch is full and may not be sealed yet. What was
-- fetched by then is kept for a while; where that lasts it is given up, so that what happens to partitions is heard of.
local function hold_or_go_on(self)
  local batches = self.member.batches
  local hold = batches.filling:is_full() or self.rejected:is_full() or is_due(self) and not batches:may_seal()
  self.held_since = hold and (self.held_since or clock())
  local pause = hold and clock() - self.held_since >= PATIENCE
  if pause == self.is_paused then return end
  self.is_paused = pause
  self.member:hold(pause)
end

local function look_around(self)
  local batches = self.member.batches
  self.rejected:push()
  self.rejected:tell()
  if batches.filling.dead then batches:drop(batches.filling.dead) end
  if is_due(self) and batches:may_seal() then begin(self, batches.seal, batches) end
  hold_or_go_on(self)
end

-- The next thing that has come; records without a transform are in the batch by then.
local function next_event(self)
  local filling = self.member.batches.filling
  if self.held_since or self.transform then return self.kafka:poll(self.held_since and not self.is_paused) end
  return self.intake:take(filling, (self.settings.roll.records or math.maxinteger) - filling.records)
end

-- Takes what has happened, some of it. Whether there is more.
local function take_events(self)
  local last = clock() + SLICE
  repeat
    local name, value, more = next_event(self)
    if not name or name == "more" then return name end
    EVENTS[name](self, value, more)
  until self.member.batches.filling:is_full() or self.rejected:is_full() or clock() >= last
  return true
end

local function turn(self)
  local more = take_events(self)
  look_around(self)
  if self.defect then error(self.defect, 0) end
  if not more or self.held_since then return self.kafka:wait(math.max(0, math.min(TURN, time_left(self)))) end
  if self.client.loop then scheduler.sleep(AT_ONCE, self.client.loop, self.client) else scheduler.poke() end
end

-- --- from the start to the end ---

-- Takes what happens until something is so, for some time at the most.
local function poll_until(self, is_so, last)
  while not is_so() and clock() < last do
    local name, value = self.kafka:poll()
    if name == "revoked" or name == "lost" then EVENTS[name](self, value) end
    if not name then self.kafka:wait(0.05) end
  end
end

-- Seals what there is, where that may be done, and leaves the group. Where librdkafka itself has given up there is
-- nothing to be left.
local function leave(self)
  if self.fatal and self.fatal.is_fatal then return self.member.batches:drop "the drain has ended" end
  local last, batches, kafka = clock() + END, self.member.batches, self.kafka.core
  local sealed = self.fatal or not batches:may_seal()
  if not sealed then
    begin(self, function()
      batches:seal()
      sealed = true
    end)
  end
  poll_until(self, function() return sealed end, last)
  batches:drop "the drain has ended"
  kafka:begin_close()
  poll_until(self, function() return kafka:closed() end, last)
end

local function finish(self)
  self.ended = true
  self.kafka:drop()
  self.rejected:close()
  self.group:cancel()
  self.group:abandon()
end

local function is_left_behind(self) return self.process ~= scheduler.process() end

local function run(self)
  begin(self, self.kafka.listen, self.kafka)
  local ok, err = self.kafka:subscribe()
  if not ok then return nil, err end
  while not self.closing and not self.fatal do
    turn(self)
    if is_left_behind(self) then return nil, scheduler.left_behind() end -- a callback has forked: this is the child
  end
  leave(self)
  self.rejected:tell()
  if self.fatal then return nil, self.fatal end
  return true
end

--- Reads, and makes batches, until `close` is called. In a host's loop it yields.
-- @treturn[1] boolean true: it was closed; what is not in a batch that was completed is read by who goes on
-- @treturn[2] nil
-- @treturn[2] table error: Kafka lets this member not go on
-- @raise what a callback has raised
function Drain:run()
  if is_left_behind(self) then return nil, scheduler.left_behind() end
  if self.running then return failure("config", "the drain runs, or has run") end
  self.running = true
  local fine, ok, err = xpcall(run, debug.traceback, self)
  if is_left_behind(self) then return nil, scheduler.left_behind() end
  finish(self)
  if not fine then error(ok, 0) end
  return ok, err
end

--- Ends `run`, soon: what was filled is sealed, the group is left, and nothing is waited for beyond that.
function Drain:close()
  if is_left_behind(self) then return nil, scheduler.left_behind() end
  self.closing = true
  if self.running then self.kafka:wake() elseif not self.ended then finish(self) end
  return true
end

function Drain:__close()
  if not is_left_behind(self) then self:close() end
end

function Drain:__tostring()
  return core.failure.line(("catalog.drain (%s of %s)"):format(self.settings.kafka.group,
    table.concat(self.settings.kafka.topics, ", ")))
end

return Drain
