-- `kill -9` at random moments of an ingest with a journal, each time started again until it is done.
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local rows = require "support.rows"
local service = require "support.service"
local shell = require "support.shell"

local kills = {}

local function command(run, trial)
  return ("%s spec/scripts/journaled.lua %s %s %s %s"):format(shell.LUA, run.server.url, run.directory .. "/files",
    ("%s/%d.journal"):format(run.directory, trial), "trial-" .. trial)
end

-- Starts it, and kills it after some seconds. True: it was not done by then.
local function start_and_kill(run, trial, seconds)
  local script = ("%s >/dev/null & pid=$!; sleep %.4f; kill -9 $pid 2>/dev/null; wait $pid"):format(command(run, trial),
    seconds)
  local _, status = shell.run(script)
  return status == 137
end

local function batches(run, trial)
  local list = {}
  local answer = assert(service.client(run.server.url):send {
    method = "GET", path = "/data/foundation/catalog/batches?limit=100", sandbox = "trial-" .. trial,
    read = core.json.decode,
  })
  for id, fields in pairs(answer) do list[#list + 1] = { id = id, status = fields.status } end
  return list
end

-- How often each piece of data was taken by the service: name and range -> count.
local function taken(run, id)
  local counts = {}
  for line in io.lines(run.directory .. "/log") do
    local key = line:match("^P%u+ %S*/" .. id .. "/%S*files/(%S+ .*) 2%d%d$")
    if key and not line:find "^POST" then counts[key] = (counts[key] or 0) + 1 end
  end
  return counts
end

-- What is not as it should be after a trial, or nil; and how many pieces were sent once more.
local function fault_of(run, trial)
  local output, status = shell.run(command(run, trial))
  if status ~= 0 then return "it cannot go on: " .. output end
  local list = batches(run, trial)
  if #list ~= 1 or list[1].status ~= "success" then
    return ("%d batches, the first %s"):format(#list, list[1] and list[1].status or "missing")
  end
  local differs = rows.difference(("%s/data/files/%s"):format(run.directory, list[1].id), run.texts)
  if differs then return differs .. " differs" end
  local again = 0
  for key, count in pairs(taken(run, list[1].id)) do
    if count > 2 then return ("%s was sent %d times"):format(key, count) end
    again = again + count - 1
  end
  return nil, again
end

-- How long it takes when nobody kills it, in seconds: the least of three, so that few kills come too late.
local function measure(run)
  local least = math.huge
  for trial = -2, 0 do
    local before = core.system.monotonic()
    local output, status = shell.run(command(run, trial))
    assert(status == 0, output)
    least = math.min(least, core.system.monotonic() - before)
  end
  return least
end

--- Kills it so many times.
-- @tparam integer count
-- @treturn integer how many trials it took, since some were done before they were killed
-- @treturn integer how many pieces of data were sent once more, over all trials
function kills.run(count)
  return shell.with_directory(function(directory)
    local server <close> = assert(emulator.start {
      data_dir = directory .. "/data", log = directory .. "/log", latency_ms = 1,
    })
    local run = { directory = directory, server = server, texts = rows.make(directory .. "/files", 36, 4) }
    local whole, killed, trial, again = measure(run), 0, 0, 0
    while killed < count do
      trial = trial + 1
      if start_and_kill(run, trial, math.random() * whole) then killed = killed + 1 end
      local fault, more = fault_of(run, trial)
      if fault then error(("trial %d: %s"):format(trial, fault), 0) end
      again = again + more
    end
    return trial, again
  end)
end

return kills
