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
local call = require "catalog.sink.call"
local changed = require "catalog.sink.changed"
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local rejected = require "catalog.sink.rejected"

local encode <const>, null <const> = core.json.encode, core.json.null

local REPEATED <const>, REJECTED <const>, DROPPED <const> = call.REPEATED, "rejected", "dropped"

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

-- --- one record ---

local function reject_whole(self, line, record, err, source, position, deadline)
  local made <close>, busy = call.begin(self, deadline)
  if not made then return nil, busy end
  if call.is_repeated(source, position) then return call.repeated(self) end
  local ok, failed = call.step(self, deadline, "reject", line)
  if ok then ok, failed = call.commit(self, made, source, position, deadline) end
  if not ok then return nil, failed end
  self.rejected = self.rejected + 1
  call.after(self, #line)
  if self.settings.on_rejected then self.settings.on_rejected(record, err) end
  return true, REJECTED, err
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

-- Ends a call. It was taken, unless it came again while it waited, or nothing was made of it.
local function taken(self, source, position, bytes, how)
  if how == REPEATED then return call.repeated(self) end
  if source then source.last = position end
  if how == DROPPED then self.dropped = self.dropped + 1 end
  call.after(self, bytes)
  return true, how
end

-- Writes what the transform has made of a record.
local function write_changed(self, lines, source, position, deadline)
  local ok, how = changed.write(self, lines, source, position, deadline)
  if ok and not how and #lines == 0 then how = DROPPED end
  return ok, how
end

-- Writes a record as text. Nil and an error of kind `data`: it is rejected.
local function write_text(self, record, text, name, source, position, deadline)
  if not self.transform then
    local unfit = self.checker and self.checker:refusal(record, text)
    if unfit then return nil, unfit end
    return call.write_one(self, "write", text, source, position, deadline)
  end
  local lines, why = changed.record(self, text, name, position)
  if not lines then return failure("data", "%s", why) end
  return write_changed(self, lines, source, position, deadline)
end

local function write_slowly(self, record, name, position, waits)
  local unusable = self:unusable()
  if unusable then return nil, unusable end
  local source, err, was_taken = call.source_of(self, name, position)
  if err then return nil, err end
  if was_taken then return call.repeated(self) end
  local deadline = call.deadline(self, waits)
  local text, failed = line_of(self, record)
  local ok = false
  if text then ok, failed = write_text(self, record, text, name, source, position, deadline) end
  if ok then return taken(self, source, position, #text, failed) end
  if failed.kind ~= "data" then return nil, failed end
  return reject_whole(self, rejected.of_record(record, failed.message), record, failed, source, position, deadline)
end

local function write(self, record, name, position, waits)
  -- most records are good, and there is room: the core says so, or nothing was done
  if name == nil and position == nil and not self.busy and self.takes_all and type(record) == "table" then
    local bytes = self.core:write_record(record)
    if bytes then
      call.after(self, bytes)
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
-- @treturn[1] ?string `repeated`: it was taken before; `rejected`: it is in `rejected/records.jsonl`, with the reason;
--   `dropped`: the transform has made nothing of it
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

-- As `write_text`.
local function write_json(self, text, name, source, position, deadline)
  if not self.transform then
    local unfit = self.checker and self.checker:line_refusal(text)
    if unfit then return nil, unfit end
    return call.write_one(self, "write_line", text, source, position, deadline)
  end
  local lines, why = changed.line(self, call.without_end(text), name, position)
  if not lines then return failure("data", "%s", why) end
  return write_changed(self, lines, source, position, deadline)
end

local function write_line(self, text, name, position)
  local unusable = self:unusable()
  if unusable then return nil, unusable end
  call.check_text(text, "write_line")
  local source, err, was_taken = call.source_of(self, name, position)
  if err then return nil, err end
  if was_taken then return call.repeated(self) end
  local deadline = call.deadline(self, true)
  local ok, failed = write_json(self, text, name, source, position, deadline)
  if ok then return taken(self, source, position, #text, failed) end
  if failed.kind ~= "data" then return nil, failed end
  local line = call.without_end(text)
  return reject_whole(self, rejected.of_text(line, failed.message), text, failed, source, position, deadline)
end

--- Writes a record that is JSON already: checked, and decoded only where that is needed.
-- @tparam string text one JSON object on one line, with or without its newline
-- @tparam ?string source
-- @tparam ?integer position
-- @treturn[1] boolean true, as `write`
-- @treturn[2] nil
-- @treturn[2] table error, as `write`
-- @raise as `write`; the text is no string
function Sink:write_line(text, source, position)
  -- most lines are good, and there is room: the core says so, or nothing was done
  if source == nil and position == nil and not self.busy and self.takes_all and type(text) == "string"
    and self.core:write_line(text) then
    call.after(self, #text)
    return true
  end
  return write_line(self, text, source, position)
end

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

--- Forgets sources that this process has not written anything of: what has a position of one of them is no repetition
-- any more.
-- @local
-- @tparam {string,...} names
-- @treturn[1] boolean true: so it is on disk
-- @treturn[2] nil
-- @treturn[2] table error
function Sink:forget(names)
  local keys = {}
  for _, name in ipairs(names) do
    if not self.sources[name] then keys["source/" .. name] = null end
  end
  if not next(keys) then return true end
  local ok, err = self.spool:note(keys)
  if not ok then return nil, err end
  for key in pairs(keys) do self.known[key] = nil end
  return true
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
