--- The segments and batches of a spool: which are to become a batch, and where they go when it has ended.
-- @module catalog.sink.store
local core = require "catalog.core"
local quarantine = require "catalog.sink.quarantine"
local rules = require "catalog.stream.rules"
local sorted = require "catalog.base.sorted"

local null <const> = core.json.null

local Store = {}
Store.__index = Store

-- What is noted of a plan.
local NOTED <const> = { "state", "attempt", "id", "segments", "bytes", "records", "completing", "fields", "damaged" }

local function key(kind, number) return ("%s/%d"):format(kind, number) end

--- The name of a segment, in the spool and in its batch.
-- @tparam integer number
-- @treturn string
function Store.name_of(number) return ("%010d.jsonl"):format(number) end

-- The entries of a kind in the journal, by their numbers.
local function entries(state, kind)
  local found = {}
  for name, value in pairs(state) do
    local number = name:match("^" .. kind .. "/(%d+)$")
    if number then found[math.tointeger(tonumber(number))] = value end
  end
  return found
end

--- What the journal says, put in order.
-- @tparam table spool of `catalog.sink.spool`
-- @tparam table state of the journal
-- @tparam table roll the limits of a batch: `bytes`, `records`, `files`
-- @treturn table
function Store.new(spool, state, roll)
  local self = setmetatable({
    spool = spool, roll = roll, segments = {}, first = 1, last = 0, due = state.due or 0, plans = {}, next_number = 1,
    kept = {}, id = state.spool.id, ended = {}, names = {},
    returning = {},
  }, Store)
  for number, segment in pairs(entries(state, "segment")) do
    segment.number = number
    self.segments[number], self.last = segment, math.max(self.last, number)
  end
  self.first = sorted(self.segments)[1] or self.last + 1
  for number, plan in pairs(entries(state, "batch")) do
    plan.number, plan.sent = number, {}
    plan.open = plan.state == "planned" -- a creation may have been sent
    self.plans[number] = plan
    self.next_number = math.max(self.next_number, number + 1)
    for _, segment in ipairs(plan.segments) do
      if self.segments[segment] then self.segments[segment].planned = number end
    end
  end
  for _, kind in ipairs { "failed", "unknown" } do
    for number, kept in pairs(entries(state, kind)) do
      self.kept[key(kind, number)] = kept
      self.next_number = math.max(self.next_number, number + 1)
    end
  end
  self.next_number = math.max(self.next_number, state.next_batch or 1)
  for name, numbers in pairs(state) do
    local of = name:match "^retry/(.*)$"
    if of then self.returning[of] = numbers end
    for _, number in ipairs(of and numbers or {}) do self.segments[number].planned = of end
  end
  return self
end

--- Takes note of a segment that was sealed.
-- @tparam table segment as of `core.spool`, with the positions before it by the numbers of sources
function Store:add(segment)
  local from = {}
  for id, before in pairs(segment.from) do from[self.names[id]] = before end
  segment.from = from
  self.segments[segment.number] = segment
  self.last = math.max(self.last, segment.number)
end

--- Takes note of segments that are on their way back from where they lay beside, under a key such as `failed/17`.
-- @tparam string kept the key
-- @tparam {table,...} segments
function Store:expect_back(kept, segments)
  local numbers = {}
  for i, segment in ipairs(segments) do
    numbers[i], segment.planned = segment.number, kept
    self.segments[segment.number] = segment
    self.first, self.last = math.min(self.first, segment.number), math.max(self.last, segment.number)
  end
  self.returning[kept] = numbers
end

--- Takes note that they are back: they become part of the next batch.
-- @tparam string kept the key
function Store:take_back(kept)
  for _, number in ipairs(self.returning[kept]) do self.segments[number].planned = nil end
  self.kept[kept], self.returning[kept] = nil, nil
  self.spool:announce()
end

--- Takes note that segments are due to become batches.
-- @tparam integer number the last of them
function Store:set_due(number) self.due = number end

--- The segments, oldest first.
-- @treturn function an iterator of numbers and segments
function Store:each()
  local number = self.first - 1
  return function()
    repeat number = number + 1 until number > self.last or self.segments[number]
    if number <= self.last then return number, self.segments[number] end
  end
end

