--- How many records get into a sink at once: as one call, of which the bad ones are rejected.
-- @classmod catalog.sink
local Sink = require "catalog.sink.sink"
local call = require "catalog.sink.call"
local changed = require "catalog.sink.changed"
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local rejected = require "catalog.sink.rejected"
local scheduler = require "catalog.scheduler.scheduler"

-- How many bytes are given to the transform between two looks at what else there is to do.
local POKE <const> = 65536

-- How many lines of a call are told why they were rejected.
local TOLD <const> = 10

local function repeated_lines(self)
  call.repeated(self)
  return 0, call.REPEATED, {}
end

-- Rejects one line of many. Its number is that of an editor: empty ones count.
local function reject(self, made, text, reason, name, deadline)
  local where = { source = name, line = made.line }
  local ok, err = call.step(self, deadline, "reject", rejected.of_text(text, reason, where))
  if not ok then return nil, err end
  made.rejected = made.rejected + 1
  if #made.faults < TOLD then made.faults[#made.faults + 1] = { line = made.line, reason = reason } end
  if self.settings.on_rejected then
    made.told[#made.told + 1] = { text, select(2, failure("data", "line %d: %s", made.line, reason)) }
  end
  return true
end

-- The end of the lines from a byte on that fit the schema; or of one that does not, and what is wrong with it.
local function fitting(self, text, first)
  if not self.checker then return #text end
  local behind = self.checker.fits:lines(text, first)
  if behind > first then return behind - 1 end
  local last = text:find("\n", first, true) or #text
  local unfit = self.checker:line_refusal(call.without_end(text:sub(first, last)))
  return last, unfit and unfit.message
end

-- Takes all lines of a text, up to the commit.
local function take_all(self, made, text, name, _, deadline)
  local first, counted, last = 1, 1, 0
  while first <= #text do
    local unfit
    if first > last then last, unfit = fitting(self, text, first) end
    local behind, count, fault, next_line = first, 0, unfit, last + 1
    if not unfit then behind, count, fault, next_line = self.core:write_lines(text, first, last) end
    if not behind then return nil, count end
    made.taken, first = made.taken + count, behind
    if count > 0 then deadline = call.deadline(self, true) end -- a long call goes on as long as there is room
    local ok, err = true, nil
    if fault == "room" then
      ok, err = call.wait_for_room(self, deadline)
    elseif fault then
      made.line, counted = made.line + core.lines.count(text, counted, behind), behind
      ok, err = reject(self, made, call.without_end(text:sub(behind, next_line - 1)), fault, name, deadline)
      first = next_line
    end
    if not ok then return nil, err end
  end
  return true
end

-- Takes what the transform has made of a line.
local function take_changed(self, made, line, name, position, deadline)
  local lines, why = changed.line(self, line, name, position)
  if not lines then return reject(self, made, line, why, name, deadline) end
  made.taken = made.taken + 1
  if #lines == 0 then made.dropped = made.dropped + 1 end
  return changed.put(self, lines, deadline)
end

-- The same for all lines of a text.
local function change_all(self, made, text, name, position)
  local first, poke_at = 1, POKE
  while first <= #text do
    local newline = text:find("\n", first, true) or #text + 1
    local line = call.without_end(text:sub(first, newline))
    local ok, err = true, nil
    if line ~= "" then ok, err = take_changed(self, made, line, name, position, call.deadline(self, true)) end
    if not ok then return nil, err end
    first, made.line = newline + 1, made.line + 1
    if first > poke_at then
      scheduler.poke()
      poke_at = first + POKE
    end
  end
  return true
end

-- Writes all as one call. Gives what came of it; `repeated`: it came again while this waited; or nil and an error.
local function write_all(self, text, name, source, position)
  local deadline = call.deadline(self, true)
  local made <close>, busy = call.begin(self, deadline)
  if not made then return nil, busy end
  if call.is_repeated(source, position) then return call.REPEATED end
  made.taken, made.rejected, made.dropped, made.faults, made.told, made.line = 0, 0, 0, {}, {}, 1
  local ok, err = (self.transform and change_all or take_all)(self, made, text, name, position, deadline)
  if ok then ok, err = call.commit(self, made, source, position, deadline) end
  return ok and made, err
end

local function write_lines(self, text, name, position)
  local unusable = self:unusable()
  if unusable then return nil, unusable end
  call.check_text(text, "write_lines")
  local source, err, was_taken = call.source_of(self, name, position)
  if err then return nil, err end
  if was_taken then return repeated_lines(self) end
  local made, failed = write_all(self, text, name, source, position)
  if not made then return nil, failed end
  if made == call.REPEATED then return repeated_lines(self) end
  self.rejected, self.dropped = self.rejected + made.rejected, self.dropped + made.dropped
  call.after(self, #text)
  for _, one in ipairs(made.told) do self.settings.on_rejected(one[1], one[2]) end
  return made.taken, made.rejected, made.faults
end

--- Writes many records, each a line of JSON. A bad one is rejected, and the others are taken.
-- @tparam string text lines, the last one with or without its newline; empty ones are left out
-- @tparam ?string source
-- @tparam ?integer position covers all of the call: it is on disk as a whole or not at all
-- @treturn[1] integer how many were taken, those that the transform has dropped too; 0 and `repeated` when the call was
--   taken before
-- @treturn[1] integer|string how many were rejected
-- @treturn[1] {table,...} of the first ten of these: `line`, `reason`
-- @treturn[2] nil
-- @treturn[2] table error, as `write`; nothing of the call was taken
-- @raise as `write_line`
function Sink:write_lines(text, source, position) return write_lines(self, text, source, position) end

return Sink
