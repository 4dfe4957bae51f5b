--- Records into the platform, without end: they go to a spool on this machine's disk, and from there into few batches.
--
-- What `write` has taken is on disk a second later, and goes to the platform now or, after a crash, at the next start.
-- Each synced record ends in exactly one of a successful batch, `rejected`, `failed` or `unknown`.
-- @classmod catalog.sink
local Client = require "catalog.client.client"
local Group = require "catalog.scheduler.group"
local Platform = require "catalog.stream.platform"
local Roller = require "catalog.stream.roller"
local Spool = require "catalog.sink.spool"
local Store = require "catalog.sink.store"
local Transform = require "catalog.stream.transform"
local call = require "catalog.sink.call"
local check_settings = require "catalog.sink.settings"
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local hosts = require "catalog.scheduler.hosts"
local options = require "catalog.base.options"
local retry = require "catalog.sink.retry"
local scheduler = require "catalog.scheduler.scheduler"
local stream = require "catalog.stream.settings"
local trouble = require "catalog.sink.trouble"

local clock <const> = core.system.monotonic

local Sink = { __name = "catalog.sink" }
Sink.__index = Sink

-- How long to wait for the disk when the sink is closed, and for the platform when it is flushed, in seconds.
local CLOSE_TIMEOUT <const>, FLUSH_TIMEOUT <const> = 30, 3600

-- How often a sink lets the work go on where a loop does that, in seconds: only who writes for long without going back
-- to the loop is in need of it, and the loop is late by each.
local SELDOM <const> = 0.1

-- How often to look for batches that are to be sent again, in seconds.
local LOOK <const> = 2

local CLOSE <const>, FLUSH <const> = { flush = "boolean", timeout = "number" }, { timeout = "number" }

-- --- callbacks ---

--- Calls what the user wants to be called: on the coroutine of whoever uses the sink next.
-- @local
function Sink:deliver()
  while self.calls[1] and not self.delivering do
    local wanted = table.remove(self.calls, 1)
    self.delivering = true
    local fine, raised = pcall(wanted.body, wanted.argument)
    self.delivering = false
    if not fine then error(raised, 0) end
  end
end