-- The segments that are due, up to what a batch takes; nil when there are none.
local function choose(self)
  local chosen, bytes, records = {}, 0, 0
  for number, segment in self:each() do
    if number > self.due then break end
    if not segment.planned then
      bytes, records = bytes + segment.bytes, records + segment.records
      local fits = bytes <= self.roll.bytes and records <= (self.roll.records or records)
        and #chosen < self.roll.files
      if #chosen > 0 and not fits then
        return chosen, bytes - segment.bytes, records - segment.records
      end
      chosen[#chosen + 1] = number
    end
  end
  if chosen[1] then return chosen, bytes, records end
end

--- Makes a plan of the segments that are due, as many as a batch takes. It is on disk when this returns.
-- @treturn[1] table
-- @treturn[2] nil nothing is due
-- @treturn[3] nil
-- @treturn[3] table error
function Store:plan()
  local chosen, bytes, records = choose(self)
  if not chosen then return nil end
  local number = self.next_number
  local plan = {
    number = number, state = "planned", attempt = 1, segments = chosen, bytes = bytes, records = records, sent = {},
  }
  local ok, err = self:note(plan, { next_batch = number + 1 })
  if not ok then return nil, err end
  self.next_number, self.plans[number] = number + 1, plan
  for _, segment in ipairs(chosen) do self.segments[segment].planned = number end
  return plan
end

--- The external id of the next batch of a plan. It has the spool's own id and a checksum of what the plan is about, so
-- that a spool that was restored from a backup does not take an old batch for this one.
-- @tparam table plan
-- @treturn string
function Store:external_id(plan)
  local parts = {}
  for i, number in ipairs(plan.segments) do parts[i] = ("%d:%s"):format(number, self.segments[number].crc) end
  return ("catalog-%s-%d-%s-%d"):format(self.id, plan.number, core.journal.checksum(table.concat(parts, " ")),
    plan.attempt)
end

--- Notes a plan; it is on disk when this returns.
-- @tparam table plan
-- @tparam ?table keys what is noted with it
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function Store:note(plan, keys)
  local noted = {}
  for _, name in ipairs(NOTED) do noted[name] = plan[name] end
  keys = keys or {}
  keys[key("batch", plan.number)] = noted
  return self.spool:note(keys)
end

-- Forgets a plan and segments of it, which lie where `kept` says by now.
local function forget(self, plan, segments, kept)
  local keys = { [key("batch", plan.number)] = null }
  for _, number in ipairs(segments) do keys[key("segment", number)] = null end
  if kept then keys[key(kept.kind, plan.number)] = kept.entry end
  local ok, err = self.spool:note(keys)
  if not ok then return nil, err end
  self.plans[plan.number] = nil
  for _, number in ipairs(segments) do self.segments[number] = nil end
  for _, number in ipairs(plan.segments) do
    if self.segments[number] then self.segments[number].planned = nil end
  end
  while self.first <= self.last and not self.segments[self.first] do self.first = self.first + 1 end
  if kept then self.kept[key(kept.kind, plan.number)] = kept.entry end
  self.ended[plan.state] = (self.ended[plan.state] or 0) + 1
  self.spool:announce()
  return true
end

local FINISH <const> = {}

function FINISH.success(self, plan)
  if rules.may_have_refused(plan.fields) then
    local ok, err = quarantine.fetch_rows(self, plan, ("rejected/%d.jsonl"):format(plan.number))
    if not ok then return nil, err end
  end
  for _, number in ipairs(plan.segments) do
    local ok, err = self.spool:job("remove", "seg/" .. Store.name_of(number))
    if not ok then return nil, err end
  end
  return forget(self, plan, plan.segments)
end

-- Moves segments to where somebody can look at them.
local function keep(self, plan, kind, segments)
  local entry, err = quarantine.move(self, plan, kind, segments)
  if not entry then return nil, err end
  return forget(self, plan, segments, { kind = kind, entry = entry })
end

function FINISH.failed(self, plan) return keep(self, plan, "failed", plan.segments) end
function FINISH.unknown(self, plan) return keep(self, plan, "unknown", plan.segments) end
function FINISH.damaged(self, plan) return keep(self, plan, "failed", plan.damaged) end

--- Puts the segments of a batch that has ended where they belong. May be called again after it has failed.
-- @tparam table plan
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function Store:finish(plan) return FINISH[plan.state](self, plan) end

--- When the oldest record that no batch is made of yet was written.
-- @treturn ?integer milliseconds since the epoch
function Store:oldest_unsealed()
  for number, segment in self:each() do
    if number > self.due then return segment.since end
  end
  local open = self.spool.core:status().open
  return open and open.records > 0 and open.since or nil
end

--- When the oldest record of which nothing is decided yet was written.
-- @treturn ?integer milliseconds since the epoch
function Store:oldest()
  local _, segment = self:each()()
  return segment and segment.since or self:oldest_unsealed()
end

return Store
