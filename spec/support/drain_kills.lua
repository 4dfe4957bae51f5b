-- Members of a group that are killed (-9), frozen and started at random while they drain a topic: in the end each message
-- is in one batch that succeeded, once.
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local service = require "support.service"
local shell = require "support.shell"

local drain_kills = {}

-- Faults of the service: refusals, answers that are lost, and connections that break before.
local FAULTS <const> = {
  { rate = 0.05, action = { status = 503 } }, { rate = 0.05, action = { drop = "after" } },
  { rate = 0.03, action = { drop = "before" } },
}

local Run = {}
Run.__index = Run

-- Starts a member, as a process of its own. What it says is kept.
local function start(self)
  local number = #self.members + 1
  local out = ("%s/member-%d"):format(self.directory, number)
  local command <const> = "exec setsid sh -c 'echo $$ >%s.pid; exec %s lua/catalog/cli/main.lua drain --dataset %s --brokers %s"
    .. " --topic %s --group %s --from beginning --roll-seconds 1 --kafka-set session.timeout.ms=2000"
    .. " --kafka-set heartbeat.interval.ms=300 --file-bytes 20000' >%s.out 2>&1 </dev/null &"
  local environment = ("AEP_BASE_URL=%s AEP_IMS_URL=%s AEP_ORG=ORG@AdobeOrg AEP_API_KEY=key AEP_ACCESS_TOKEN=token"):format(
    self.server.url, self.server.url)
  assert(os.execute(environment .. " " .. command:format(out, shell.INTERPRETER, service.DATASET, self.broker.brokers,
    self.topic, self.group, out)))
  self.members[number] = out
  self.alive[#self.alive + 1] = out
end

local function signal(out, name) shell.run(("kill -%s $(cat %s.pid)"):format(name, out)) end

local function stop_all(self)
  for _, out in ipairs(self.alive) do
    signal(out, "CONT")
    signal(out, "KILL")
  end
  self.alive = {}
end

-- Something happens to a member; another comes in its place.
local function happen(self)
  local dice = math.random()
  local at = math.random(#self.alive)
  local out = self.alive[at]
  if dice < 0.5 then
    table.remove(self.alive, at)
    signal(out, "KILL")
    self.kills = self.kills + 1
  elseif dice < 0.7 then -- for longer than the session lasts
    signal(out, "STOP")
    os.execute "sleep 2.5"
    signal(out, "CONT")
    self.freezes = self.freezes + 1
  elseif dice < 0.85 then
    table.remove(self.alive, at)
    signal(out, "TERM")
    self.leaves = self.leaves + 1
  end
end

-- How often each line is in batches that ended in success.
local function ingested(self)
  local counts, start_at = {}, 0
  local client = service.client(self.server.url, { retry = { tries = 20, base = 0.001 } })
  while true do
    local answer = assert(client:send {
      method = "GET", path = "/data/foundation/catalog/batches?limit=100&start=" .. start_at, repeatable = true,
      read = core.json.decode,
    })
    local found = 0
    for id, fields in pairs(answer) do
      found = found + 1
      if fields.status == "success" then
        for line in shell.run(("cat %s/data/files/%s/* 2>/dev/null"):format(self.directory, id)):gmatch "[^\n]+" do
          counts[line] = (counts[line] or 0) + 1
        end
      end
    end
    if found < 100 then return counts end
    start_at = start_at + found
  end
end

-- What is missing or twice, or nil.
local function fault_of(counts, last)
  local missing, twice = 0, nil
  for i = 1, last do
    local count = counts[('{"n":%d}'):format(i)] or 0
    if count == 0 then missing = missing + 1 end
    if count > 1 then twice = ("record %d is there %d times"):format(i, count) end
  end
  return twice, missing
end

local function wait_for_all(self, last)
  local missing
  for _ = 1, 40 do
    local twice
    twice, missing = fault_of(ingested(self), last)
    if twice then error(twice, 0) end
    if missing == 0 then return end
    os.execute "sleep 0.5"
  end
  error(("%d records are missing; the last member says:\n%s"):format(missing,
    shell.read(self.alive[#self.alive] .. ".out")), 0)
end

--- Drains a topic of a broker with some members, to which so many things happen.
-- @tparam table broker of `support.kafka`
-- @tparam table given `members`, `records`, `happenings`, `topic`
-- @treturn table `kills`, `freezes`, `leaves`
function drain_kills.run(broker, given)
  return shell.with_directory(function(directory)
    local server <close> = assert(emulator.start {
      data_dir = directory .. "/data", faults = FAULTS, seed = 5, catalog_lag_ms = 100, unique_ids = false,
    })
    local self = setmetatable({
      directory = directory, server = server, broker = broker, topic = given.topic, group = given.topic, members = {},
      alive = {}, kills = 0, freezes = 0, leaves = 0,
    }, Run)
    local fine, raised = xpcall(function()
      local sent, step = 0, given.records // given.happenings
      for _ = 1, given.happenings do
        local lines = {}
        for i = sent + 1, sent + step do lines[#lines + 1] = ('{"n":%d}\n'):format(i) end
        sent = sent + step
        broker:produce(given.topic, table.concat(lines)) -- which makes the topic
        while #self.alive < given.members do start(self) end
        os.execute(("sleep %.2f"):format(0.2 + math.random()))
        happen(self)
      end
      wait_for_all(self, sent)
    end, debug.traceback)
    stop_all(self)
    if not fine then error(raised, 0) end
    return self
  end)
end

return drain_kills
