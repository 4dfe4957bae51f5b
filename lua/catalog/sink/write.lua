--- How records get into a sink. A *call* is what becomes durable together: its records, those of them that were
-- rejected, and the position of its source.
--
-- Errors that end a call, of which nothing was taken then: of kind `limit` with code `full` (there was no room in
-- `limit.timeout`, or at once where a call does not wait; it may be tried again), of kind `limit` with code `too_large`
-- (a call has more bytes than `limit.bytes`: it never fits), of kind `config` (the spool cannot go on: it was removed,
-- or its disk does not give back what was written), of kind `cancelled` (the sink was closed or belongs to another
-- process, or the task was cancelled), of kind `data` (the name of a source has not 1 to 1024 bytes of UTF-8). A
-- record's own fault, of kind `data` as well, ends no call: it is rejected.
-- @classmod catalog.sink
local Sink = require "catalog.sink.sink"
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local rejected = require "catalog.sink.rejected"

local clock <const>, encode <const> = core.system.monotonic, core.json.encode
local running <const> = coroutine.running

-- How many bytes are written between two looks at what else there is to do.
local POKE <const> = 65536

-- How many lines of a call are told why they were rejected.
local TOLD <const> = 10

-- The largest position: what is exact in JSON everywhere.
local LAST_POSITION <const> = 1 << 53

local REPEATED <const>, REJECTED <const> = "repeated", "rejected"

-- --- sources ---

--- A source: its number in the core, and its last position that was taken.
-- @local
function Sink:source(name)
  local known = self.sources[name]
  if known then return known end
  local last = self.known["source/" .. name]
  local id, err = self.core:source(name, last)
  if not id then return nil, err end
  known = { id = id, last = last }
  self.sources[name], self.store.names[id + 1] = known, name
  return known
end

local function is_repeated(source, position)
  return source ~= nil and source.last ~= nil and position <= source.last
end

-- The source of a call. The third value: the call was taken before.
local function source_of(self, name, position)
  if name == nil then
    if position ~= nil then error("a position needs a source", 3) end
    return nil
  end
  if type(name) ~= "string" then error("bad source (string expected, got " .. type(name) .. ")", 3) end
  if math.type(position) ~= "integer" or position < 0 or position > LAST_POSITION then
    error(("bad position of %s (an integer from 0 to 2^53 expected)"):format(core.failure.line(name)), 3)
  end
  local source, err = self:source(name)
  if not source then return nil, err end
  return source, nil, is_repeated(source, position)
end

local function check_text(text, call)
  if type(text) ~= "string" then error(("bad argument to %s (string expected, got %s)"):format(call, type(text)), 3) end
end

-- A line without what ends it. It may be long, and Lua's patterns are slow at that.
local function without_end(text)
  local last = #text
  if text:byte(last) == 0x0A then last = last - 1 end
  if text:byte(last) == 0x0D then last = last - 1 end
  return last < #text and text:sub(1, last) or text
end

-- --- waiting for room ---

-- By the limit that is reached.
local FULL <const> = {
  bytes = "limit.bytes is reached; what is in it goes to the platform first",
  free = "the disk has less than limit.free left; make room",
  rejected = "its directory `rejected` has a gigabyte: look at why so much was, and move it away",
}

local function full(self)
  local status = self.core:status()
  local why = status.disk_error or FULL[status.full]
    or "the disk is slower than what is written; what is in it is written first"
  local _, err = failure("limit", "the spool %s is full: %s", self.settings.spool, why)
  err.code, err.retryable = "full", true
  return nil, err
end

--- Whether one of the limits is reached, so that a write would wait.
-- @treturn ?table error of kind `limit` with code `full`; nil: there is room
function Sink:limit_reached()
  if not self:unusable() and FULL[self.core:status().full] then return select(2, full(self)) end
end

-- When a call that begins now has to have room; 0: it does not wait.
local function deadline_of(self, waits)
  if not waits then return 0 end
  local timeout = self.settings.limit.timeout
  return timeout and clock() + timeout or math.huge