-- In a host's loop nobody may use the sink for a long time: a task calls there.
local function call_later(self, body, argument)
  if not body then return end
  self.calls[#self.calls + 1] = { body = body, argument = argument }
  local loop = self.client.loop
  if loop and loop.watch then
    local group = Group.new "detached"
    scheduler.begin(group:new_task(self.deliver, self))
  end
end

-- --- what goes on by itself ---

local function note_failure(self, err)
  if self.closed then return end -- what was under way was cancelled
  self.last_error, self.last_error_at = err, core.system.now()
  call_later(self, self.settings.on_error, err)
end

-- Does what goes on by itself. A defect in it must not end the rest: what is written still goes to the disk, and who
-- looks sees why nothing is sent.
local function keep_going(self, body, ...)
  local fine, raised = xpcall(body, debug.traceback, self, ...)
  if fine or self.closed then return end
  self.defect = select(2, failure("batch", "the sink makes no batches any more, which is a defect of its own; what is "
    .. "written is kept, and the next start sends it: %s", raised))
  note_failure(self, self.defect)
  self.spool:announce()
end

-- What a batch came to.
local function report_of(self, plan)
  local fields = plan.fields or {}
  local report = {
    number = plan.number, id = plan.id, status = fields.status or plan.state, state = plan.state,
    metrics = fields.metrics, errors = fields.errors, completed = fields.completed, files = #plan.segments,
    records = plan.records, bytes = plan.bytes, rejected = plan.refused or 0, positions = {},
  }
  for name in pairs(self.sources) do report.positions[name] = self:settled(name) end
  return report
end

local function ended(self, plan)
  if plan.state == "failed" and self.settings.after_failure == "stop" then self.stopped = true end
  self.refused = self.refused + (plan.refused or 0)
  call_later(self, self.settings.on_batch, report_of(self, plan))
end

-- Follows a batch to its end, beside the next ones.
local function follow(self, plan)
  if self.roller:follow(plan) then return ended(self, plan) end
  if plan.state == "planned" then
    self.again[#self.again + 1] = plan
    self.spool:announce()
  end
end

local function carry(self, plan)
  if not self.roller:carry(plan) then return false end
  scheduler.begin(self.group:new_task(keep_going, self, follow, plan))
  return true
end

-- How long the batch that is being filled may wait, in seconds; nil: there is none. The calendar's clock is looked at
-- once a batch, since it may be set; what was written before a start has no other.
local function time_left(self)
  local since, seconds = self.store:oldest_unsealed(), self.settings.roll.seconds
  if not since then return nil end
  if since ~= self.filled_since then
    local age = (core.system.now() - since) / 1000
    self.filled_since, self.seal_at = since, clock() + seconds - math.min(math.max(age, 0), seconds)
  end
  return self.seal_at - clock()
end

-- The next batch to be made, or nil when something has to happen before.
local function next_plan(self)
  if self.again[1] then return table.remove(self.again, 1) end
  if self.stopped then return nil end
  local plan, err = self.store:plan()
  if err then note_failure(self, err) end
  return plan
end

-- Seals the batch that is being filled when its time is over, and waits until something happens.
local function wait_for_more(self)
  local left = time_left(self)
  if left and left <= 0 then
    self.core:seal()
    left = 1 -- until the thread has done so, or the call has ended that goes on
  end
  return self.spool:wait(math.min(left or math.huge, 60))
end

local function roll(self)
  local plans = {}
  for _, plan in pairs(self.store.plans) do plans[#plans + 1] = plan end
  table.sort(plans, function(a, b) return a.number < b.number end)
  self.again = plans
  while not self.closed do
    local plan = next_plan(self)
    if plan then
      if not carry(self, plan) then return end
    elseif not wait_for_more(self) then
      return
    end
  end
end

-- Says what keeps the sink from going on, once until it is something else.
local function tell_obstacle(self)
  local obstacle = self:obstacle()
  local text = obstacle and obstacle.message
  if text and text ~= self.told_obstacle and obstacle ~= self.defect then note_failure(self, obstacle) end
  self.told_obstacle = text
end

-- Looks now and then whether somebody wants a batch to be sent again that has failed, and says what fails.
local function look_around(self)
  repeat
    local any, err = retry.look(self.store)
    if any then self.stopped = false end
    if err then note_failure(self, err) else self.has_looked = true end
    tell_obstacle(self)
    trouble.note(self)
  until self.closed or not scheduler.sleep(LOOK, self.client.loop, self.client)
end

-- --- opening ---

local function open_spool(self)
  local settings = self.settings
  local dataset = assert(core.json.encode { settings.dataset }):sub(2, -2)
  return Spool.open({
    path = settings.spool, dataset = dataset, file_bytes = settings.file_bytes, record_bytes = settings.record_bytes,
    sync_seconds = settings.sync_seconds, roll_bytes = settings.roll.bytes, roll_records = settings.roll.records,
    roll_files = settings.roll.files, limit_bytes = settings.limit.bytes, limit_free = settings.limit.free,
    limit_rejected = settings.rejected_bytes,
  }, self.client.loop)
end

-- How the platform gets at the files of a plan.
local function files_of(self)
  return {
    external_id = function(plan) return self.store:external_id(plan) end,
    list = function(plan)
      local list = {}
      for i, number in ipairs(plan.segments) do
        local segment = self.store.segments[number]
        list[i] = { number = number, name = Store.name_of(number), bytes = segment.bytes, crc = segment.crc }
      end
      return list
    end,
    open = function(file)
      local body, err = self.spool:job("open", "seg/" .. file.name)
      if not body and err.code == "missing" then err = { number = file.number, why = "it is not there any more" } end
      return body, err
    end,
  }
end

local function new_roller(self)
  return Roller.new(self.store, self.platform, {
    pause = function(seconds)
      return not self.closed and not self.client.closed
        and scheduler.sleep(seconds, self.client.loop, self.client) and not self.closed
    end,
    failed = function(err) note_failure(self, err) end,
  })
end

-- What changes records, and holds what it has made of them against the schema; false: nothing does.
local function transform_of(settings, checker)
  if not settings.transform then return false end
  return Transform.new(settings.transform, settings.record_bytes, {
    refusal = checker and function(record, line) return checker:refusal(record, line) end,
  })
end

--- Opens a sink: records go into its spool, and from there into batches. It needs no network for that,
-- unless the data set is given by its name, or `check` by its schema.
-- @function catalog.client:sink
-- @tparam table given
-- @tparam string|table given.dataset the id of the data set, a `catalog.dataset`, or `{ name = ... }`
-- @tparam string given.spool a directory of this sink's own; what is in it survives crashes. One on a network file
--   system is refused
-- @tparam[opt] table given.roll when a batch is sealed: at whichever comes first
-- @tparam[opt=960,unit=seconds] number given.roll.seconds that the first record of a batch waits at the most; 960 s
--   make 90 batches a day, the advice for a whole sandbox
-- @tparam[opt=10000000000,unit=bytes] number given.roll.bytes in a batch
-- @tparam[opt=1500,unit=files] integer given.roll.files in a batch
-- @tparam[opt=none,unit=records] integer given.roll.records in a batch
-- @tparam[opt=64000000,unit=bytes] number given.file_bytes of a file of a batch, each of which is one request
-- @tparam[opt] table given.limit of the spool; at a limit `write` waits and `offer` says no
-- @tparam[opt=50000000000,unit=bytes] number given.limit.bytes in the spool
-- @tparam[opt=2000000000,unit=bytes] number given.limit.free that are left free on the disk
-- @tparam[opt=none,unit=seconds] number given.limit.timeout that a write waits for room
-- @tparam[opt=1,unit=seconds] number given.sync_seconds from a write to the disk at the most; 0: each call
-- @tparam[opt=1000000,unit=bytes] number given.record_bytes of a record; longer ones are rejected. The profile store
--   refuses profiles over 100,000 bytes and events over 10,000
-- @tparam[opt=true] boolean given.error_diagnostics the service says of each bad row what is wrong
-- @tparam[opt=5,unit=percent] number given.partial_ingestion of the rows of a batch that may be bad
-- @tparam[opt=continue] string given.after_failure or `stop`: after a batch that failed for its data no other is made
-- @tparam[opt=the client's,unit=files] integer given.parallel at a time
-- @tparam[opt=false] boolean given.check `true`: records, or what the transform makes of them, are held against the
--   schema of the data set, and rejected where they do not fit
-- @tparam[opt] function given.transform `transform(record, message)` changes a copy of each record on its way to the
--   spool: it gives nil, which drops it, a list, which makes several of it, or a record; where it raises, or gives
--   something else, the record is rejected; `message` has the `source` and the `position` of the call, where there are
--   any; it may not use the sink
-- @tparam[opt=json] string given.format the only one there is
-- @tparam[opt] {[string]={string,...},...} given.tags of each batch: name to a list of texts
-- @tparam[opt=the client's] string given.sandbox where the data set is
-- @tparam[opt] table given.extra merged into the payload of each creation as it is
-- @tparam[opt] function given.on_batch `on_batch(report)`: a batch has ended. Callbacks run on the coroutine of whoever
--   uses the sink next, or in a task of its loop
-- @tparam[opt] function given.on_rejected `on_rejected(record, err)`: a record was rejected
-- @tparam[opt] function given.on_error `on_error(err)`: something failed; what passes is tried again
-- @tparam[opt] function given.on_warning `on_warning(text)`: the options are not wise
-- @treturn[1] catalog.sink
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`: the spool cannot be used; `conflict`: another process has it
-- @raise an option is unknown or has a wrong type
function Client:sink(given)
  local settings, err = check_settings(given, 2)
  if settings and type(settings.dataset) == "table" then settings, err = self:with_dataset_id(settings) end
  if not settings then return nil, err end
  local checker
  if settings.check then
    checker, err = self:checker { dataset = settings.dataset, sandbox = settings.sandbox }
    if not checker then return nil, err end
  end
  local sink = setmetatable({
    checker = checker, transform = transform_of(settings, checker),
    takes_all = not checker and not settings.transform, -- what is JSON
    client = self, settings = settings, sources = {}, calls = {}, again = {}, refused = 0, rejected = 0, repeated = 0,
    dropped = 0, unpoked = 0, poke_at = 0, busy = false, closed = false, stopped = false, delivering = false,
    has_looked = false, process = scheduler.process(),
  }, Sink)
  local spool, state = open_spool(sink)
  if not spool then return nil, state end
  sink.spool, sink.core, sink.store = spool, spool.core, Store.new(spool, state, settings.roll)
  sink.known = state -- the positions of sources
  sink.platform = Platform.new(sink.client, settings, files_of(sink))
  sink.store.rows = function(plan) return sink.platform:rows(plan) end
  sink.roller = new_roller(sink)
  sink.group = Group.new "detached"
  scheduler.begin(sink.group:new_task(spool.listen, spool, sink.store))
  for _, body in ipairs { roll, look_around } do
    scheduler.begin(sink.group:new_task(keep_going, sink, body))
  end
  stream.warn_of_fixed_token(self, settings)
  return sink
end

-- --- what all methods begin with ---

--- The error of a sink that was closed, or belongs to another process; nil when it can be used.
-- @local
function Sink:unusable()
  if self.process ~= scheduler.process() then return scheduler.left_behind() end
  if self.closed then return select(2, failure("cancelled", "the sink of %s is closed", self.settings.spool)) end
end

--- The error of what a callback calls that would wait for the call by which it was called itself.
-- @local
-- @treturn ?table of kind `limit` with code `full`
function Sink:nested()
  if self.busy ~= coroutine.running() then return nil end
  local _, err = failure("limit", "the spool %s is full, and this callback was called by a write that waits for room",
    self.settings.spool)
  err.code, err.retryable = "full", true
  return err
end

--- Lets the work go on that waits for its turn: what a program without a loop does by calling the sink.
-- @local
function Sink:go_on()
  self.unpoked = 0
  local loop = self.client.loop
  if loop and loop.watch and not self.group.watch then hosts.keep_watched(self.group, loop) end
  local now = clock()
  if not self.group.watch or now >= self.poke_at then
    scheduler.poke()
    self.poke_at = now + SELDOM
  end
  self:deliver()
end

--- Lets the work go on, for hosts that have neither coroutines nor descriptors.
-- @tparam[opt=0] number seconds for how long; 0: what can be done at once
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function Sink:poll(seconds)
  local err = self:unusable()
  if err then return nil, err end
  if seconds and seconds > 0 then scheduler.sleep(seconds, self.client.loop, self.client) end
  self:go_on()
  return true
end

--- Waits until something happens to the spool.
-- @local
-- @tparam ?number deadline on the monotonic clock
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] ?table error; nil: the time is over
function Sink:wait(deadline)
  local left = deadline and deadline - clock() or math.huge
  if left <= 0 then return nil end
  local ok, err = self.spool:wait(math.min(left, 1))
  if not ok then return nil, err end
  self:deliver()
  err = self:unusable()
  if err then return nil, err end
  return true
end

--- Whether one of the limits is reached, so that a write would wait.
-- @treturn ?table error of kind `limit` with code `full`; nil: there is room
function Sink:limit_reached()
  if not self:unusable() then return call.limit_reached(self) end
end

-- --- what is asked of all that was written ---

--- Puts everything that was written on the disk.
-- @treturn[1] boolean true: it survives a crash of the machine
-- @treturn[2] nil
-- @treturn[2] table error
function Sink:sync()
  local err = self:unusable()
  if err then return nil, err end
  return self.spool:job "sync"
end

-- Seals; nil and no error where a call goes on until the deadline, or there is no room for saying so.
local function seal(self, deadline)
  local err = self:unusable()
  while not err do
    local done, waited
    done, err = self.core:seal()
    if done then return true end
    err = err or self:nested()
    if not err then waited, err = self:wait(deadline) end
    if not waited then break end
  end
  return nil, err
end

--- Ends the batch that is being filled. An empty one is none. It waits for a `write_lines` that goes on in another
-- coroutine, which is part of that batch.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function Sink:seal() return seal(self) end

-- Waits until all that is in the spool by now is settled; nil and no error at the deadline.
local function settle(self, deadline)
  local last = self.store.last
  while self.store.first <= last do
    if self.defect then return nil, self.defect end
    local ok, err = self:wait(deadline)
    if not ok then return nil, err end
  end
  return true
end

--- Seals, and waits until everything written before is settled: in the platform, rejected, or in a batch that failed.
-- @tparam ?table given
-- @tparam[opt=3600,unit=seconds] number given.timeout how long to wait at the most
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error: of kind `timeout` when it is not settled by then; it goes on
function Sink:flush(given)
  local timeout = options.check(given, FLUSH, "flush", 2).timeout or FLUSH_TIMEOUT
  local deadline = clock() + timeout
  local ok, err = seal(self, deadline)
  if ok then ok, err = self.spool:sync(math.max(deadline - clock(), 0)) end
  if ok then ok, err = settle(self, deadline) end
  if ok then
    self:go_on()
    return true
  end
  if err then return nil, err end
  return failure("timeout", "not everything is in the platform after %g seconds%s; it goes on", timeout,
    self.last_error and " (" .. tostring(self.last_error) .. ")" or "")
end

--- Closes the sink: what was written is on disk, and goes to the platform at the next start, or, flushed, is there.
-- @tparam ?table given
-- @tparam[opt=false] boolean given.flush `true`: as `flush` before
-- @tparam[opt=30; of a flush 3600,unit=seconds] number given.timeout for the disk, or for the flush
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error; the sink is closed all the same
function Sink:close(given)
  options.check(given, CLOSE, "close", 2)
  given = given or {}
  if self.process ~= scheduler.process() then return nil, scheduler.left_behind() end
  if self.closed then return true end
  local ok, err = true, nil
  if given.flush then ok, err = self:flush { timeout = given.timeout } end
  local synced, unsynced = self.spool:sync(given.timeout and not given.flush and given.timeout or CLOSE_TIMEOUT)
  if synced then trouble.note(self) end
  self.closed = true
  self.group:cancel()
  local closed, lost = self.spool:close()
  self.group:abandon()
  self:deliver()
  if not closed then return nil, lost end
  if not synced then return nil, unsynced end
  return ok, err
end

-- Left by an error, or at the end of its block.
function Sink:__close()
  if not self.closed and self.process == scheduler.process() then self:close() end
end

function Sink:__tostring()
  return core.failure.line(("catalog.sink (%s, %s)"):format(self.settings.spool, self.closed and "closed" or "open"))
end

return Sink
