-- `kill -9` at random moments of a sink, each time started again until all its records are in the platform: then each is
-- there once.
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local service = require "support.service"
local shell = require "support.shell"

local sink_kills = {}

local LAST <const> = 400

-- Faults of the service: refusals, answers that are lost, and connections that break before.
sink_kills.FAULTS = {
  { rate = 0.1, action = { status = 503 } }, { rate = 0.05, action = { drop = "after" } },
  { rate = 0.05, action = { drop = "before" } },
}

local function command(run, trial)
  return ("%s spec/scripts/sink_goes_on.lua %s %s/spool-%d %d"):format(shell.LUA, run.server.url, run.directory, trial, LAST)
end

-- Starts it, and kills it after some seconds. True: it was not done by then.
local function start_and_kill(run, trial, seconds)
  local script = ("%s >/dev/null 2>&1 & pid=$!; sleep %.4f; kill -9 $pid 2>/dev/null; wait $pid"):format(
    command(run, trial), seconds)
  local _, status = shell.run(script)
  return status == 137
end

-- How often each line is in batches that ended in success.
local function ingested(run)
  local counts = {}
  local start = 0
  while true do
    local answer = assert(service.client(run.server.url, { retry = { tries = 20, base = 0.001 } }):send {
      method = "GET", path = "/data/foundation/catalog/batches?limit=100&start=" .. start, repeatable = true,
      read = core.json.decode,
    })
    local found = 0
    for id, fields in pairs(answer) do
      found = found + 1
      local files = ("%s/data/files/%s"):format(run.directory, id)
      if fields.status == "success" then
        for line in shell.run(("find %s -type f -exec cat {} + 2>/dev/null"):format(files)):gmatch "[^\n]+" do
          counts[line] = (counts[line] or 0) + 1
        end
      end
    end
    if found < 100 then return counts end
    start = start + found
  end
end

--- Whether each record, up to the last, is there so many times; else what is not so.
function sink_kills.fault_of(run, trials, last)
  local counts = ingested(run)
  for i = 1, last do
    local line = ('{"n":%d}'):format(i)
    if counts[line] ~= trials then return ("%s is there %s times, of %d"):format(line, counts[line] or "no", trials) end
    counts[line] = nil
  end
  if next(counts) then return ("%s was never written"):format(next(counts)) end
end

--- Kills it so many times.
-- @tparam integer count
-- @tparam ?table more options of the emulator
-- @treturn integer how many spools it took, since some were done before they were killed
function sink_kills.run(count, more)
  return shell.with_directory(function(directory)
    local options = { data_dir = directory .. "/data", faults = sink_kills.FAULTS, seed = 11 }
    for name, value in pairs(more or {}) do options[name] = value end
    local server <close> = assert(emulator.start(options))
    local run = { directory = directory, server = server }
    local killed, trial = 0, 0
    while killed < count do
      trial = trial + 1
      local alive = true
      for _ = 1, 6 do
        alive = alive and start_and_kill(run, trial, math.random() * 0.6)
        killed = killed + (alive and 1 or 0)
      end
      local output, status = shell.run(command(run, trial))
      if status ~= 0 then error(("spool %d cannot go on: %s"):format(trial, output), 0) end
      local fault = sink_kills.fault_of(run, trial, LAST)
      if fault then error(("spool %d: %s"):format(trial, fault), 0) end
    end
    return trial
  end)
end

return sink_kills
