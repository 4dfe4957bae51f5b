-- Members of a group that are killed (-9), frozen and started at random while they drain a topic, whose broker is killed as
-- well, whose ways are cut, and which gains partitions: in the end each message is in one batch that succeeded, once.
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local service = require "support.service"
local shell = require "support.shell"
local way = require "support.way"

local drain_kills = {}

-- Faults of the service: refusals, answers that are lost, and connections that break before.
local FAULTS <const> = {
  { rate = 0.05, action = { status = 503 } }, { rate = 0.1, action = { drop = "after" } },
  { rate = 0.03, action = { drop = "before" } },
}

local Run = {}
Run.__index = Run

-- Starts a member, as a process of its own; every other one goes by ways that are cut. What it says is kept.
local function start(self)
  local number = #self.members + 1
  local by_ways = self.ways and number % 2 == 0
  local out = ("%s/member-%d"):format(self.directory, number)
  local command <const> = "exec setsid sh -c 'echo $$ >%s.pid; exec %s lua/catalog/cli/main.lua drain --dataset %s --brokers %s"
    .. " --topic %s --group %s --from beginning --roll-seconds 1 --kafka-set session.timeout.ms=2000"
    .. " --kafka-set heartbeat.interval.ms=300 --kafka-set topic.metadata.refresh.interval.ms=1000"
    .. " --kafka-set reconnect.backoff.max.ms=500 --file-bytes 20000' >%s.out 2>&1 </dev/null &"
  local url = by_ways and "http://127.0.0.1:" .. self.ways.platform.port or self.server.url
  local environment = ("AEP_BASE_URL=%s AEP_IMS_URL=%s AEP_ORG=ORG@AdobeOrg AEP_API_KEY=key AEP_ACCESS_TOKEN=token"):format(
    url, url)
  assert(os.execute(environment .. " " .. command:format(out, shell.INTERPRETER, service.DATASET,
    by_ways and self.ways.broker.brokers or self.broker.brokers, self.topic, self.group, out)))
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

-- --- what happens ---

local HAPPENINGS <const> = {}

-- Takes a member out.
local function take(self) return table.remove(self.alive, math.random(#self.alive)) end

function HAPPENINGS.kill(self) signal(take(self), "KILL") end
function HAPPENINGS.leave(self) signal(take(self), "TERM") end
function HAPPENINGS.join(self) start(self) end

-- For longer than the session lasts.
function HAPPENINGS.freeze(self)
  local out = self.alive[math.random(#self.alive)]
  signal(out, "STOP")
  os.execute "sleep 2.5"
  signal(out, "CONT")
end

function HAPPENINGS.broker(self)
  self.broker:kill()
  os.execute(("sleep %.1f"):format(math.random() * 3))
  self.broker:start()
end

-- A way is cut, or holds what comes, for shorter or longer than the session lasts.
function HAPPENINGS.way(self)
  local which = self.ways[math.random() < 0.5 and "platform" or "broker"]
  which:set(math.random() < 0.5 and "cut" or "hold")
  os.execute(("sleep %.1f"):format(0.5 + math.random() * 4))
  which:set "open"
end

function HAPPENINGS.partition(self)
  self.partitions = self.partitions + 1
  self.broker:tell(("partitions %s %d"):format(self.topic, self.partitions))
end

-- How likely each is: what happens to members, in long runs to all else as well, or to brokers alone.
local OF_MEMBERS <const> = { kill = 50, freeze = 20, leave = 15, join = 5 }
local OF_ALL <const> = { kill = 66, freeze = 10, leave = 8, join = 4, broker = 3, way = 7, partition = 2 }
local OF_BROKERS <const> = { broker = 1 }

-- Something happens; other members come in the place of those that are gone.
local function happen(self)
  local chances, names, sum = self.chances, {}, 0
  for name, chance in pairs(chances) do
    names[#names + 1], sum = name, sum + chance
  end
  table.sort(names)
  local dice = math.random() * sum
  for _, name in ipairs(names) do
    dice = dice - chances[name]
    if dice < 0 then
      self.counts[name] = (self.counts[name] or 0) + 1
      return HAPPENINGS[name](self)
    end
  end
end

-- --- the check ---

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
  for _ = 1, 120 do
    local twice
    twice, missing = fault_of(ingested(self), last)
    if twice then error(twice, 0) end
    if missing == 0 then return end
    os.execute "sleep 0.5"
  end
  error(("%d records are missing; the last member says:\n%s"):format(missing,
    shell.read(self.alive[#self.alive] .. ".out")), 0)
end

-- Sends records and lets something happen, again and again.
local function torment(self, given)
  local sent, step = 0, given.records // given.happenings
  for i = 1, given.happenings do
    local lines = {}
    for n = sent + 1, sent + step do lines[#lines + 1] = ('{"n":%d}\n'):format(n) end
    sent = sent + step
    self.broker:produce(self.topic, table.concat(lines)) -- which makes the topic
    while #self.alive < given.members do start(self) end
    if #self.alive > given.members + 2 then HAPPENINGS.leave(self) end
    os.execute(("sleep %.2f"):format(0.2 + math.random()))
    happen(self)
    if given.progress then given.progress(i, self.counts) end
  end
  while #self.alive < given.members do start(self) end
  wait_for_all(self, sent)
  return sent
end

local function close_ways(ways)
  for _, one in pairs(ways or {}) do one:close() end
end

--- Drains a topic of a broker with some members, while so many things happen.
-- @tparam table broker of `support.kafka`
-- @tparam table given `members`, `records`, `happenings`, `topic`; `partitions`: of the topic, of a long run, in which
--   the broker, the ways and the topic change as well; `progress(i, counts)`
-- @treturn table `counts`: how often each thing has happened; `sent`: records
function drain_kills.run(broker, given)
  return shell.with_directory(function(directory)
    local server <close> = assert(emulator.start {
      data_dir = directory .. "/data", faults = FAULTS, seed = 5, catalog_lag_ms = 100, unique_ids = false,
    })
    local self = setmetatable({
      directory = directory, server = server, broker = broker, topic = given.topic, group = given.topic, members = {},
      alive = {}, counts = {}, partitions = given.partitions,
      chances = given.of_brokers and OF_BROKERS or given.partitions and OF_ALL or OF_MEMBERS,
    }, Run)
    local fine, raised = xpcall(function()
      if given.partitions then
        self.ways = { broker = broker:way(), platform = way.start(math.tointeger(tonumber(server.url:match "%d+$"))) }
      end
      self.sent = torment(self, given)
    end, debug.traceback)
    stop_all(self)
    close_ways(self.ways)
    if not fine then error(raised, 0) end
    return self
  end)
end

return drain_kills
