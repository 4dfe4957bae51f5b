--- A call of a sink: what becomes durable together, or not at all. It waits for room, and for another call of several
-- steps to end.
-- @module catalog.sink.call
local core = require "catalog.core"
local failure = require "catalog.base.failure"

local clock <const>, running <const> = core.system.monotonic, coroutine.running

local Call = {}

local call = {}

--- What is said of a call that was taken before.
call.REPEATED = "repeated"

-- How many bytes are written between two looks at what else there is to do.
local POKE <const> = 65536

-- The largest position: what is exact in JSON everywhere.
local LAST_POSITION <const> = 1 << 53

-- --- what is written, and where it comes from ---

--- Whether a call was taken before.
-- @tparam ?table source
-- @tparam ?integer position
-- @treturn boolean
function call.is_repeated(source, position)
  return source ~= nil and source.last ~= nil and position <= source.last
end

--- The source of a call.
-- @tparam catalog.sink sink
-- @tparam ?string name
-- @tparam ?integer position
-- @treturn[1] ?table nil: it has none
-- @treturn[1] nil
-- @treturn[1] ?boolean true: the call was taken before
-- @treturn[2] nil
-- @treturn[2] table error
-- @raise they are no name and position; the caller's caller is to blame
function call.source_of(sink, name, position)
  if name == nil then
    if position ~= nil then error("a position needs a source", 3) end
    return nil
  end
  if type(name) ~= "string" then error("bad source (string expected, got " .. type(name) .. ")", 3) end
  if math.type(position) ~= "integer" or position < 0 or position > LAST_POSITION then
    error(("bad position of %s (an integer from 0 to 2^53 expected)"):format(core.failure.line(name)), 3)
  end
  local source, err = sink:source(name)
  if not source then return nil, err end
  return source, nil, call.is_repeated(source, position)
end

--- Raises, where a text is none; the caller's caller is to blame.
-- @param text
-- @tparam string name of the call
function call.check_text(text, name)
  if type(text) ~= "string" then error(("bad argument to %s (string expected, got %s)"):format(name, type(text)), 3) end
end

--- A line without what ends it. It may be long, and Lua's patterns are slow at that.
-- @tparam string text
-- @treturn string
function call.without_end(text)
  local last = #text
  if text:byte(last) == 0x0A then last = last - 1 end
  if text:byte(last) == 0x0D then last = last - 1 end
  return last < #text and text:sub(1, last) or text
end

--- What follows each call: now and then something else has its turn.
-- @tparam catalog.sink sink
-- @tparam integer bytes that were written
function call.after(sink, bytes)
  sink.unpoked = sink.unpoked + bytes
  if sink.unpoked >= POKE or sink.calls[1] then sink:go_on() end
end

--- Counts a call that was taken before.
-- @tparam catalog.sink sink
-- @treturn boolean true
-- @treturn string `repeated`
function call.repeated(sink)
  sink.repeated = sink.repeated + 1
  return true, call.REPEATED
end

-- --- waiting for room ---

-- By the limit that is reached.
local FULL <const> = {
  bytes = "limit.bytes is reached; what is in it goes to the platform first",
  free = "the disk has less than limit.free left; make room",
  rejected = "its directory `rejected` has a gigabyte: look at why so much was, and move it away",
}

local function full(sink)
  local status = sink.core:status()
  local why = status.disk_error or FULL[status.full]
    or "the disk is slower than what is written; what is in it is written first"
  local _, err = failure("limit", "the spool %s is full: %s", sink.settings.spool, why)
  err.code, err.retryable = "full", true
  return nil, err
end

--- Whether one of the limits is reached.
-- @tparam catalog.sink sink
-- @treturn ?table error of kind `limit` with code `full`; nil: there is room
function call.limit_reached(sink)
  if FULL[sink.core:status().full] then return select(2, full(sink)) end
end

--- When a call that begins now has to have room.
-- @tparam catalog.sink sink
-- @tparam boolean waits false: it does not
-- @treturn number on the monotonic clock
function call.deadline(sink, waits)
  if not waits then return 0 end
  local timeout = sink.settings.limit.timeout
  return timeout and clock() + timeout or math.huge
end

--- Waits for room, or for another call of several steps to end.
-- @tparam catalog.sink sink
-- @tparam number deadline
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function call.wait_for_room(sink, deadline)
  local ok, err = sink:wait(deadline < math.huge and deadline or nil)
  if ok then return true end
  if err then return nil, err end
  return full(sink)
end

--- Asks the core for one step until there is room for it.
-- @tparam catalog.sink sink
-- @tparam number deadline
-- @tparam string name of the step
-- @param ... its arguments
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function call.step(sink, deadline, name, ...)
  while true do
    local done, err = sink.core[name](sink.core, ...)
    if done then return true end
    if done == nil then return nil, err end
    local ok, stopped = call.wait_for_room(sink, deadline)
    if not ok then return nil, stopped end
  end
end

-- Waits until a call of several steps has ended.
local function wait_for_call(sink, deadline)
  local err = sink:nested()
  if err then return nil, err end
  return call.wait_for_room(sink, deadline)
end

-- A call of several steps is alone: what another commits meanwhile would have a part of it.
local function enter(sink, deadline)
  while sink.busy do
    local ok, err = wait_for_call(sink, deadline)
    if not ok then return nil, err end
  end
  sink.busy = running()
  return true
end

-- Ends a call of several steps, however that comes: what was not committed is taken back.
function Call.__close(made)
  local sink = made.sink
  sink.busy = false
  if not made.committed and not sink.closed then sink.core:rollback() end
  sink.spool:announce()
end

--- Begins a call of several steps.
-- @tparam catalog.sink sink
-- @tparam number deadline
-- @treturn[1] table to be closed; what was not committed by then is taken back
-- @treturn[2] nil
-- @treturn[2] table error
function call.begin(sink, deadline)
  local ok, err = enter(sink, deadline)
  if not ok then return nil, err end
  return setmetatable({ sink = sink, committed = false }, Call)
end

--- Makes durable what a call of several steps has.
-- @tparam catalog.sink sink
-- @tparam table made of `begin`
-- @tparam ?table source
-- @tparam ?integer position
-- @tparam number deadline
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function call.commit(sink, made, source, position, deadline)
  local ok, err = call.step(sink, deadline, "commit", source and source.id, position)
  if not ok then return nil, err end
  made.committed = true
  if source then source.last = position end
  return true
end

--- Writes one line, which is a call of its own. While this waits the same may come again, and be taken.
-- @tparam catalog.sink sink
-- @tparam string name how the core takes it
-- @tparam string text
-- @tparam ?table source
-- @tparam ?integer position
-- @tparam number deadline
-- @treturn[1] boolean true
-- @treturn[1] ?string `repeated`
-- @treturn[2] nil
-- @treturn[2] table error; of kind `data`: it is no record
function call.write_one(sink, name, text, source, position, deadline)
  while true do
    local wait = wait_for_call
    if not sink.busy then
      local done, failed = sink.core[name](sink.core, text, source and source.id, position)
      if done ~= false then return done, failed end
      wait = call.wait_for_room
    end
    local ok, err = wait(sink, deadline)
    if not ok then return nil, err end
    if call.is_repeated(source, position) then return true, call.REPEATED end
  end
end

return call
