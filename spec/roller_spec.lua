-- The life of a batch under every fault, three at a time: the roller itself, against a service that loses answers, shows
-- old states and forgets, beside others who act on the same batches, and with crashes at each step. All ways that a run
-- can go are gone through: each choice is taken in turn.
local Roller = require "catalog.stream.roller"
local rules = require "catalog.stream.rules"

local FAULTS <const> = 3 -- choices of a run that are not the first

local CRASH <const> = {}

-- A run: its choices so far, and how many of them may still be faults.
local function new_run(path) return { path = path, at = 0, faults = FAULTS, widths = {} } end

-- Chooses one of several ways; the first is that without a fault.
local function choose(run, ...)
  run.at = run.at + 1
  local ways = { ... }
  local chosen = run.path[run.at] or 1
  run.widths[run.at] = run.faults > 0 and #ways or 1
  run.path[run.at] = chosen
  if chosen > 1 then run.faults = run.faults - 1 end
  return ways[chosen]
end

-- The next path after a run; nil: it was the last.
local function next_path(run)
  local path = table.move(run.path, 1, run.at, 1, {})
  for i = run.at, 1, -1 do
    if path[i] < run.widths[i] then
      path[i] = path[i] + 1
      return path
    end
    path[i] = nil
  end
end

-- --- the service ---

local AFTER <const> = { loaded = "processing", processing = "success" }

local function new_service(run) return { run = run, batches = {} } end

