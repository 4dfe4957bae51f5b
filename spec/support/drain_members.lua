-- Members of a group in a world: each runs the drain's own code in coroutines, which go on one step at a time.
local Intake = require "catalog.drain.intake"
local core = require "catalog.core"
local World <const> = require "support.drain_world"

-- A file has so many bytes at the most: a line or two.
local FILE <const> = 20

-- A buffer: lines in a table.
local Buffer = {}
Buffer.__index = Buffer

function Buffer:length() return self.bytes end

function Buffer:append(line)
  self.lines[line], self.bytes = true, self.bytes + #line
end

-- The files of a batch, without transfers: all lines go to the service when they are waited for.
local Uploads = {}
Uploads.__index = Uploads

function Uploads.new(service, _, filling)
  return setmetatable({ service = service, filling = filling, lines = {}, count = 0 }, Uploads)
end

function Uploads.buffer() return setmetatable({ lines = {}, bytes = 0 }, Buffer) end
function Uploads.put_back() end
function Uploads.cancel() end
function Uploads.is_full() return false end

function Uploads:send(buffer)
  self.count = self.count + 1
  for line in pairs(buffer.lines) do self.lines[line] = true end
end

local function persist(filling, step)
  for _ = 1, 20 do
    if filling.dead then return nil, { kind = "cancelled", message = filling.dead } end
    local ok, err = step()
    if ok then return true end
    if err.status then return nil, err end
  end
  return nil, { kind = "network", message = "never" }
end

function Uploads:wait()
  local filling = self.filling
  local ok, err = persist(filling, function()
    if filling.id then return true end
    return self.service:create(filling)
  end)
  if ok then ok, err = persist(filling, function() return self.service:put(filling, self.lines) end) end
  return ok, err
end

-- The drain's code, with such files.
local function load_code()
  local NAMES <const> = { "uploads", "filling", "batches", "member" }
  local kept = {}
  for _, name in ipairs(NAMES) do
    kept[name], package.loaded["catalog.drain." .. name] = package.loaded["catalog.drain." .. name], nil
  end
  package.loaded["catalog.drain.uploads"] = Uploads
  local Member = require "catalog.drain.member"
  for _, name in ipairs(NAMES) do package.loaded["catalog.drain." .. name] = kept[name] end
  return Member
end
local Member <const> = load_code()

local function list_of(keys)
  local list = {}
  for i, key in ipairs(keys) do
    list[i] = { topic = "events", number = math.tointeger(tonumber(key:match "%d+$")), key = key }
  end
  return list
end

-- --- the consumer of a member ---

local Consumer = {}
Consumer.__index = Consumer

function Consumer:commit(entries) return self.world:commit(self.member, entries) end
function Consumer:rejoin() self.world:rejoin(self.member) end
function Consumer:unassign(list)
  for _, one in ipairs(list) do self.reading[one.key] = nil end
  self.world:answered(self.member, list)
end

-- Where it reads, and whether it does: nothing is read of what was assigned until it is sought and resumed.
function Consumer:assign(list)
  for _, one in ipairs(list) do self.reading[one.key] = { offset = math.maxinteger, is_paused = true } end
end

function Consumer:seek(partition, offset)
  local at = self.reading[partition.key]
  if at then at.offset = offset end
  return true
end

local function set_paused(self, list, is_paused)
  for _, one in ipairs(list) do
    local at = self.reading[one.key]
    if at then at.is_paused = is_paused end
  end
end

function Consumer:pause(list) set_paused(self, list, true) end
function Consumer:resume(list) set_paused(self, list, false) end

-- The next message of those that are read.
local function next_message(self)
  for _, key in ipairs(self.world.keys) do
    local at = self.reading[key]
    if at and not at.is_paused and at.offset < self.world.records then
      at.offset = at.offset + 1
      return key, at.offset - 1
    end
  end
end

-- As kafka:fill of the C module, for one message.
function Consumer:fill(buffer, _, partitions, reached)
  local key, offset = next_message(self)
  if not key then return 0, 0, 0, nil end
  local partition = partitions[key]
  if not partition or not partition.next or offset < partition.next then return 0, 0, 0, "more" end
  local line = key .. ":" .. offset
  buffer:append(line)
  reached[partition] = offset + 1
  return 1, #line, 0, "more"
