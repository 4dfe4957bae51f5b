--- Which file it is that lines are read of, whatever it is called: device, inode, and a checksum of how it begins. That
-- is the name of a source, and where its last line ended is the position.
--
-- Inodes are used again, and a file may be cut and filled anew: then the next *number* of the same inode begins. The
-- checksum is of the first lines that were taken, and of 4 KiB once so much was: it stays true while the file grows,
-- and a file has two names at the most.
-- @module catalog.cli.identity
local core = require "catalog.core"

-- How much of the beginning is looked at, bytes.
local HEAD <const> = 4096

local NAME <const>, PATTERN <const> = "file:%s:%d:%d:%s", "^file:(%x+:%d+):(%d+):(%d+):(%x*)$"

local Identity = {}
Identity.__index = Identity

local identity = {}

-- The sum of the first bytes of a file; nil where it has fewer.
local function sum_of(tail, length)
  local head = tail:read(0, length)
  return head and #head == length and core.journal.checksum(head) or nil
end

-- What a name says; nil: it is no file's.
local function parse(name, position)
  local id, number, length, sum = name:match(PATTERN)
  if not id then return nil end
  return setmetatable({
    id = id, number = math.tointeger(tonumber(number)), length = math.tointeger(tonumber(length)), sum = sum,
    position = position,
  }, Identity)
end

-- Whether it counts, of two that have one inode.
local function is_later(one, other)
  return not other or one.number > other.number or one.number == other.number and one.length > other.length
end

--- What is known of the file that has an inode, or had it last.
-- @tparam function known gives the last positions of the sources whose names begin with a text
-- @tparam string id device and inode, as of `core.tail.look`
-- @treturn ?table `position`: where the last line that was taken ended
function identity.latest(known, id)
  local last
  for name, position in pairs(known(("file:%s:"):format(id))) do
    local one = parse(name, position)
    if one and is_later(one, last) then last = one end
  end
  return last
end

--- The names that `latest` gives for no inode any more.
-- @tparam function known as for `latest`
-- @treturn {string,...}
function identity.outdated(known)
  local last, names, list = {}, {}, {}
  for name, position in pairs(known "file:") do
    local one = parse(name, position)
    if one then names[name] = one end
    if one and is_later(one, last[one.id]) then last[one.id] = one end
  end
  for name, one in pairs(names) do
    if last[one.id] ~= one then list[#list + 1] = name end
  end
  return list
end

--- A file of which nothing was taken.
-- @tparam string id
-- @tparam ?table before what had this inode
-- @treturn table
function identity.new(id, before)
  return setmetatable({ id = id, number = before and before.number + 1 or 1, length = 0, position = 0 }, Identity)
end

--- Whether it is this file, as far as it was read.
-- @tparam tail tail an open file
-- @tparam integer size its size now
-- @treturn boolean
function Identity:fits(tail, size)
  return size >= self.position and (self.length == 0 or sum_of(tail, self.length) == self.sum)
end

--- Goes on to where a line has ended.
-- @tparam tail tail
-- @tparam integer position
function Identity:advance(tail, position)
  local length = math.min(position, HEAD)
  if self.length == 0 or length == HEAD and self.length < HEAD then
    local sum = sum_of(tail, length)
    if sum then self.length, self.sum = length, sum end
  end
  self.position = position
end

--- The name of the source.
-- @treturn string
function Identity:name() return NAME:format(self.id, self.number, self.length, self.sum or "") end

return identity
