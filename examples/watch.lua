-- Watches a directory and ingests what appears in it, each file as a batch of its own and every file once, whatever
-- happens in between.
-- Usage: lua5.4 watch.lua DIRECTORY DATASET [SECONDS [LOOKS]]; configured as in the README
--
-- A file is taken when it was not changed for SECONDS (10), and moved to DIRECTORY/work. From there it goes to
-- DIRECTORY/done, or to DIRECTORY/failed when the service refuses it for good; where one of its name is, it gets a
-- number. Where the platform cannot be reached, or refuses our token, a file stays in DIRECTORY/work and is tried
-- again, also by the next run after Ctrl-C or kill -9: its journal is beside it, so it ends as one batch, not as two.
-- Of two runs at a time the second is refused.
--
-- The platform takes few batches a day of some kinds of data (of profiles about 90). Many small files are better
-- gathered by nightly.lua, as often as it may.
local catalog = require "catalog"
local core = require "catalog.core"
local scheduler = require "catalog.scheduler.scheduler"

local LONGEST_PAUSE <const> = 300 -- seconds between looks, while the platform cannot be reached

local directory, dataset, SECONDS <const> = arg[1], arg[2], tonumber(arg[3] or 10)
local LOOKS <const> = arg[4] == nil and math.maxinteger or math.tointeger(tonumber(arg[4]))
if not dataset or not SECONDS or not LOOKS then
  io.stderr:write "usage: lua5.4 watch.lua DIRECTORY DATASET [SECONDS [LOOKS]]\n"
  os.exit(2)
end
local WORK <const> = directory .. "/work"

local function exists(path)
  local file <close> = io.open(path)
  return file ~= nil
end

-- The names of the JSON files in a directory, sorted.
local function files_in(path)
  local names = {}
  for _, name in ipairs(assert(core.fs.list(path))) do
    if name:find "^[^.].*%.json$" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local complained = {} -- path -> true: once is enough

-- Whether nothing has happened to a file for a while. A time that lies ahead is a clock's fault.
local function has_settled(path)
  local bytes, fingerprint = core.file.look(path, true)
  if not bytes then
    if not complained[path] then io.stderr:write(tostring(fingerprint), "\n") end -- which is the error
    complained[path] = true
    return false
  end
  local changed = tonumber((fingerprint:match "^%S+"))
  return math.abs(core.system.now() / 1000 - changed) >= SECONDS
end

-- Moves to WORK what can be taken; two files of one name come one after the other.
local function take()
  for _, name in ipairs(files_in(directory)) do
    local path, place = directory .. "/" .. name, WORK .. "/" .. name
    if has_settled(path) and not exists(place) then
      os.remove(place .. ".journal") -- of one that was put away just before a crash
      local moved, why = os.rename(path, place)
      if not moved then io.stderr:write(why, "\n") end -- somebody else has taken it away
    end
  end
end

local function put_away(name, where)
  local place, number = ("%s/%s/%s"):format(directory, where, name), 0
  local free = place
  while exists(free) do
    number = number + 1
    free = place .. "." .. number
  end
  assert(os.rename(WORK .. "/" .. name, free))
  os.remove(WORK .. "/" .. name .. ".journal")
end

-- Whether an error is about this file, and will not pass: no other call will fare better.
local function is_for_good(err)
  return not err.retryable and not err.ambiguous
    and (err.kind == "batch" or err.kind == "data" or err.kind == "http" or err.kind == "limit")
end

-- Ingests a file that was taken. False: it has to be tried again.
local function ingest(client, name)
  local path = WORK .. "/" .. name
  local report, err = client:ingest {
    dataset = dataset, format = "json", files = { path }, journal = path .. ".journal",
  }
  local again = not report and not is_for_good(err)
  if report then
    -- the service may leave the counts out
    local metrics = type(report.metrics) == "table" and report.metrics or {}
    local count = tonumber(metrics.outputRecordCount) or "an unknown number of"
    print(("%s: %s records in batch %s"):format(name, count, report.id))
  else
    print(("%s: %s%s"):format(name, tostring(err), again and "; it will be tried again" or ""))
  end
  io.stdout:flush()
  if not again then put_away(name, report and "done" or "failed") end
  return not again
end

local function watch()
  local client = assert(catalog.client {})
  -- whoever has it is the only one: an empty journal, for its lock
  local _ <close> = assert(core.journal.open(directory .. "/.lock"))
  for _, name in ipairs { "work", "done", "failed" } do assert(core.fs.mkdir(directory .. "/" .. name)) end
  local usual = math.min(SECONDS, 5)
  local pause = usual
  for _ = 1, LOOKS do
    local all_done = true
    take()
    for _, name in ipairs(files_in(WORK)) do all_done = ingest(client, name) and all_done end
    pause = all_done and usual or math.min(2 * pause, LONGEST_PAUSE)
    scheduler.sleep(pause)
  end
end

local fine, err = pcall(watch)
if not fine then
  local interrupted = tostring(err):find("interrupted!", 1, true)
  io.stderr:write(interrupted and "interrupted" or tostring(err), "\n")
  os.exit(interrupted and 130 or 1, true)
end
