--- The batches of a drain: one is filled, one at the most is sealed, and some were left by members of the group that
-- had their partitions before. The batch is the transaction: its intention is noted in Kafka, then it is completed, and
-- what became of it decides where its partitions go on.
-- @module catalog.drain.batches
local Filling = require "catalog.drain.filling"
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local intention = require "catalog.drain.intention"
local settling = require "catalog.drain.settling"

-- How long to wait before a commit that was refused is tried again, in seconds.
local AGAIN <const> = 0.5

local Batches = {}
Batches.__index = Batches

--- @tparam table kafka the consumer: `commit(entries)`, `rejoin()`
-- @tparam table assignment of `catalog.drain.assignment`
-- @tparam table service of `catalog.drain.service`
-- @tparam table given `file_bytes`, `parallel`
-- @tparam table host `pause(seconds)`, `failed(err)`, `begin(body, ...)`: runs a function beside; `go_on(partition,
--   offset)`; `blocked(partition, why)`; `give_up(err)`: this member cannot go on; `refused(range, id, fields)`: a
--   batch failed for its data; `ingested(sealed, fields)`: a batch has succeeded, and its offsets go on next; false:
--   they do not; `ended(sealed, verdict, fields)`; `kept()`: waits until what was rejected is kept somewhere, and gives
--   true, or nil and an error; `sent()`: a file was sent, and there is room for one more
-- @treturn table `filling`, `sealed` (this process's), `inherited` (by their ids)
function Batches.new(kafka, assignment, service, given, host)
  local self = setmetatable({
    kafka = kafka, assignment = assignment, service = service, host = host, inherited = {}, sealed = false,
    given = { file_bytes = given.file_bytes, parallel = given.parallel, buffers = {}, sent = host.sent },
    committing = false, must_rejoin = false,
  }, Batches)
  self.filling = Filling.new(service, self.given)
  return self
end

-- --- commits ---

-- Refusals that stay as they are until a person has changed something, and what.
local FOR_A_PERSON <const> = {
  OFFSET_METADATA_TOO_LARGE = "the brokers' offset.metadata.max.bytes has to be 4096, or 200 at the least",
  GROUP_AUTHORIZATION_FAILED = "the drain has to be allowed to read the group",
  TOPIC_AUTHORIZATION_FAILED = "the drain has to be allowed to read the topics",
}

-- rule 8: commits offsets. One commit is in flight. After an unclear answer the group is joined again before the next:
-- the new generation fences a late copy. The third value: it was refused, and has not happened.
local function commit(self, entries)
  while self.committing do
    if not self.host.pause(0.01) then return nil end
  end
  if self.must_rejoin then return nil end -- what is held is given up by that
  self.committing = true
  local ok, err, is_unclear = self.kafka:commit(entries)
  self.committing = false
  if ok then return true end
  self.host.failed(err)
  if is_unclear then
    self.must_rejoin = true
    self.kafka:rejoin()
  end
  local remedy = FOR_A_PERSON[err.code]
  if remedy then
    err.message = ("%s; %s"):format(err.message, remedy)
    self.host.give_up(err)
  end
  return nil, err, not is_unclear and not remedy
end

-- The ranges whose partitions are still held.
local function held_of(self, ranges)
  local held = {}
  for _, range in pairs(ranges) do
    if self.assignment:holds(range) then held[#held + 1] = range end
  end
  return held
end

-- Commits something of each range, again and again while the group is about to share out anew and refuses that. `all`:
-- as long as all partitions are held; otherwise of those that still are. Nil: it was not committed, or nobody knows.
local function commit_for(self, ranges, all, entry_of)
  while true do
    local held, entries = held_of(self, ranges), {}
    for i, range in ipairs(held) do entries[i] = entry_of(range) end
    -- rule 6: before it is sent
    if all and not self.assignment:holds_all(ranges) then return failure("cancelled", "a partition of it was lost") end
    if #entries == 0 then return true end
    local ok, err, is_refused = commit(self, entries)
    if ok then return true end
    if not is_refused or not self.host.pause(AGAIN) then return nil, err end
  end
end

-- Where a partition goes on behind a range.
local function behind(range) return { partition = range.partition, offset = range.next } end

--- Takes note that the group was joined again: nothing that is in flight counts any more.
function Batches:joined() self.must_rejoin = false end

-- --- going back ---

--- Drops the batch that is filled. Its partitions that are still held go back to where it began.
-- @tparam string why
function Batches:drop(why)
  local dropped = self.filling
  dropped:kill(why)
  self.filling = Filling.new(self.service, self.given)
  if dropped.id then self.host.begin(self.service.abort, self.service, dropped) end
  for _, range in pairs(dropped.ranges) do
    if self.assignment:holds(range) and not range.partition.blocked then
      self.host.go_on(range.partition, range.first)
    end
  end
end

-- Whether a range has what the batch that is filled began behind.
local function is_behind(self, ranges)
  for key, range in pairs(ranges) do
    local filled = self.filling.ranges[key]
    if filled and filled.epoch == range.epoch then return true end
  end
  return false
end

-- --- what became of a batch ---

local function release(partition, sealed)
  if partition.pending == sealed then partition.pending = nil end
end

--- Notes that a partition goes on behind an offset: what came before is kept elsewhere.
-- @tparam table partition
-- @tparam integer next
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] ?table error
function Batches:pass_over(partition, next)
  return commit_for(self, { { partition = partition, epoch = partition.epoch, next = next } }, true, behind)
end

-- rule 10: it was ingested, and its partitions go on behind it. Where that cannot be noted the next one finds out by
-- the intention.
local function pass(self, sealed)
  while next(sealed.ranges) do
    local ranges = sealed.ranges
    sealed.ranges = {} -- others may be inherited meanwhile
    if not commit_for(self, ranges, false, behind) then return end
    for _, range in pairs(ranges) do release(range.partition, sealed) end
  end
end

-- rule 10: it was not ingested; what was filled behind it is no good, and its partitions go back, or what is in it is
-- refused.
local function go_back(self, sealed, verdict, fields)
  if is_behind(self, sealed.ranges) then self:drop("the batch before it was not ingested") end
  for _, range in ipairs(held_of(self, sealed.ranges)) do
    if verdict == "failed" then
      self.host.refused(range, sealed.id, fields)
    else
      self.host.go_on(range.partition, range.first)
    end
  end
end

-- Waits for the end of a batch, and lets its partitions go on.
local function settle(self, sealed)
  local verdict, fields = settling.wait(sealed, self.service, {
    pause = self.host.pause, failed = self.host.failed,
    undecided = function()
      local why = ("nothing has decided for an hour what became of the batch %s"):format(sealed.id)
      for _, range in ipairs(held_of(self, sealed.ranges)) do self.host.blocked(range.partition, why) end
    end,
  })
  if not verdict then return end
  if verdict ~= "success" then
    go_back(self, sealed, verdict, fields)
  elseif #held_of(self, sealed.ranges) == 0 or self.host.ingested(sealed, fields) then
    pass(self, sealed)
  else
    return
  end
  for _, range in pairs(sealed.ranges) do release(range.partition, sealed) end
  if self.sealed == sealed then self.sealed = false end
  if self.inherited[sealed.id] == sealed then self.inherited[sealed.id] = nil end
  self.host.ended(sealed, verdict, fields)
end

--- rule 12: takes over a partition whose records up to an offset are in a batch that somebody else has completed, or
-- wanted to. It is filled from there on meanwhile, but that is not sealed.
-- @tparam table partition
-- @tparam table intended the intention: `batch`, `next`
-- @tparam integer first where the batch began
function Batches:inherit(partition, intended, first)
  local range = { partition = partition, epoch = partition.epoch, first = first, next = intended.next }
  local own = self.sealed and self.sealed.id == intended.batch and self.sealed.own and self.sealed
  local known = own or self.inherited[intended.batch]
  if known then
    known.ranges[partition.key] = range
  else
    known = {
      id = intended.batch, own = false, ranges = { [partition.key] = range }, since = core.system.monotonic(),
    }
    self.inherited[intended.batch] = known
    self.host.begin(settle, self, known)
  end
  partition.pending = known
  self.host.go_on(partition, intended.next)
end

-- --- sealing ---

--- rule 4: whether the batch that is filled may be sealed: those before it are known to have succeeded.
-- @treturn boolean
function Batches:may_seal()
  if self.sealed or self.must_rejoin or not next(self.filling.ranges) then return false end
  for _, range in pairs(self.filling.ranges) do
    if range.partition.pending then return false end
  end
  return true
end

-- rule 5: takes a batch to where its COMPLETE may be sent: every file is there, then its intention is noted, in one
-- commit. Nil: it is dead.
local function prepare(self, filling)
  local ok, err = filling:finish()
  if ok then ok, err = self.host.kept() end
  if not ok then return nil, err end
  if filling.records == 0 then return commit_for(self, filling.ranges, true, behind) end -- all was dropped or rejected
  ok, err = commit_for(self, filling.ranges, true, function(range)
    return {
      partition = range.partition, offset = range.first, metadata = intention.encode(filling.id, range.next),
    }
  end)
  if not ok then return nil, err end
  -- rule 6: nor was any lost meanwhile
  if not self.assignment:holds_all(filling.ranges) then return failure("cancelled", "a partition of it was lost") end
  filling.own = true -- the answer was clear, and nobody else had a partition of it meanwhile
  return true
end

-- rule 7: a batch that cannot be completed; nobody completes it, and its partitions go back.
local function give_up(self, filling, err)
  filling:kill(err and tostring(err) or "it could not be sealed")
  if filling.id then self.host.begin(self.service.abort, self.service, filling) end
  go_back(self, filling, "again")
end

--- Seals the batch that is filled, and begins another. It returns when COMPLETE may be sent, or it is clear that it
-- will not be; what becomes of it is waited for beside.
-- @treturn boolean whether it is on its way
function Batches:seal()
  if not self:may_seal() then return false end
  local filling = self.filling
  self.sealed, self.filling = filling, Filling.new(self.service, self.given)
  for _, range in pairs(filling.ranges) do range.partition.pending = filling end
  local ok, err = prepare(self, filling)
  if ok and filling.records > 0 then
    self.service:complete(filling)
    self.host.begin(settle, self, filling)
    return true
  end
  self.sealed = false
  for _, range in pairs(filling.ranges) do release(range.partition, filling) end
  if not ok then give_up(self, filling, err) end
  return ok or false
end

return Batches