end

function Consumer:committed(list)
  self.member.stop "offsets"
  local noted = {}
  for _, one in ipairs(list) do noted[one.key] = self.world.offsets[one.key] end
  return noted
end

-- --- one member ---

local function spawn(member, body, ...)
  local given = table.pack(...)
  member.threads[#member.threads + 1] = coroutine.create(function() body(table.unpack(given, 1, given.n)) end)
end

-- What it reads of its partitions: each record that is there.
local function read_all(member, batches)
  while true do
    local before = batches.filling.records
    if not member.intake:take(batches.filling, 1) then return end
    local is_taken = batches.filling.records > before
    if is_taken and member.world.choose("read", "more", "seal") == "seal" then return end
  end
end

local function live(member, drain)
  local batches = drain.batches
  while true do
    local event = table.remove(member.events, 1)
    if event then
      drain[event.name](drain, event.list)
    else
      read_all(member, batches)
      if batches.filling.dead then batches:drop "it was dead" end
      if batches:may_seal() then spawn(member, batches.seal, batches) end
    end
    member.stop "turn"
  end
end

--- A member joins the group.
function World:join(name)
  local member = { name = name, world = self, events = {}, threads = {}, in_group = true, generation = 0, at = 0 }
  member.stop = coroutine.yield
  local consumer = setmetatable({ world = self, member = member, reading = {} }, Consumer)
  local given = { file_bytes = FILE, record_bytes = FILE }
  member.core = Member.new(consumer, self:service_for(member), given, {
    pause = function() coroutine.yield "pause" return true end, failed = function() end,
    begin = function(body, ...) spawn(member, body, ...) end, ended = function() end,
    kept = function() return true end, told_blocked = function(partition, why) error(partition.key .. ": " .. why) end,
    ingested = function() return true end,
    refused = function(range) member.core:go_on(range.partition, range.first) end, -- once more, in another batch
  })
  member.intake = Intake.new(consumer, member.core.assignment, given, { records = 0, bytes = 0, dropped = 0 })
  if self.mutate then self.mutate(member.core, member) end
  spawn(member, live, member, member.core)
  self.members[#self.members + 1] = member
  return member
end

-- --- the group ---

local AFTER <const> = { loaded = true, processing = true }

-- 1, 2, ... as arguments.
local function numbers(last)
  return table.unpack({ 1, 2, 3, 4, 5, 6, 7, 8 }, 1, last)
end

local function event(member, name, list)
  if member.in_group then member.events[#member.events + 1] = { name = name, list = list } end
end

local function in_group(world)
  local list = {}
  for _, member in ipairs(world.members) do
    if member.in_group then list[#list + 1] = member end
  end
  return list
end

-- A new generation: who is in the group has it.
local function regenerate(world)
  world.generation = (world.generation or 0) + 1
  for _, member in ipairs(in_group(world)) do member.generation = world.generation end
end

local function give(world, key, member)
  world.owners[key] = member
  event(member, "assigned", list_of { key })
end

-- Gives what is nobody's to somebody.
local function share_out(world)
  local members = in_group(world)
  if #members == 0 then return end
  for i, key in ipairs(world.keys) do
    if not world.owners[key] then give(world, key, members[(i + world.generation) % #members + 1]) end
  end
end

--- Begins: the partitions are shared out.
function World:start()
  regenerate(self)
  share_out(self)
end

-- A member gives a partition back for another, when it is ready to.
local function move(world)
  local key = world.keys[world.choose("which", numbers(#world.keys))]
  local owner = world.owners[key]
  if not owner or not owner.in_group or owner.giving then return end
  owner.giving = list_of { key }
  regenerate(world)
  event(owner, "revoked", owner.giving)
end

--- A member has given partitions back.
function World:answered(member, list)
  if list ~= member.giving and list ~= member.returning then return end -- of before it was lost
  member.giving = false
  if member.returning then
    member.returning, member.in_group = false, true
    regenerate(self)
    return share_out(self)
  end
  for _, one in ipairs(list) do
    if self.owners[one.key] == member then
      self.owners[one.key] = nil
      local members = in_group(self)
      regenerate(self)
      for i, other in ipairs(members) do
        if other == member then give(self, one.key, members[i % #members + 1]) end
      end
    end
  end
end

local function take_all(world, member)
  local keys = {}
  for _, key in ipairs(world.keys) do
    if world.owners[key] == member then
      world.owners[key] = nil
      keys[#keys + 1] = key
    end
  end
  return keys
end

-- A member was not heard of for too long: others get what it had, and it finds out later.
local function expire(world, member)
  if not member.in_group then return end
  member.in_group, member.giving, member.events = false, false, {}
  local keys = take_all(world, member)
  regenerate(world)
  share_out(world)
  member.lost = keys
end

-- It finds out, and comes back once it has given up what it had.
local function come_back(member)
  member.returning = list_of(member.lost)
  member.events, member.lost = { { name = "lost", list = member.returning } }, nil
end

--- A member leaves and joins again, by itself.
function World:rejoin(member)
  if not member.in_group then return end
  expire(self, member)
  come_back(member)
end

local function crash(world, member)
  expire(world, member)
  member.lost, member.threads, member.dead = nil, {}, true
  local again = world:join(member.name)
  again.generation = 0
  regenerate(world)
  share_out(world)
end

-- --- one step ---

-- What may happen by itself: nothing, mostly.
local function happen(world)
  if world.moves <= 0 then return end
  local what = world.choose("event", "nothing", "move", "expire", "crash", "late")
  if what == "nothing" then return end
  world.moves = world.moves - 1
  if what == "late" then
    local copy = table.remove(world.late, 1)
    if copy and copy.act then copy.act() elseif copy then world:apply_commit(copy) end
    return
  end
  if what == "move" then return move(world) end
  local member = world.members[world.choose("who", numbers(#world.members))]
  if member.dead then return end
  if what == "expire" then return expire(world, member) end
  crash(world, member)
end

-- Lets one coroutine of a member go on.
local function turn(member)
  member.at = member.at % #member.threads + 1
  local thread = member.threads[member.at]
  local fine, raised = coroutine.resume(thread)
  if not fine then error(debug.traceback(thread, raised), 0) end
  if coroutine.status(thread) == "dead" then table.remove(member.threads, member.at) end
end

-- Whether nothing is left to be done: all offsets are at the end, and without an intention.
local function is_over(world)
  for _, key in ipairs(world.keys) do
    local noted = world.offsets[key]
    if noted.offset < world.records or noted.metadata then return false end
  end
  return true
end

-- How often a line was ingested, or may still be.
local function times_ingested(world, line)
  local count = 0
  for _, one in ipairs(world.batches) do
    local is_in = one.status == "success" or AFTER[one.status]
    if is_in and one.lines[line] then count = count + 1 end
  end
  return count
end

-- Runs to the end. What is wrong, or nil.
local function run(self)
  self:start()
  while not is_over(self) do
    self.steps = self.steps + 1
    if self.steps > 4000 then return "it never ends" end
    happen(self)
    local alive = {}
    for _, member in ipairs(self.members) do
      if not member.dead then alive[#alive + 1] = member end
    end
    local member = alive[self.steps % #alive + 1]
    if self.choose("hold", "go on", "wait") == "go on" then turn(member) end
    if member.lost and self.steps % 37 == 0 then come_back(member) end
  end
  for _, copy in ipairs(self.late) do
    if copy.act then copy.act() else self:apply_commit(copy) end
  end
  for _, key in ipairs(self.keys) do
    for offset = 0, self.records - 1 do
      local line = key .. ":" .. offset
      local count = times_ingested(self, line)
      if count ~= 1 then return ("%s was ingested %d times"):format(line, count) end
    end
  end
end

--- Runs the world to its end, by a clock of its own. What is wrong, or nil.
function World:run()
  local kept = core.system.monotonic
  core.system.monotonic = function() return self.steps * 0.3 end
  local fine, fault = pcall(run, self)
  core.system.monotonic = kept
  if not fine then error(fault, 0) end
  return fault
end

return World