end

-- Waits for room, or for another call of several steps to end.
local function wait_for_room(self, deadline)
  local ok, err = self:wait(deadline < math.huge and deadline or nil)
  if ok then return true end
  if err then return nil, err end
  return full(self)
end

-- Asks the core for one step until there is room for it.
local function step(self, deadline, name, ...)
  while true do
    local done, err = self.core[name](self.core, ...)
    if done then return true end
    if done == nil then return nil, err end
    local ok, stopped = wait_for_room(self, deadline)
    if not ok then return nil, stopped end
  end
end

-- Waits until a call of several steps has ended.
local function wait_for_call(self, deadline)
  local err = self:nested()
  if err then return nil, err end
  return wait_for_room(self, deadline)
end

-- A call of several steps is alone: what another commits meanwhile would have a part of it.
local function enter(self, deadline)
  while self.busy do
    local ok, err = wait_for_call(self, deadline)
    if not ok then return nil, err end
  end
  self.busy = running()
  return true
end

-- Ends a call of several steps, however that comes: what was not committed is taken back.
local Call = {}

function Call.__close(call)
  local self = call.sink
  self.busy = false
  if not call.committed and not self.closed then self.core:rollback() end
  self.spool:announce()
end

local function begin(self, deadline)
  local ok, err = enter(self, deadline)
  if not ok then return nil, err end
  return setmetatable({ sink = self, committed = false }, Call)
end

local function commit(self, call, source, position, deadline)
  local ok, err = step(self, deadline, "commit", source and source.id, position)
  if not ok then return nil, err end
  call.committed = true
  if source then source.last = position end
  return true
end

-- --- one record ---

-- What follows each call: now and then something else has its turn.
local function after(self, bytes)
  self.unpoked = self.unpoked + bytes
  if self.unpoked >= POKE or self.calls[1] then self:go_on() end
end

local function repeated(self)
  self.repeated = self.repeated + 1
  return true, REPEATED
end

