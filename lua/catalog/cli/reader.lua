--- A file whose lines are taken, from where it was left.
-- @module catalog.cli.reader
local LineBuffer = require "catalog.cli.line_buffer"
local core = require "catalog.core"
local identity = require "catalog.cli.identity"

-- How much is read at a time, bytes.
local PIECE <const> = 262144

local Reader = {}
Reader.__index = Reader

local function make(path, tail, which, most)
  local id, size = tail:look()
  return setmetatable({
    path = path, tail = tail, id = id, size = size, identity = which, place = which.position, at = which.position,
    lines = LineBuffer.new(most),
  }, Reader)
end

--- Opens a file, and goes on where it was left.
-- @tparam string path
-- @tparam function known as for `catalog.cli.identity`
-- @tparam integer most bytes that a record may have
-- @treturn[1] table `is_known`: some of it was taken before; `before`: what had this inode before, and is another file
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`, `limit`
function Reader.open(path, known, most)
  local tail, err = core.tail.open(path)
  if not tail then return nil, err end
  local id, size = tail:look()
  local before = identity.latest(known, id)
  local is_known = before ~= nil and before:fits(tail, size)
  local self = make(path, tail, is_known and before or identity.new(id, before), most)
  self.is_known, self.before = is_known, not is_known and before or nil
  return self
end

--- Opens a copy of a file, and goes on where that was left.
-- @tparam string path
-- @tparam table which what is known of the file
-- @tparam integer most
-- @treturn ?table nil: it is no copy
function Reader.open_copy(path, which, most)
  local tail = core.tail.open(path)
  if not tail then return nil end
  local _, size = tail:look()
  if which.length > 0 and which:fits(tail, size) then return make(path, tail, which, most) end
  tail:close()
end

--- Reads on.
-- @tparam boolean is_over nothing more will be written: what stands behind the last newline is a line
-- @treturn[1] string lines
-- @treturn[1] string the source
-- @treturn[1] integer their position
-- @treturn[2] boolean false: something was read, but no line has ended
-- @treturn[3] nil it was read to its end
-- @treturn[4] nil
-- @treturn[4] table error of kind `data`
function Reader:next(is_over)
  local piece, err = self.tail:read(self.at, PIECE)
  if not piece then
    err.message = self.path .. " " .. err.message
    return nil, err
  end
  local lines, used
  if piece ~= "" then
    lines, used = self.lines:add(piece)
  elseif is_over then
    lines, used = self.lines:finish(), 0
  end
  local place = self.at + (used or 0)
  self.at = self.at + #piece
  if not lines and piece == "" then return nil end
  if not lines then return false end
  self.place = place
  self.identity:advance(self.tail, place)
  return lines, self.identity:name(), place
end

--- Whether it was cut, and maybe filled anew, since it was read.
-- @treturn boolean
function Reader:is_cut()
  local _, size, changed = self.tail:look()
  if size == self.size and changed == self.changed then return false end
  self.size, self.changed = size, changed
  return size < self.at or not self.identity:fits(self.tail, size)
end

function Reader:close() self.tail:close() end

return Reader
