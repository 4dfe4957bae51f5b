-- Spools of one process that are used at the same time, each by a coroutine, so that what waits for a disk waits
-- together.
local core = require "catalog.core"
local shell = require "support.shell"

local One = {}
One.__index = One

local many = { count = 0 } -- of all spools there ever were

-- How long any of them may take, in seconds.
local PATIENCE <const> = 60

local LINE <const> = '{"n":%d}\n'

--- Lines of records from one number to another.
function many.numbers(first, last)
  local list = {}
  for i = first, last do list[#list + 1] = LINE:format(i) end
  return table.concat(list)
end

--- A spool that may be opened.
function many.new(path, options)
  return setmetatable({ path = path, options = options or {}, ended = {}, segments = {} }, One)
end

--- Runs functions at once, each with a spool's path below a directory. What yields waits.
-- @tparam string directory
-- @tparam {function(one),...} bodies
-- @tparam ?table options of the spools
function many.run(directory, bodies, options)
  local live, deadline = {}, core.system.monotonic() + PATIENCE
  for _, body in ipairs(bodies) do
    many.count = many.count + 1
    local one = many.new(("%s/%d"):format(directory, many.count), options)
    live[one] = coroutine.create(function() body(one) end)
  end
  while next(live) do
    for one, thread in pairs(live) do
      local fine, raised = coroutine.resume(thread)
      if not fine then error(debug.traceback(thread, ("%s: %s"):format(one.path, raised)), 0) end
      if coroutine.status(thread) == "dead" then
        live[one] = nil
        core.fs.remove(one.path)
      end
    end
    if core.system.monotonic() > deadline then error("it does not go on: " .. next(live).path, 0) end
    os.execute "sleep 0.005"
  end
end

--- Opens the spool. Gives what its journal says, or nil and an error.
function One:open(more)
  local given = { path = self.path, sync_seconds = 0 }
  for _, options in ipairs { self.options, more or {} } do
    for name, value in pairs(options) do given[name] = value end
  end
  local spool, text = core.spool.open(given)
  if not spool then return nil, text end
  local state = assert(core.json.decode(text))
  self.ended = {} -- its tickets begin anew
  self.spool, self.source = spool, assert(spool:source("s", state["source/s"]))
  return state
end

-- Takes what has happened.
function One:take()
  repeat
    local name, value, err = self.spool:take()
    if name == "job" then self.ended[value] = err or true end
    if name == "segment" then self.segments[#self.segments + 1] = value end
  until not name
end

--- Calls a method until there is room.
function One:put(name, ...)
  while true do
    local done, err = self.spool[name](self.spool, ...)
    if done then return true end
    if done == nil then error(err, 0) end
    self:wait()
  end
end

--- Lets the others go on; `on_wait` is called before, with the error of a job that has failed.
function One:wait(err)
  if self.on_wait then self.on_wait(err) end
  if coroutine.isyieldable() then coroutine.yield() else os.execute "sleep 0.001" end
  self:take()
end

--- Asks for something, and waits for it. Gives true, or nil and an error.
function One:job(name, ...)
  local ticket, err = self.spool[name](self.spool, ...)
  if not ticket then return nil, err end
  while not self.ended[ticket] do self:wait() end
  if self.ended[ticket] == true then return true end
  return nil, self.ended[ticket]
end

--- The same, again and again until it is done.
function One:insist(...)
  for _ = 1, 20 do
    local ok, err = self:job(...)
    if ok then return true end
    if err.kind ~= "config" then error(err, 0) end
    self:wait(err)
  end
  error "it is never done"
end

--- Takes the lines of a text as a call of its own.
function One:lines(text, position)
  local first = 1
  while first <= #text do
    local behind, count, fault, after = self.spool:write_lines(text, first)
    if not behind then error(count, 0) end
    first = behind
    if fault == "room" then
      self:wait()
    elseif fault then
      self:put("reject", ('{"reason":"%s"}'):format(fault))
      first = after
    end
  end
  self:put("commit", self.source, position)
end

--- What the segments of the journal have, in order, each as it was journaled; and their count.
function One:content()
  local state = assert(core.json.decode((assert(core.spool.look(self.path)))))
  local list, texts = {}, {}
  for name in pairs(state) do
    if name:find "^segment/" then list[#list + 1] = math.tointeger(tonumber(name:match "%d+")) end
  end
  table.sort(list)
  for i, number in ipairs(list) do
    local segment, text = state["segment/" .. number], shell.read(("%s/seg/%010d.jsonl"):format(self.path, number))
    if #text < segment.bytes or segment.sealed and #text ~= segment.bytes then
      error(("segment %d has %d bytes, and %d in the journal"):format(number, #text, segment.bytes))
    end
    texts[i] = text:sub(1, segment.bytes)
    if core.journal.checksum(texts[i]) ~= segment.crc then error(("segment %d is not what was written"):format(number)) end
  end
  return table.concat(texts), #list, state
end

function One:close()
  local ok, err = self.spool:close()
  if not ok then error(err, 0) end
end

return many
