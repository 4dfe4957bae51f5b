-- Exactly once, whatever happens: the drain's own code in a world where calls are lost, late and answered wrongly,
-- members crash and freeze, and partitions move. Runs are chosen at random, by seeds; and each rule, left out, is found.
local Member = require "catalog.drain.member"
local World = require "support.drain_members"
local rules = require "catalog.stream.rules"

-- How likely it is that something is chosen which is not the first way; of what has no fault, each way is as likely.
local LIKELY <const> = { event = 0.05, hold = 0.2, read = 0.2 }
local EVEN <const> = { which = true, who = true }

local function chooser(seed)
  math.randomseed(seed)
  return function(name, ...)
    local count = select("#", ...)
    if EVEN[name] then return (select(math.random(count), ...)) end
    if count == 1 or math.random() >= (LIKELY[name] or 0.25) then return (...) end
    return (select(math.random(2, count), ...))
  end
end

-- What goes wrong in a run, or nil.
local function run(seed, given)
  local world = World.new(chooser(seed), {
    partitions = given.partitions or 2, records = 2, moves = 5, faults = 5, mutate = given.mutate,
  })
  for i = 1, given.members or 2 do world:join("member " .. i) end
  return world:run()
end

-- The first of some runs that goes wrong (so): what, and its seed.
local function first_fault(count, given, pattern)
  for seed = given.from or 1, count do
    local fault = run(seed, given)
    if fault and fault:find(pattern or "") then return fault, seed end
  end
end

local TWICE_OR_NEVER <const> = "was ingested [02] times"

-- The rules of `stream.rules`, one of them changed for the time of a function.
local function with_rule(status, verdict, body)
  local kept = rules.completing
  rules.completing = function(shown)
    if shown == status then return verdict end
    return kept(shown)
  end
  local fine, raised = pcall(body)
  rules.completing = kept
  if not fine then error(raised, 0) end
end

-- Puts a function of the drain's own between one of its parts and its user.
local function replace(part, name, make)
  local kept = part[name]
  part[name] = make(function(...) return kept(...) end)
end

local LEFT_OUT <const> = {
  ["the intention is noted before COMPLETE"] = function(core)
    replace(core.kafka, "commit", function(commit)
      return function(kafka, entries)
        if entries[1].metadata then return true end
        return commit(kafka, entries)
      end
    end)
  end,
  ["offsets go on when the batch has succeeded, not before"] = function(core)
    replace(core.kafka, "commit", function(commit)
      return function(kafka, entries)
        for _, entry in ipairs(entries) do
          if entry.metadata then entry.offset, entry.metadata = entry.partition.next, nil end
        end
        return commit(kafka, entries)
      end
    end)
  end,
  ["who has a partition is looked at here"] = function(core)
    core.assignment.holds_all = function() return true end
  end,
  ["a partition that was lost and came back is another"] = function(core)
    core.assignment.holds = function(self, range) return self.partitions[range.partition.key] ~= nil end
  end,
  ["a commit of which nobody knows is none"] = function(core)
    replace(core.kafka, "commit", function(commit)
      return function(kafka, entries)
        local ok, err, unclear = commit(kafka, entries)
        return ok or unclear or nil, err, unclear
      end
    end)
  end,
  ["the group is joined again after such a commit"] = function(core)
    core.kafka.rejoin = function() core.batches:joined() end
  end,
  ["one batch is sealed when the one before has succeeded"] = function(core)
    core.batches.may_seal = function(self) return next(self.filling.ranges) ~= nil end
  end,
  ["partitions go back when a batch was not ingested"] = function(core)
    replace(core, "go_on", function(go_on)
      return function(self, partition, offset) return go_on(self, partition, math.max(offset, partition.next or 0)) end
    end)
  end,
  ["a partition that goes back is read from there"] = function(core)
    replace(core.kafka, "seek", function(seek)
      return function(kafka, partition, offset)
        local now = kafka.reading[partition.key].offset
        return seek(kafka, partition, now < math.maxinteger and math.max(now, offset) or offset)
      end
    end)
  end,
  ["what is answered to ABORT decides nothing"] = function(core)
    local gone = {}
    replace(core.batches.service, "abort", function(abort)
      return function(service, sealed)
        gone[sealed.id] = true
        return abort(service, sealed)
      end
    end)
    replace(core.batches.service, "status", function(status)
      return function(service, sealed)
        if gone[sealed.id] then return { status = "aborted" } end
        return status(service, sealed)
      end
    end)
  end,
}

-- Where it shows late: most runs never end then.
local FROM <const> = {
  ["partitions go back when a batch was not ingested"] = 3400, ["a partition that goes back is read from there"] = 3400,
}

local VERDICTS <const> = {
  { nil, "again", "that the catalog does not know a batch is no information" },
  { "loading", "again", "what takes files is aborted before others get its records" },
  { "processing", "success", "accepted is not ingested" },
  { "processing", "again", "what is under way is waited for" },
}

describe("batches of a drain", function()
  it("have each record exactly once, whatever happens to two members and two partitions", function()
    local fault, seed = first_fault(3000, {})
    assert.is_nil(fault and ("%s, seed %d"):format(fault, seed))
  end)

  it("have each record exactly once, whatever happens to three members and three partitions", function()
    local fault, seed = first_fault(1000, { members = 3, partitions = 3 })
    assert.is_nil(fault and ("%s, seed %d"):format(fault, seed))
  end)

  for rule, mutate in pairs(LEFT_OUT) do
    it("show what goes wrong without the rule: " .. rule, function()
      assert.is_string((first_fault(20000, { mutate = mutate, from = FROM[rule] }, TWICE_OR_NEVER)))
    end)
  end

  for _, row in ipairs(VERDICTS) do
    local status, verdict, rule = table.unpack(row, 1, 3)
    it("show what goes wrong without the rule: " .. rule, function()
      with_rule(status, verdict, function() assert.is_string((first_fault(20000, {}, TWICE_OR_NEVER))) end)
    end)
  end
end)

describe("a member of a drain", function()
  it("joins anew where what is deleted was asked for while a partition was parked: it is read no more until then", function()
    local rejoined = 0
    local member = setmetatable({
      kafka = { rejoin = function() rejoined = rejoined + 1 end }, assignment = { holds = function() return true end },
    }, Member)
    member:look_for_offset { key = "events/0" }
    assert.equal(1, rejoined)
    member:look_for_offset { key = "events/0", blocked = "a person decides" }
    assert.equal(1, rejoined)
  end)
end)
