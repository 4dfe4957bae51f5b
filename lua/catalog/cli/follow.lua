--- Follows a file by its name, as `tail -F` does: over rotation by renaming and by copying, when it is not there yet,
-- and from where it was left when it is followed again. What was rotated is read to its end before what came after it.
-- @module catalog.cli.follow
local Reader = require "catalog.cli.reader"
local core = require "catalog.core"
local rotated = require "catalog.cli.rotated"

local clock <const> = core.system.monotonic

-- How long nothing may come in a file that was rotated until nobody is expected to have it open, in seconds.
local QUIET <const> = 60

local Follow = {}
Follow.__index = Follow

local function open(self, path) return Reader.open(path, self.known, self.most) end

-- A reader whose file may be written for a while, though it has lost its name; a copy is not.
local function let_go(self, reader, is_copy)
  reader.quiet_until = is_copy and 0 or clock() + self.quiet
  self.older[#self.older + 1] = reader
end

-- Those that were rotated after a file, unseen. Gives how many there are.
local function add_between(self, list, last)
  local seen = { [last.id or ""] = true }
  for _, reader in ipairs(self.older) do seen[reader.id] = true end
  local readers = rotated.between(list, last.changed, seen, function(path) return open(self, path) end, self.note)
  for _, reader in ipairs(readers) do let_go(self, reader) end
  self.newest = list[#list] or last
  return #readers
end

-- --- where to go on ---

-- Those beside the file that are known: each has the reader that goes on in it.
local function known_of(self, list)
  local found = {}
  for _, file in ipairs(list) do
    local reader = open(self, file.path)
    if reader and reader.is_known then
      found[#found + 1] = { file = file, reader = reader }
    elseif reader then
      reader:close()
    end
  end
  return found
end

-- Reads first what was left of files that were rotated. Gives the one that was followed last, and has another name
-- now.
local function take_up(self, list, current)
  local last
  for _, one in ipairs(known_of(self, list)) do
    last = one.file
    if one.reader.at < one.file.size then let_go(self, one.reader) else one.reader:close() end
  end
  if current and current.before then
    local copy, file = rotated.copy(list, current.before, self.most)
    if copy then
      let_go(self, copy, true)
      last = file
    end
  end
  return last
end

-- The file was followed, and the one that was read last is not beside it, or not as it was. What was written since is
-- read as far as it is there.
local function look_since(self, list)
  self.note(("%s was followed before, and the file that was read last is not beside it any more: what that has had "
    .. "since is left out"):format(self.path))
  add_between(self, list, { changed = (self.since + 1) * 1000000 }) -- times of files have more digits
end

local function begin(self)
  local current, err = open(self, self.path)
  if not current and err.code ~= "missing" then return nil, err end
  local list = rotated.list(self.path)
  local last = take_up(self, list, current)
  self.since = self.known(self.mark)[self.mark]
  if current and not current.is_known then
    if last then add_between(self, list, last) elseif self.since then look_since(self, list) end
  end
  self.current, self.last, self.begun = current, not current and last or nil, true
  self.newest = list[#list] or { changed = 0 }
  self.is_marked = not current or current.is_known
  return true
end

--- Follows a file.
-- @tparam string path
-- @tparam table given `known(beginning)`: the last positions of the sources whose names begin so; `most`: the bytes
--   that a record may have; `note(text)`: is told what somebody should know; `quiet`: how long a rotated file is
--   watched, in seconds, default 60
-- @treturn table
function Follow.new(path, given)
  local absolute = path:find "^/" and path or ("%s/%s"):format(os.getenv "PWD" or "", path)
  return setmetatable({
    path = path, mark = "followed:" .. absolute, known = given.known, most = given.most, note = given.note,
    quiet = given.quiet or QUIET, older = {}, is_marked = true,
  }, Follow)
end

-- --- what happens to the file ---

-- Opens what has the name now. What cannot be read is told once, and looked at again.
local function open_current(self)
  local err
  self.current, err = open(self, self.path)
  if self.current then
    self.told, self.is_marked = nil, false
  elseif err.code ~= "missing" and err.message ~= self.told then
    self.told = err.message
    self.note(err.message)
  end
end

-- The file was cut. A copy has what was not read of it before, and all of that comes before its new beginning.
local function replace_cut(self)
  local old, list = self.current, rotated.list(self.path)
  local copy, file = rotated.copy(list, old.identity, self.most)
  if copy then
    let_go(self, copy, true)
    add_between(self, list, file)
  end
  old:close()
  open_current(self)
end

-- As long as nothing was taken of a file nobody sees that it is cut: what was copied since the last look comes before
-- it. Gives whether there is something.
local function has_copies(self)
  local current = self.current
  if current.place > 0 or select(2, current.tail:look()) == 0 then return false end
  return add_between(self, rotated.list(self.path), self.newest) > 0
end

-- Another file has the name. The one before is read to its end, and so is what was rotated since.
local function replace_renamed(self)
  local old, last = self.current, self.last
  if old then
    let_go(self, old)
    local _, _, changed = old.tail:look()
    last = { id = old.id, changed = changed }
  end
  if last then add_between(self, rotated.list(self.path), last) end
  self.last = nil
  open_current(self)
end

-- Looks at what has the name now. Gives whether that is another file than before.
local function is_renamed(self)
  local id = core.tail.look(self.path)
  return id ~= nil and not (self.current and self.current.id == id)
end

-- --- reading ---

-- Reads on in files that were rotated. One in which nothing has come for a while is closed, and so is one that was
-- written anew, as a copy is by the next one.
local function next_of_older(self)
  local i = 1
  while self.older[i] do
    local reader = self.older[i]
    local is_over, is_cut = clock() >= reader.quiet_until, reader:is_cut()
    local lines, source, position
    if not is_cut then lines, source, position = reader:next(is_over) end
    if lines ~= nil then
      if not is_over then reader.quiet_until = clock() + self.quiet end
      return lines, source, position
    end
    if source then return nil, source end
    if is_over or is_cut then
      table.remove(self.older, i):close()
    else
      i = i + 1
    end
  end
end

-- A source of its own says when the file that has the name was begun, milliseconds since the epoch: what was rotated
-- before is read by then.
local function mark(self)
  self.is_marked, self.since = true, math.max(core.system.now(), (self.since or 0) + 1)
  return "", self.mark, self.since
end

-- Reads on in the file that has the name. When it was cut there is something older first.
local function next_of_current(self)
  if not self.current then return nil end
  if not self.is_marked then return mark(self) end
  if self.current:is_cut() then
    replace_cut(self)
    return false
  end
  if has_copies(self) then return false end
  return self.current:next(false)
end

--- Reads on, in whatever has the name.
-- @treturn[1] string lines, to be taken as a whole before the next call; they may be empty
-- @treturn[1] string the source
-- @treturn[1] integer their position
-- @treturn[2] boolean false: something was read, but no line has ended
-- @treturn[3] nil there is nothing now
-- @treturn[4] nil
-- @treturn[4] table error of kind `data`, `limit`
function Follow:next()
  if not self.begun then
    local ok, err = begin(self)
    if not ok then return nil, err end
  end
  local lines, source, position = next_of_older(self)
  if lines == nil and not source then lines, source, position = next_of_current(self) end
  if lines ~= nil or source then return lines, source, position end
  if not is_renamed(self) then return nil end
  replace_renamed(self)
  if self.current then return false end
  return nil
end

--- Closes what is open.
function Follow:close()
  for _, reader in ipairs(self.older) do reader:close() end
  if self.current then self.current:close() end
  self.older, self.current = {}, nil
end

return Follow