local function add_state(one, status)
  one.status = status
  one.history[#one.history + 1] = status
end

-- Others may act on a batch, and the service goes on.
local function let_go_on(service, one)
  if one.status == "loading" then
    local act = choose(service.run, "nothing", "aborted", "abandoned", "loaded")
    if act ~= "nothing" then
      one.by_others = act == "loaded"
      add_state(one, act)
    end
  elseif AFTER[one.status] then
    add_state(one, choose(service.run, AFTER[one.status], "failed", "stalled"))
  elseif one.status == "stalled" then
    add_state(one, "success")
  end
end

local function lost() return nil, { kind = "network", ambiguous = true, retryable = true } end
local function refused(status) return nil, { kind = "http", status = status } end

-- What a call does, unless it is lost on its way there or back.
local function call(service, act, ...)
  local fate = choose(service.run, "arrives", "lost", "answer lost", "crash", "arrives, crash")
  if fate == "crash" then error(CRASH, 0) end
  if fate == "lost" then return lost() end
  local result, err = act(service, ...)
  if fate == "answer lost" then return lost() end
  if fate == "arrives, crash" then error(CRASH, 0) end
  return result, err
end

local Acts = {}

function Acts.create(service, external_id)
  local id = #service.batches + 1
  service.batches[id] = { id = id, external_id = external_id, status = "loading", history = { "loading" }, files = {} }
  return id
end

function Acts.put(service, id, segment)
  local one = service.batches[id]
  let_go_on(service, one)
  if one.status ~= "loading" then return refused(400) end
  one.files[segment] = true
  return true
end

function Acts.complete(service, id)
  local one = service.batches[id]
  let_go_on(service, one)
  if one.status == "loading" then add_state(one, "loaded") end
  if one.status == "aborted" or one.status == "abandoned" then return refused(400) end
  return true
end

function Acts.abort(service, id)
  local one = service.batches[id]
  if one.status ~= "loading" then return refused(400) end
  add_state(one, "aborted")
  return true
end

-- What the catalog shows: now the truth, now an earlier state, now that it knows nothing.
local function shown(service, one)
  let_go_on(service, one)
  local ways = { one.status }
  for i = #one.history - 1, 1, -1 do ways[#ways + 1] = one.history[i] end
  if not one.is_old then ways[#ways + 1] = "not known" end -- the catalog's lag is over
  return choose(service.run, table.unpack(ways))
end

-- --- the roller's host ---

-- What the roller asks of the platform.
local function platform_of(service)
  local platform = {}

  -- As `once.create`: looks where a creation may have been sent, and otherwise creates.
  function platform.create(_, plan)
    local external_id = ("%d-%d"):format(plan.number, plan.attempt)
    for id, one in ipairs(plan.open and service.batches or {}) do
      local status = one.external_id == external_id and shown(service, one)
      if status and status ~= "not known" then return id, status end
    end
    local id, err = call(service, Acts.create, external_id)
    if id then return id, "loading" end
    plan.open = true
    return nil, err
  end

  function platform.put(_, plan)
    for _, segment in ipairs(plan.segments) do
      if not plan.sent[segment] then
        local damaged = service.damaged == segment
        local ok, err = call(service, Acts.put, plan.id, segment)
        if not ok then return nil, err end
        if damaged then
          plan.damaged = { segment }
          return nil, { kind = "data" }, true
        end
        plan.sent[segment] = true
      end
    end
    return true
  end

  function platform.complete(_, plan) return call(service, Acts.complete, plan.id) end
  function platform.abort(_, plan) return call(service, Acts.abort, plan.id) end

  function platform.status(_, plan)
    local status = shown(service, service.batches[plan.id])
    if status == "not known" then return refused(404) end
    return { status = status }
  end

  return platform
end

local function copy(plan)
  local noted = { sent = {}, open = plan.state == "planned" }
  for _, name in ipairs { "number", "state", "attempt", "id", "segments", "damaged", "completing" } do
    noted[name] = plan[name]
  end
  return noted
end

-- The disk: what was noted of the plan, and where its segments ended. `run.unnoted`: a state that is not noted.
local function store_of(run, disk)
  local store = {}

  function store.note(_, plan)
    local when = choose(run, "noted", "crash before", "crash after", "fails")
    if when == "crash before" then error(CRASH, 0) end
    if when == "fails" then return nil, { kind = "config" } end
    if plan.state ~= run.unnoted then disk.plan = copy(plan) end
    if when == "crash after" then error(CRASH, 0) end
    return true
  end

  function store.finish(_, plan)
    local when = choose(run, "moved", "crash", "fails")
    if when == "crash" then error(CRASH, 0) end
    if when == "fails" then return nil, { kind = "config" } end
    for _, segment in ipairs(plan.segments) do
      local is_kept = plan.state ~= "damaged" or plan.damaged[1] == segment
      if is_kept then disk.ended[segment] = plan.state end
    end
    disk.plan = nil
    return true
  end

  return store
end

-- One life of the process: to the end of the plan, or to a crash.
local function live(run, service, disk, steps)
  local roller = Roller.new(store_of(run, disk), platform_of(service), {
    pause = function()
      steps.count = steps.count + 1
      if steps.count > 500 then error "it never ends" end
      return true
    end,
    failed = function() end,
  })
  local plan = copy(disk.plan)
  local fine, raised = pcall(function()
    repeat roller:carry(plan) until roller:follow(plan)
  end)
  if not fine and raised ~= CRASH then error(raised, 0) end
end

-- How often a segment was ingested, or may still be.
local function times_ingested(service, segment)
  local count = 0
  for _, one in ipairs(service.batches) do
    local may_be = one.status == "success" or one.status == "stalled" or AFTER[one.status]
    if may_be and one.files[segment] then count = count + 1 end
  end
  return count
end

-- Whether somebody else has completed a batch, be it who this spool was copied from.
local function others_have_completed(service)
  for _, one in ipairs(service.batches) do
    if one.by_others then return true end
  end
  return false
end

-- What is wrong with the end of a run, or nil.
local function wrong(service, disk)
  for _, segment in ipairs { 1, 2 } do
    local ingested = times_ingested(service, segment)
    local ended = disk.ended[segment]
    if ingested > 1 then return ("segment %d was ingested %d times"):format(segment, ingested) end
    if ended == "success" and ingested ~= 1 then return ("segment %d is nowhere"):format(segment) end
    if (ended == "failed" or ended == "damaged") and ingested ~= 0 then
      return ("segment %d is %s, and was ingested"):format(segment, ended)
    end
    if service.damaged == segment and ingested > 0 and ended ~= "unknown" then
      return ("segment %d is damaged, and was ingested"):format(segment)
    end
    if ended == "unknown" and not others_have_completed(service) then
      return ("segment %d is left to a human, and nobody else has acted"):format(segment)
    end
  end
end

-- What the batch of a spool has become that was restored from a backup made when it was only planned.
local function ingested_before()
  return {
    id = 1, external_id = "1-1", status = "processing", history = { "processing" }, files = { true, true }, is_old = true,
    by_others = true,
  }
end

-- Goes through all runs. Gives how many there were, or nil, what is wrong with one of them, and its choices. `damaged`:
-- a segment that is; `restored`: whether the spool is a backup; `unnoted`: a state of the plan that is not noted.
local function explore(damaged, restored, unnoted)
  local path, count = {}, 0
  while path do
    local run, steps = new_run(path), { count = 0 }
    local service, disk = new_service(run), { ended = {} }
    service.damaged, run.unnoted = damaged, unnoted
    service.batches[1] = restored and ingested_before() or nil
    disk.plan = { number = 1, state = "planned", attempt = 1, segments = { 1, 2 }, sent = {} }
    while disk.plan do live(run, service, disk, steps) end
    local fault = wrong(service, disk)
    if fault then return nil, fault, table.concat(run.path, " ", 1, run.at) end
    count = count + 1
    path = next_path(run)
  end
  return count
end

-- The rules, one of them changed for the time of a function.
local function with_rule(name, status, verdict, body)
  local kept = rules[name]
  rules[name] = function(shown_status)
    if shown_status == status then return verdict end
    return kept(shown_status)
  end
  local fine, raised = pcall(body)
  rules[name] = kept
  if not fine then error(raised, 0) end
end

describe("the roller", function()
  it("ends each segment in exactly one place, whatever happens", function()
    local count, fault, path = explore()
    assert.is_nil(fault and fault .. ": " .. path)
    assert.is_true(count > 10000, "only " .. tostring(count))
  end)

  it("lets nothing be ingested that is damaged on the disk", function()
    local _, fault, path = explore(2)
    assert.is_nil(fault and fault .. ": " .. path)
  end)

  it("takes no batch for its own that has gone on without it", function()
    local _, fault, path = explore(nil, true)
    assert.is_nil(fault and fault .. ": " .. path)
  end)

  for _, left_out in ipairs {
    { "completing", nil, "again", "that the catalog does not know a batch is no information" },
    { "completing", "loading", "again", "what takes files is aborted before another has them" },
    { "completing", "stalled", "again", "what has stalled may still be ingested" },
    { "completing", "processing", "success", "only a final state is the end" },
    { "created", "success", "again", "what somebody else has completed is not sent again" },
    { "created", "processing", "again", "what somebody else has completed is not sent again" },
    { "created", nil, "again", "that the catalog does not know a batch is no information" },
    { "planned", "processing", "again", "a batch in another state is not replaced" },
  } do
    local name, status, verdict, why = table.unpack(left_out, 1, 4)
    it(("finds what goes wrong without the rule for %s and %s: %s"):format(name, status or "a batch not known", why),
      function()
        with_rule(name, status, verdict, function()
          local count, fault = explore()
          if count then count, fault = explore(nil, true) end
          assert.is_nil(count)
          assert.is_string(fault)
        end)
      end)
  end

  for state, why in pairs {
    created = "the id of a batch is on disk before the first file is sent",
    completing = "COMPLETE is noted on disk before it is sent",
  } do
    it("finds what goes wrong without the rule that " .. why, function()
      local count, fault = explore(nil, nil, state)
      assert.is_nil(count)
      assert.is_string(fault)
    end)
  end
end)