local function reject_whole(self, line, record, err, source, position, deadline)
  local call <close>, busy = begin(self, deadline)
  if not call then return nil, busy end
  if is_repeated(source, position) then return repeated(self) end
  local ok, failed = step(self, deadline, "reject", line)
  if ok then ok, failed = commit(self, call, source, position, deadline) end
  if not ok then return nil, failed end
  self.rejected = self.rejected + 1
  after(self, #line)
  if self.settings.on_rejected then self.settings.on_rejected(record, err) end
  return true, REJECTED, err
end

-- Writes one line, of which `name` says how the core takes it. While this waits the same may come again, and be taken.
local function write_one(self, name, text, source, position, deadline)
  while true do
    local wait = wait_for_call
    if not self.busy then
      local done, failed = self.core[name](self.core, text, source and source.id, position)
      if done ~= false then return done, failed end
      wait = wait_for_room
    end
    local ok, err = wait(self, deadline)
    if not ok then return nil, err end
    if is_repeated(source, position) then return true, REPEATED end
  end
end

local function too_long(self, length)
  return select(2, failure("data", "the record has %d bytes; record_bytes is %d", length, self.settings.record_bytes))
end

-- Encodes a record. Nil and an error of kind `data` when it is none.
local function line_of(self, record)
  if type(record) ~= "table" then return failure("data", "the record is a %s; it is a table", type(record)) end
  local text, err = encode(record)
  if not text then return nil, err end
  if text:byte() ~= 0x7B then return failure("data", "the record is an array; it is an object") end
  if #text > self.settings.record_bytes then return nil, too_long(self, #text) end
  return text
end

local function taken(self, source, position, bytes)
  if source then source.last = position end
  after(self, bytes)
  return true
end

local function write_slowly(self, record, name, position, waits)
  local unusable = self:unusable()
  if unusable then return nil, unusable end
  local source, err, was_taken = source_of(self, name, position)
  if err then return nil, err end
  if was_taken then return repeated(self) end
  local deadline = deadline_of(self, waits)
  local text, unfit = line_of(self, record)
  if text and self.checker then unfit = self.checker:refusal(record) end
  if unfit then
    return reject_whole(self, rejected.of_record(record, unfit.message), record, unfit, source, position, deadline)
  end
  local ok, failed = write_one(self, "write", text, source, position, deadline)
  if not ok then return nil, failed end
  if failed == REPEATED then return repeated(self) end
  return taken(self, source, position, #text)
end

local function write(self, record, name, position, waits)
  -- most records are good, and there is room: the core says so, or nothing was done
  if name == nil and position == nil and not self.busy and not self.checker and type(record) == "table" then
    local bytes = self.core:write_record(record)
    if bytes then
      after(self, bytes)
      return true
    end
  end
  return write_slowly(self, record, name, position, waits)
end

--- Writes a record. It waits, or yields, only while the spool is full.
-- @tparam table record a JSON object
-- @tparam ?string source where it comes from
-- @tparam ?integer position in its source, from 0 to 2^53; one that is not beyond the last is a repetition
-- @treturn[1] boolean true: it is on disk within `sync_seconds`
-- @treturn[1] ?string `repeated`: it was taken before; `rejected`: it is in `rejected/records.jsonl`, with the reason
-- @treturn[1] ?table the error of kind `data` it was rejected for
-- @treturn[2] nil
-- @treturn[2] table error: of kind `limit` (code `full` or `too_large`), `config` or `cancelled`
-- @raise the source is no string, or the position no integer from 0 to 2^53
function Sink:write(record, source, position) return write(self, record, source, position, true) end

--- As `write`, but never waits: for hosts that can say no.
-- @tparam table record a JSON object
-- @tparam ?string source
-- @tparam ?integer position
-- @treturn[1] boolean true, as `write`
-- @treturn[2] nil
-- @treturn[2] table error, as `write`: of kind `limit` with code `full` where it would have to wait
-- @raise as `write`
function Sink:offer(record, source, position) return write(self, record, source, position, false) end

local function write_line(self, text, name, position)
  local unusable = self:unusable()
  if unusable then return nil, unusable end
  check_text(text, "write_line")
  local source, err, was_taken = source_of(self, name, position)
  if err then return nil, err end
  if was_taken then return repeated(self) end
  local deadline = deadline_of(self, true)
  local ok, failed = write_one(self, "write_line", text, source, position, deadline)
  if failed == REPEATED then return repeated(self) end
  if ok then return taken(self, source, position, #text) end
  if failed.kind ~= "data" then return nil, failed end
  local line = without_end(text)
  return reject_whole(self, rejected.of_text(line, failed.message), text, failed, source, position, deadline)
end

--- Writes a record that is JSON already: checked, and not decoded.
-- @tparam string text one JSON object on one line, with or without its newline
-- @tparam ?string source
-- @tparam ?integer position
-- @treturn[1] boolean true, as `write`
-- @treturn[2] nil
-- @treturn[2] table error, as `write`
-- @raise as `write`; the text is no string
function Sink:write_line(text, source, position)
  -- most lines are good, and there is room: the core says so, or nothing was done
  if source == nil and position == nil and not self.busy and type(text) == "string" and self.core:write_line(text) then
    after(self, #text)
    return true
  end
  return write_line(self, text, source, position)
end

-- --- many lines ---

local function repeated_lines(self)
  repeated(self)
  return 0, REPEATED, {}
end

-- Rejects one line of many. Its number is that of an editor: empty ones count.
local function reject_line(self, call, text, reason, name, deadline)
  local where = { source = name, line = call.line }
  local ok, err = step(self, deadline, "reject", rejected.of_text(text, reason, where))
  if not ok then return nil, err end
  call.rejected = call.rejected + 1
  if #call.faults < TOLD then call.faults[#call.faults + 1] = { line = call.line, reason = reason } end
  if self.settings.on_rejected then
    call.told[#call.told + 1] = { text, select(2, failure("data", "line %d: %s", call.line, reason)) }
  end
  return true
end

-- Takes all lines of a text, up to the commit.
local function take_lines(self, call, text, name, deadline)
  local first = 1
  while first <= #text do
    local behind, count, fault, next_line = self.core:write_lines(text, first)
    if not behind then return nil, count end
    call.taken, first = call.taken + count, behind
    if count > 0 then deadline = deadline_of(self, true) end -- a long call goes on as long as there is room
    local ok, err = true, nil
    if fault == "room" then
      ok, err = wait_for_room(self, deadline)
    elseif fault then
      call.line, call.counted = call.line + core.lines.count(text, call.counted, behind), behind
      ok, err = reject_line(self, call, without_end(text:sub(behind, next_line - 1)), fault, name, deadline)
      first = next_line
    end
    if not ok then return nil, err end
  end
  return true
end

local function write_lines(self, text, name, position)
  local unusable = self:unusable()
  if unusable then return nil, unusable end
  check_text(text, "write_lines")
  local source, err, was_taken = source_of(self, name, position)
  if err then return nil, err end
  if was_taken then return repeated_lines(self) end
  local deadline = deadline_of(self, true)
  local call, ok
  do
    local made <close>, busy = begin(self, deadline)
    if not made then return nil, busy end
    if is_repeated(source, position) then return repeated_lines(self) end -- it came again while this waited
    call = made
    call.taken, call.rejected, call.faults, call.told = 0, 0, {}, {}
    call.line, call.counted = 1, 1 -- the number of the line that begins at a byte
    ok, err = take_lines(self, call, text, name, deadline)
    if ok then ok, err = commit(self, call, source, position, deadline) end
    if not ok then return nil, err end
  end
  self.rejected = self.rejected + call.rejected
  after(self, #text)
  for _, one in ipairs(call.told) do self.settings.on_rejected(one[1], one[2]) end
  return call.taken, call.rejected, call.faults
end

--- Writes many records, each a line of JSON. A bad one is rejected, and the others are taken.
-- @tparam string text lines, the last one with or without its newline; empty ones are left out
-- @tparam ?string source
-- @tparam ?integer position covers all of the call: it is on disk as a whole or not at all
-- @treturn[1] integer how many were taken; 0 and `repeated` when the call was taken before
-- @treturn[1] integer|string how many were rejected
-- @treturn[1] {table,...} of the first ten of these: `line`, `reason`
-- @treturn[2] nil
-- @treturn[2] table error, as `write`; nothing of the call was taken
-- @raise as `write_line`
function Sink:write_lines(text, source, position) return write_lines(self, text, source, position) end

-- --- what became of it ---

--- The last positions that were taken, of sources whose names begin alike.
-- @tparam string beginning
-- @treturn {[string]=integer,...} by the names
function Sink:positions(beginning)
  local found, from = {}, #"source/" + 1
  for key, position in pairs(self.known) do
    if key:find("source/" .. beginning, 1, true) == 1 then found[key:sub(from)] = position end
  end
  for name, source in pairs(self.sources) do
    if name:sub(1, #beginning) == beginning then found[name] = source.last end
  end
  return found
end

--- The last position of a source that is on this machine's disk: after a crash the source goes on behind it.
-- @tparam string source
-- @treturn ?integer nil: none is
function Sink:synced(source)
  local known = self:source(source)
  if not known then return nil end
  return (self.core:position(known.id))
end

--- Up to where everything of a source is decided: in the platform, rejected, or in a batch that failed.
-- @tparam string source
-- @treturn ?integer nil: nothing is
function Sink:settled(source)
  for _, segment in self.store:each() do
    local before = segment.from and segment.from[source]
    if before then return before >= 0 and before or nil end
  end
  local known = self:source(source)
  if not known then return nil end
  local durable, before = self.core:position(known.id)
  if before == false then return durable end
  return before
end

return Sink
