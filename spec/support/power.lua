-- What a disk has after the power was lost: what was synced, and at random some of what was not. It reads what
-- spec/scripts/disk.c has written down.
local core = require "catalog.core"
local shell = require "support.shell"

-- What a disk writes as a whole, bytes.
local BLOCK <const> = 512
local BLANK <const> = ("\0"):rep(BLOCK)

local Power = {}
Power.__index = Power

local function new_file() return { size = 0, blocks = {}, pending = {} } end

-- --- bytes ---

local function garbage(count)
  local bytes = {}
  for i = 1, count do bytes[i] = string.char(math.random(0, 255)) end
  return table.concat(bytes)
end

-- Changes bytes of a file, as far as `keeps(block)` says so; without text they are zeros.
local function write(file, at, length, text, keeps)
  local from = at
  while from < at + length do
    local block = from // BLOCK
    local offset = from - block * BLOCK
    local count = math.min(BLOCK - offset, at + length - from)
    local how = keeps(block)
    if how then
      local new = how == "garbage" and garbage(count) or text and text:sub(from - at + 1, from - at + count)
        or BLANK:sub(1, count)
      if count < BLOCK then
        local old = file.blocks[block] or BLANK
        new = old:sub(1, offset) .. new .. old:sub(offset + count + 1)
      end
      file.blocks[block] = new ~= BLANK and new or nil
      file.size = math.max(file.size, from + count)
    end
    from = from + count
  end
end

local function cut(file, size)
  for block in pairs(file.blocks) do
    if block * BLOCK >= size then file.blocks[block] = nil end
  end
  local last = size // BLOCK
  if file.blocks[last] then file.blocks[last] = file.blocks[last]:sub(1, size % BLOCK) .. BLANK:sub(size % BLOCK + 1) end
  file.size = size
end

local function always() return true end

local function apply(file, change)
  if change.cut then return cut(file, change.cut) end
  write(file, change.at, change.length, change.text, always)
end

-- What the disk may have of a change that was not synced. Blocks that are new may have anything in them.
local function apply_some(file, change)
  if change.cut then
    if math.random(2) == 1 then cut(file, change.cut) end
    return
  end
  local blocks = (file.size + BLOCK - 1) // BLOCK
  write(file, change.at, change.length, change.text, function(block)
    local dice = math.random(4)
    if dice <= 2 then return true end
    if block < blocks then return false end
    return dice == 3 and "garbage" or false
  end)
  if math.random(2) == 1 then file.size = math.max(file.size, change.at + change.length) end
end

-- --- what was written down ---

local function parent_of(path) return path:match "^(.*)/[^/]*$" or "" end

-- Takes note of a change of names, which is on the disk when a directory it is in is synced, and those before it are.
function Power:rename(change, ...)
  for _, path in ipairs { ... } do
    local parent = parent_of(path)
    self.pending[parent] = self.pending[parent] or {}
    table.insert(self.pending[parent], change)
  end
end

local function settle(change)
  if not change.done then change.apply() end
  change.done = true
end

local READ <const> = {}

function READ.create(self, id, path)
  local file = new_file()
  self.files[id], self.now[path] = file, file
  self:rename({ apply = function() self.names[path] = file end }, path)
end

function READ.open(self, id, path)
  self.files[id] = assert(self.now[path], path)
end

function READ.write(self, id, at, length, text)
  table.insert(self.files[id].pending, { at = tonumber(at), length = tonumber(length), text = text })
end

READ.zeros = READ.write

function READ.cut(self, id, size)
  table.insert(self.files[id].pending, { cut = math.tointeger(tonumber(size)) })
end

function READ.sync(self, id)
  local file = self.files[id]
  for _, change in ipairs(file.pending) do apply(file, change) end
  file.pending = {}
end

-- A sync has failed: what was written may be on the disk or not, and a later sync does not write it.
function READ.lost(self, id)
  local file = self.files[id]
  for _, change in ipairs(self.hopeless and {} or file.pending) do apply_some(file, change) end
  file.pending = {}
end

