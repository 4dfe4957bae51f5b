-- Watches a directory and ingests what appears in it. A file is taken once its size has not changed between two looks,
-- and moved to DIRECTORY/done or DIRECTORY/failed afterwards.
-- Usage: lua5.4 watch.lua DIRECTORY DATASET [ROUNDS]; configured as in the README
local catalog = require "catalog"
local core = require "catalog.core"

local PAUSE <const> = 0.2

local directory, dataset, rounds = arg[1], arg[2], math.tointeger(tonumber(arg[3])) or math.maxinteger
if not dataset then
  io.stderr:write "usage: lua5.4 watch.lua DIRECTORY DATASET [ROUNDS]\n"
  os.exit(2)
end

local client, unfit = catalog.client {}
if not client then
  io.stderr:write(tostring(unfit), "\n")
  os.exit(1)
end
for _, name in ipairs { "done", "failed" } do assert(core.system.mkdir(directory .. "/" .. name)) end

-- The files that have stopped growing, given the sizes of the last look; and the sizes now.
local function settled(before)
  local ready, sizes = {}, {}
  for _, name in ipairs(assert(core.system.list(directory))) do
    local file = name:find "%.json$" and core.file.open(directory .. "/" .. name)
    if file then
      sizes[name] = file:size()
      if before[name] == sizes[name] then ready[#ready + 1] = name end
      file:close()
    end
  end
  table.sort(ready)
  return ready, sizes
end

-- How many records are in, as far as it is known: the service leaves its counts out of CSV and of old batches.
local function count_of(report)
  local metrics = type(report.metrics) == "table" and report.metrics or {}
  return tonumber(metrics.outputRecordCount) or "an unknown number of"
end

local function ingest(name)
  local path = directory .. "/" .. name
  local report, err = client:ingest { dataset = dataset, format = "json", files = { path } }
  print(report and ("%s: %s records in batch %s"):format(name, count_of(report), report.id)
    or ("%s: %s"):format(name, tostring(err)))
  assert(os.rename(path, ("%s/%s/%s"):format(directory, report and "done" or "failed", name)))
end

local sizes = {}
for _ = 1, rounds do
  local ready
  ready, sizes = settled(sizes)
  for _, name in ipairs(ready) do ingest(name) end
  io.stdout:flush()
  require("catalog.await").pause(PAUSE)
end
