--- Records on their way through a function of the user's, into a sink. What it makes of a call stays one call, be it
-- nothing or several.
-- @module catalog.sink.changed
local call = require "catalog.sink.call"
local core = require "catalog.core"

local changed = {}

-- What is known of a record.
local function message_of(name, position) return { source = name, position = position } end

--- What has become of a record.
-- @tparam catalog.sink sink
-- @tparam string text a record of which it is known that it is one
-- @tparam ?string name of its source
-- @tparam ?integer position
-- @treturn[1] {string,...} lines; none: it is dropped
-- @treturn[2] nil
-- @treturn[2] string why it is rejected
function changed.record(sink, text, name, position)
  return sink.transform:lines(text, message_of(name, position))
end

--- What has become of a line, which may be no record.
-- @tparam catalog.sink sink
-- @tparam string line without its end
-- @tparam ?string name
-- @tparam ?integer position
-- @treturn[1] {string,...}
-- @treturn[2] nil
-- @treturn[2] string why it is rejected
function changed.line(sink, line, name, position)
  local why = #line > sink.settings.record_bytes and "it is longer than record_bytes" or core.lines.fault(line)
  if why then return nil, why end
  return changed.record(sink, line, name, position)
end

--- Puts lines, as part of a call of several steps.
-- @tparam catalog.sink sink
-- @tparam {string,...} lines
-- @tparam number deadline
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function changed.put(sink, lines, deadline)
  local text, first = table.concat(lines, "\n"), 1
  while first <= #text do
    local behind, count, fault = sink.core:write_lines(text, first)
    if not behind then return nil, count end
    first = behind
    if count > 0 and deadline > 0 then deadline = call.deadline(sink, true) end -- as long as there is room
    local ok, err = true, nil
    if fault then ok, err = call.wait_for_room(sink, deadline) end
    if not ok then return nil, err end
  end
  return true
end

-- Writes nothing, or several lines, as one call.
local function write_all(sink, lines, source, position, deadline)
  local made <close>, busy = call.begin(sink, deadline)
  if not made then return nil, busy end
  if call.is_repeated(source, position) then return true, call.REPEATED end
  local ok, err = changed.put(sink, lines, deadline)
  if ok then ok, err = call.commit(sink, made, source, position, deadline) end
  return ok, err
end

--- Writes what a record has become as a call of its own. Its source goes on also where that is nothing.
-- @tparam catalog.sink sink
-- @tparam {string,...} lines
-- @tparam ?table source
-- @tparam ?integer position
-- @tparam number deadline
-- @treturn[1] boolean true
-- @treturn[1] ?string `repeated`
-- @treturn[2] nil
-- @treturn[2] table error
function changed.write(sink, lines, source, position, deadline)
  if call.is_repeated(source, position) then return true, call.REPEATED end -- the transform has waited for something
  if #lines == 1 then return call.write_one(sink, "write", lines[1], source, position, deadline) end
  if #lines == 0 and not source then return true end
  return write_all(sink, lines, source, position, deadline)
end

return changed