function READ.syncdir(self, path)
  path = path or "" -- that of the disk
  for _, change in ipairs(self.pending[path] or {}) do settle(change) end
  self.pending[path] = nil
end

function READ.lostdir(self, path)
  local changes = self.pending[path or ""] or {}
  for i = 1, self.hopeless and 0 or math.random(0, #changes) do settle(changes[i]) end
  self.pending[path or ""] = nil
end

function READ.unlink(self, path)
  self.now[path] = nil
  self:rename({ apply = function() self.names[path], self.directories[path] = nil, nil end }, path)
end

function READ.rename(self, path, other)
  local file = self.now[path]
  self.now[path], self.now[other] = nil, file
  self:rename({ apply = function() self.names[path], self.names[other] = nil, file end }, path, other)
end

function READ.mkdir(self, path)
  self:rename({ apply = function() self.directories[path] = true end }, path)
end

-- --- what there was before, and is after ---

local power = {}

--- A disk of which all is synced.
-- @tparam string directory what is there
-- @tparam ?boolean hopeless nothing of what a sync has failed for is on the disk
function power.of(directory, hopeless)
  local self = setmetatable({
    names = {}, now = {}, files = {}, directories = {}, pending = {}, hopeless = hopeless,
  }, Power)
  for path in shell.run(("cd %s && find . -mindepth 1 -type d"):format(shell.quote(directory))):gmatch "%./([^\n]+)" do
    self.directories[path] = true
  end
  for path in shell.run(("cd %s && find . -type f"):format(shell.quote(directory))):gmatch "%./([^\n]+)" do
    local text = shell.read(directory .. "/" .. path)
    local file = new_file()
    local at = text:find "[^\0]" or #text
    while at < #text do -- past zeros
      local first = (at - 1) // BLOCK * BLOCK
      local bytes = text:sub(first + 1, first + BLOCK)
      write(file, first, #bytes, bytes, always)
      at = text:find("[^\0]", first + BLOCK + 1) or #text
    end
    file.size = #text
    self.names[path], self.now[path] = file, file
  end
  return self
end

--- Does what was written down.
-- @tparam string trace the path of a file
function Power:read(trace)
  local text = shell.read(trace)
  local at = 1
  while at <= #text do
    local line, after = text:match("^([^\n]*)\n()", at)
    if not line then break end -- it was killed there
    local words = {}
    for word in line:gmatch "%S+" do words[#words + 1] = word end
    at = after
    if words[1] == "write" then
      words[5] = text:sub(at, at + words[4] - 1)
      at = at + words[4] + 1
    end
    READ[words[1]](self, table.unpack(words, 2))
  end
end

--- The power is lost: some of what was not synced is there.
function Power:lose()
  for _, changes in pairs(self.pending) do
    for i = 1, math.random(0, #changes) do settle(changes[i]) end
  end
  for _, file in pairs(self.names) do
    for _, change in ipairs(file.pending) do apply_some(file, change) end
    file.pending = {}
  end
end

local function make_file(path, file)
  local made <close> = assert(io.open(path, "wb"))
  made:setvbuf "full"
  for block, bytes in pairs(file.blocks) do
    made:seek("set", block * BLOCK)
    assert(made:write(bytes:sub(1, file.size - block * BLOCK)))
  end
  if file.size > 0 and not file.blocks[(file.size - 1) // BLOCK] then
    made:seek("set", file.size - 1)
    made:write "\0"
  end
end

--- Makes the directory that is there then. What was in a directory that is not there is lost with it.
function Power:make(directory)
  assert(core.fs.mkdir(directory))
  local paths, is_there = {}, { [""] = true }
  for path in pairs(self.directories) do paths[#paths + 1] = path end
  table.sort(paths)
  for _, path in ipairs(paths) do
    is_there[path] = is_there[parent_of(path)] and core.fs.mkdir(directory .. "/" .. path) and true
  end
  for path, file in pairs(self.names) do
    if is_there[parent_of(path)] then make_file(directory .. "/" .. path, file) end
  end
end

return power
