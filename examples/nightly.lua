-- A nightly job: ingests the JSON files of a directory as one batch, every file once, whatever happens in between.
-- Usage: lua5.4 nightly.lua DIRECTORY DATASET [SECONDS]; configured as in the README
--
-- A file is taken when it was not changed for SECONDS (60); one that is still being written is left for the next time.
-- What is taken goes to DIRECTORY/work, and from there, all of it at once, to DIRECTORY/done/BATCH. What the service
-- could not ingest goes to DIRECTORY/failed/BATCH, for a person to look at.
--
-- Faults that pass are tried again for HOURS. Where a run ends before its work (Ctrl-C, kill -9, a refused token, a
-- full disk) it stays in DIRECTORY/work, with its journal, and the next run goes on with it: it ends as one batch, not
-- as two. Of two runs at a time the second is refused.
--
-- Exit codes: 0 all is ingested, or there is nothing; 1 it is not, and the log says why; 2 usage; 130 interrupted.
local catalog = require "catalog"
local core = require "catalog.core"
local scheduler = require "catalog.scheduler.scheduler"

local HOURS <const>, LONGEST_PAUSE <const> = 6, 900 -- seconds

local directory, dataset, SECONDS <const> = arg[1], arg[2], tonumber(arg[3] or 60)
if not dataset or not SECONDS then
  io.stderr:write "usage: lua5.4 nightly.lua DIRECTORY DATASET [SECONDS]\n"
  os.exit(2)
end
local WORK <const> = directory .. "/work"
local JOURNAL <const> = WORK .. "/.journal"

local function log(...)
  io.stderr:write(os.date "!%Y-%m-%dT%H:%M:%SZ ", ("%s"):rep(select("#", ...)):format(...), "\n")
end

local function exists(path)
  local file <close> = io.open(path)
  return file ~= nil
end

-- The names of the JSON files in a directory.
local function files_in(path)
  local names = {}
  for _, name in ipairs(assert(core.fs.list(path))) do
    if name:find "^[^.].*%.json$" then names[#names + 1] = name end
  end
  return names
end

-- Why a file cannot be taken now, or nil. A time of change that lies ahead is a clock's fault.
local function why_not(path, place)
  local bytes, fingerprint = core.file.look(path, true)
  if not bytes then return tostring(fingerprint) end -- which is the error
  local changed = tonumber((fingerprint:match "^%S+"))
  if math.abs(core.system.now() / 1000 - changed) < SECONDS then return "it was changed just now" end
  if exists(place) then return "another of its name is first" end
end

-- Moves to WORK what can be taken.
local function take()
  assert(core.fs.mkdir(WORK))
  for _, name in ipairs(files_in(directory)) do
    local path, place = directory .. "/" .. name, WORK .. "/" .. name
    local why = why_not(path, place)
    if not why then why = select(2, os.rename(path, place)) end
    if why then log(name, " is left for the next time: ", why) end
  end
end

-- Ingests what is in WORK. With the journal the same call goes on where the last one stopped, so it may be made again
-- also where nobody knows what became of a request.
local function ingest(client)
  local try, pause, ends = 0, 1, os.time() + HOURS * 3600
  while true do
    try = try + 1
    local report, err, partial = client:ingest {
      dataset = dataset, format = "json", dir = WORK, pattern = "*.json", journal = JOURNAL, on_warning = log,
      on_change = function(status) log("the batch is ", status) end,
    }
    if report then return report end
    log("try ", try, ": ", tostring(err))
    if not (err.retryable or err.ambiguous) or os.time() + pause > ends then return nil, err, partial end
    scheduler.sleep(pause)
    pause = math.min(2 * pause, LONGEST_PAUSE)
  end
end

-- One rename: nothing is put away by halves.
local function put_away(where, id)
  assert(core.fs.mkdir(directory .. "/" .. where))
  assert(os.rename(WORK, ("%s/%s/%s"):format(directory, where, id)))
end

-- Whether what is in WORK has been ingested.
local function work(client)
  local report, err, partial = ingest(client)
  if report then
    put_away("done", report.id)
    log(#report.files, " files, ", report.bytes, " bytes, batch ", report.id)
    return true
  end
  if err.kind == "batch" then put_away("failed", partial and partial.id or os.date "!%Y%m%dT%H%M%SZ") end
  log("failed: ", tostring(err))
  return false
end

local function run()
  local client = assert(catalog.client {})
  -- whoever has it is the only one: an empty journal, for its lock
  local _ <close> = assert(core.journal.open(directory .. "/.lock"))
  local fine = not exists(JOURNAL) or work(client)
  -- what could not be gone on with is first
  if exists(JOURNAL) then return fine end
  take()
  if files_in(WORK)[1] then return work(client) and fine end
  log "there is no file to ingest"
  return fine
end

local ran, result = pcall(run)
if not ran then
  local interrupted = tostring(result):find("interrupted!", 1, true)
  log("failed: ", interrupted and "interrupted" or tostring(result))
  os.exit(interrupted and 130 or 1, true)
end
os.exit(result and 0 or 1, true)
