-- A world for the batches of a drain: a Kafka group, the service and its catalog, and members of the group that run the
-- drain's own code. Everything that is asked of Kafka or the service arrives, is lost on its way there or back, or comes
-- late; members crash, freeze and come back; partitions move. What happens next is chosen by `choose`.
local World = {}
World.__index = World

local AFTER <const> = { loaded = "processing", processing = "success" }

--- @tparam function choose `choose(name, ways...)` gives one of the ways; the first is that without a fault
-- @tparam table given `partitions`, `records` (of each); how many `moves` (of partitions, crashes) and `faults` (of
--   calls) there are at the most; `mutate(core, member)`: changes the drain's code of a member, to see what that comes to
function World.new(choose, given)
  local self = setmetatable({
    choose = choose, batches = {}, offsets = {}, owners = {}, members = {}, late = {}, records = given.records,
    keys = {}, moves = given.moves, mutate = given.mutate, faults = given.faults, steps = 0,
  }, World)
  for number = 0, given.partitions - 1 do
    local key = "events/" .. number
    self.keys[#self.keys + 1] = key
    self.offsets[key] = { offset = 0 }
  end
  return self
end

-- Whether something goes wrong here; there are only so many faults.
local function fault(self, name, ...)
  if self.faults <= 0 then return (...) end
  local way = self.choose(name, ...)
  if way ~= (...) then self.faults = self.faults - 1 end
  return way
end

-- --- Kafka ---

local function apply_commit(self, member, generation, entries)
  if generation ~= member.generation or not member.in_group then return nil, { kind = "protocol", message = "fenced" } end
  for _, entry in ipairs(entries) do
    self.offsets[entry.partition.key] = { offset = entry.offset, metadata = entry.metadata }
  end
  return true
end

local UNCLEAR <const> = { kind = "network", message = "no answer to the commit" }

--- A commit of a member, whichever way it goes.
function World:commit(member, entries)
  local generation = member.generation
  member.stop "commit"
  local way = fault(self, "commit", "arrives", "answer lost", "lost", "late")
  if way == "late" then
    self.late[#self.late + 1] = { member = member, generation = generation, entries = entries }
  end
  if way == "lost" or way == "late" then return nil, UNCLEAR, true end
  local ok, err = apply_commit(self, member, generation, entries)
  member.stop "commit's answer"
  if way == "answer lost" then return nil, UNCLEAR, true end
  return ok, err
end

--- A copy of a commit comes after all.
function World:apply_commit(copy) apply_commit(self, copy.member, copy.generation, copy.entries) end

-- --- the service ---

local function add_state(one, status)
  one.status = status
  one.history[#one.history + 1] = status
end

local function let_go_on(self, one)
  if AFTER[one.status] then add_state(one, fault(self, "service", AFTER[one.status], "failed")) end
  if one.status == "loading" and fault(self, "others", "nothing", "abandoned") ~= "nothing" then add_state(one, "abandoned") end
end

local function lost() return nil, { kind = "network", message = "no answer", ambiguous = true, retryable = true } end
local function refused(status) return nil, { kind = "http", message = "refused", status = status } end

-- A call, which may be lost, or come late.
local function call(self, member, name, act)
  member.stop(name)
  local way = fault(self, name, "arrives", "lost", "answer lost", "late")
  if way == "lost" then return lost() end
  if way == "late" then
    self.late[#self.late + 1] = { act = act }
    return lost()
  end
  local result, err = act()
  member.stop(name .. "'s answer")
  if way == "answer lost" then return lost() end
  return result, err
end

local Service = {}
Service.__index = Service

function Service:create(filling)
  local world = self.world
  local id, err = call(world, self.member, "create", function()
    local one = { id = "b" .. #world.batches + 1, status = "loading", history = { "loading" }, lines = {} }
    world.batches[#world.batches + 1], world.batches[one.id] = one, one
    return one.id
  end)
  if not id then return nil, err end
  filling.id = id
  return true
end

function Service:put(filling, lines)
  local one = self.world.batches[filling.id]
  return call(self.world, self.member, "put", function()
    let_go_on(self.world, one)
    if one.status ~= "loading" then return refused(400) end
    for line in pairs(lines) do one.lines[line] = true end
    return true
  end)
end

function Service:complete(sealed)
  local one = self.world.batches[sealed.id]
  return call(self.world, self.member, "complete", function()
    let_go_on(self.world, one)
    if one.status == "loading" then add_state(one, "loaded") end
    if one.status == "aborted" or one.status == "abandoned" then return refused(400) end
    return true
  end)
end

function Service:abort(sealed)
  local one = self.world.batches[sealed.id]
  return call(self.world, self.member, "abort", function()
    if one.status ~= "loading" then return refused(400) end
    add_state(one, "aborted")
    return true
  end)
end

function Service:status(sealed)
  local one = self.world.batches[sealed.id]
  self.member.stop "status"
  let_go_on(self.world, one)
  local ways = { one.status }
  for i = #one.history - 1, 1, -1 do ways[#ways + 1] = one.history[i] end
  ways[#ways + 1] = "not known"
  local status = fault(self.world, "status", table.unpack(ways))
  if status == "not known" then return refused(404) end
  return { status = status }
end

function World:service_for(member) return setmetatable({ world = self, member = member }, Service) end

return World
