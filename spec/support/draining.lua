-- Drains of a Kafka, each with a topic and a group of its own, and an emulator whose batches are read.
local Group = require "catalog.scheduler.group"
local core = require "catalog.core"
local scheduler = require "catalog.scheduler.scheduler"
local service = require "support.service"
local shell = require "support.shell"

local Draining = {}
Draining.__index = Draining

local draining = {}

--- The lines of numbers, sorted, as one text: what is compared is long.
function draining.lines(first, last)
  local list = {}
  for i = first, last do list[#list + 1] = ('{"n":%d}\n'):format(i) end
  table.sort(list)
  return table.concat(list)
end

--- A record that is JSON, and more than the emulator reads: its row is refused.
draining.REFUSED = ('{"a":'):rep(300) .. "1" .. ("}"):rep(300) .. "\n"

local topics = 0

--- Calls `body(run)`: `broker`, `topic`, `group`, `server` (the emulator, with some options), `client`, `directory`.
function draining.run(broker, body, options)
  topics = topics + 1
  local run = { broker = broker, topic = "topic" .. topics, group = "group" .. topics }
  shell.with_directory(function(directory)
    local given = { data_dir = directory }
    for name, value in pairs(options or {}) do given[name] = value end
    service.run(given, function(server, client)
      run.server, run.client, run.directory = server, client, directory
      body(setmetatable(run, Draining))
    end)
  end)
end

--- All lines of batches that ended in success, sorted.
function Draining:ingested()
  local list = {}
  local batches = assert(self.client:send {
    method = "GET", path = "/data/foundation/catalog/batches?limit=100", read = core.json.decode, repeatable = true,
  })
  for id, fields in pairs(batches) do
    if fields.status == "success" then
      for line in shell.run(("cat %s/files/%s/* 2>/dev/null"):format(self.directory, id)):gmatch "[^\n]+\n" do
        list[#list + 1] = line
      end
    end
  end
  table.sort(list)
  return table.concat(list)
end

--- What a drain of the topic is given.
function Draining:kafka()
  return {
    brokers = self.broker.brokers, topics = { self.topic }, group = self.group,
    config = { ["session.timeout.ms"] = 6000, ["heartbeat.interval.ms"] = 500 },
  }
end

function Draining:open(changes)
  local given = { dataset = service.DATASET, from = "beginning", roll = { seconds = 1 }, kafka = self:kafka() }
  for name, value in pairs(changes or {}) do given[name] = value end
  return assert(self.client:drain(given))
end

--- Runs a drain until something is so, some time at the most.
function Draining:run_until(drain, is_so, seconds) -- luacheck: ignore 212
  local group = Group.new "detached"
  scheduler.begin(group:new_task(function()
    local last = core.system.monotonic() + (seconds or 30)
    while not is_so() and core.system.monotonic() < last and scheduler.sleep(0.05) do end -- luacheck: ignore 542
    drain:close()
  end))
  local ok, err = drain:run()
  group:abandon()
  return ok, err
end

--- Drains until so many records are in batches that have succeeded. Gives the reports.
function Draining:drain(count, changes)
  local records, reports, faults = 0, {}, {}
  local given = {
    on_error = function(err) faults[#faults + 1] = err.message end,
    on_batch = function(report)
      reports[#reports + 1] = report
      if report.state == "success" then records = records + (report.records or 0) end
    end,
  }
  for name, value in pairs(changes or {}) do given[name] = value end
  assert(self:run_until(self:open(given), function() return records >= count end))
  assert(records == count, ("%d records, of %d: %s"):format(records, count, table.concat(faults, "; ")))
  return reports
end

--- The options of a command that say which Kafka, topic and group.
function Draining:words()
  return ("--brokers %s --topic %s --group %s"):format(self.broker.brokers, self.topic, self.group)
end

return draining
