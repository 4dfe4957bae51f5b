-- Watches a directory on luv's loop and ingests each file that appears in it as a batch of its own, some at a time and
-- every file once, whatever happens in between. A line of progress is written over itself on a terminal.
-- Usage: lua5.4 watch_luv.lua DIRECTORY DATASET [SECONDS]; configured as in the README
--
-- A file is taken when nothing has happened to it for SECONDS (5), and moved to DIRECTORY/work. From there it goes to
-- DIRECTORY/done, or to DIRECTORY/failed when the service refuses it for good; where one of its name is, it gets a
-- number. Where the platform cannot be reached, or refuses our token, a file stays in DIRECTORY/work and is tried
-- again, also by the next run: its journal is beside it, so it ends as one batch, not as two, even after kill -9. Of
-- two runs at a time the second is refused. SIGINT or SIGTERM ends it after the files under way, a second one at once.
local catalog = require "catalog"
local core = require "catalog.core"
local uv = require "luv"

local AT_ONCE <const>, AGAIN <const> = 4, 30000 -- files; milliseconds before what has failed is tried again

local directory, dataset, SECONDS <const> = arg[1], arg[2], tonumber(arg[3] or 5)
if not dataset or not SECONDS then
  io.stderr:write "usage: lua5.4 watch_luv.lua DIRECTORY DATASET [SECONDS]\n"
  os.exit(2)
end
local WORK <const> = directory .. "/work"

local client, unfit = catalog.client { loop = require "catalog.loop.luv" }
-- whoever has it is the only one: an empty journal, for its lock
local lock, taken = core.journal.open(directory .. "/.lock")
if not client or not lock then
  io.stderr:write(tostring(unfit or taken), "\n")
  os.exit(1)
end
for _, name in ipairs { "work", "done", "failed" } do assert(core.fs.mkdir(directory .. "/" .. name)) end

local terminal = uv.guess_handle(2) == "tty"
local progress, queue, under_way, over = {}, {}, 0, false
local queued = {} -- name -> true, in the queue or under way

-- One line for all files under way.
local function show()
  if not terminal then return end
  local parts = {}
  for name, state in pairs(progress) do
    parts[#parts + 1] = ("%s %d%%"):format(name, state.total > 0 and 100 * state.bytes // state.total or 100)
  end
  table.sort(parts)
  io.stderr:write("\r\27[K", table.concat(parts, "  "))
end

local function say(text)
  io.stderr:write(terminal and "\r\27[K" or "")
  print(text)
  io.stdout:flush()
  show()
end

local function put_away(name, where)
  local place, number = ("%s/%s/%s"):format(directory, where, name), 0
  local free = place
  while uv.fs_stat(free) do
    number = number + 1
    free = place .. "." .. number
  end
  local moved, why = uv.fs_rename(WORK .. "/" .. name, free)
  if not moved then return say(("%s: it cannot be put away: %s"):format(name, why)) end
  uv.fs_unlink(WORK .. "/" .. name .. ".journal")
end

-- Whether an error is about this file, and will not pass: no other call will fare better.
local function is_for_good(err)
  return not err.retryable and not err.ambiguous
    and (err.kind == "batch" or err.kind == "data" or err.kind == "http" or err.kind == "limit")
end

-- Ingests a file that was taken, and puts it away, or leaves it to be tried again.
local function ingest(name)
  local path = WORK .. "/" .. name
  local report, err = client:ingest {
    dataset = dataset, format = "json", files = { path }, journal = path .. ".journal",
    on_progress = function(state)
      progress[name] = state
      show()
    end,
  }
  progress[name] = nil
  if report then
    -- the service may leave the counts out
    local metrics = type(report.metrics) == "table" and report.metrics or {}
    local count = tonumber(metrics.outputRecordCount) or "an unknown number of"
    say(("%s: %s records in batch %s"):format(name, count, report.id))
    put_away(name, "done")
  elseif is_for_good(err) then
    say(("%s: %s"):format(name, tostring(err)))
    put_away(name, "failed")
  else
    say(("%s: %s; it will be tried again"):format(name, tostring(err)))
  end
end

local stop, look_soon

local function begin()
  while under_way < AT_ONCE and queue[1] do
    local name = table.remove(queue, 1)
    under_way = under_way + 1
    catalog.spawn(function()
      ingest(name)
      queued[name], under_way = nil, under_way - 1
      look_soon() -- there may be another of its name
      begin()
    end)
  end
  if over and under_way == 0 then stop() end
end

local function enqueue(name)
  if queued[name] then return end
  queued[name], queue[#queue + 1] = true, name
end

-- The names of the JSON files in a directory.
local function files_in(path)
  local names = {}
  for name, kind in uv.fs_scandir_next, assert(uv.fs_scandir(path)) do
    if kind ~= "directory" and name:find "^[^.].*%.json$" then names[#names + 1] = name end
  end
  return names
end

-- Takes a file if it can be taken. False: it has to be looked at again.
local function take(name)
  local path, place = directory .. "/" .. name, WORK .. "/" .. name
  local found = uv.fs_stat(path)
  if not found or found.type ~= "file" then return true end
  local now, micros = uv.gettimeofday()
  -- a time that lies ahead is a clock's fault
  if math.abs(now + micros / 1e6 - found.ctime.sec - found.ctime.nsec / 1e9) < SECONDS then return false end
  if uv.fs_stat(place) then return true end -- one of its name is first; we look again at its end
  uv.fs_unlink(place .. ".journal") -- of one that was put away just before a crash
  local moved, why = uv.fs_rename(path, place)
  if moved then enqueue(name) else say(("%s: it cannot be taken: %s"):format(name, why)) end
  return true
end

local function look()
  if over then return end
  local settled = true
  for _, name in ipairs(files_in(directory)) do settled = take(name) and settled end
  if not settled then look_soon() end
  begin()
end

local looker, again = uv.new_timer(), uv.new_timer()

function look_soon()
  if not over and not looker:is_active() then looker:start(math.ceil(1000 * SECONDS), 0, look) end
end

-- Takes up what an earlier run has left, what has failed in a way that passes, and what no event has told of.
local function look_at_all()
  if over then return end
  for _, name in ipairs(files_in(WORK)) do enqueue(name) end
  look()
end

local watcher = uv.new_fs_event()
assert(watcher:start(directory, {}, function(err)
  if err then error(err) end
  look_soon()
end))
look_at_all()
again:start(AGAIN, AGAIN, look_at_all)
say "watching"

local signals = {}

function stop()
  for _, handle in ipairs { watcher, looker, again, table.unpack(signals) } do handle:close() end
  lock:close()
end

for i, name in ipairs { "sigint", "sigterm" } do
  signals[i] = uv.new_signal()
  signals[i]:start(name, function()
    if over then os.exit(130) end -- the journals have what is under way
    over, queue = true, {}
    begin()
  end)
end
uv.run()
