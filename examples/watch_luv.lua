-- Watches a directory on luv's loop and ingests each file that appears in it, some at a time, with a line of progress
-- that is written over itself on a terminal. A file is taken once nothing has happened to it for a while, and moved to
-- DIRECTORY/done or DIRECTORY/failed afterwards.
-- Usage: lua5.4 watch_luv.lua DIRECTORY DATASET; configured as in the README; ends at SIGINT or SIGTERM
local catalog = require "catalog"
local uv = require "luv"

local SETTLED <const>, AT_ONCE <const> = 200, 4 -- milliseconds; files

local directory, dataset = arg[1], arg[2]
if not dataset then
  io.stderr:write "usage: lua5.4 watch_luv.lua DIRECTORY DATASET\n"
  os.exit(2)
end

local client, unfit = catalog.client { loop = require "catalog.loop.luv" }
if not client then
  io.stderr:write(tostring(unfit), "\n")
  os.exit(1)
end
for _, name in ipairs { "done", "failed" } do uv.fs_mkdir(directory .. "/" .. name, 493) end -- 0755

local terminal = uv.guess_handle(2) == "tty"
local progress, queue, under_way, over = {}, {}, 0, false
local taken = {} -- name -> true, in the queue or under way

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

local stop

-- What tells a file from another of its name, or from itself after a change; nil: it is gone.
local function mark_of(path)
  local found = uv.fs_stat(path)
  return found and ("%d %d %d.%09d"):format(found.ino, found.size, found.mtime.sec, found.mtime.nsec)
end

-- How many records are in, as far as it is known: the service leaves its counts out of CSV and of old batches.
local function count_of(report)
  local metrics = type(report.metrics) == "table" and report.metrics or {}
  return tonumber(metrics.outputRecordCount) or "an unknown number of"
end

-- Ingests a file and puts it away. True: there is another of its name, or it was changed, and its turn comes again.
local function ingest(name)
  local path = directory .. "/" .. name
  local mark = mark_of(path)
  local report, err = client:ingest {
    dataset = dataset, format = "json", files = { path },
    on_progress = function(state)
      progress[name] = state
      show()
    end,
  }
  progress[name] = nil
  say(report and ("%s: %s records in batch %s"):format(name, count_of(report), report.id)
    or ("%s: %s"):format(name, tostring(err)))
  if mark_of(path) ~= mark and mark_of(path) then return true end
  local moved, why = uv.fs_rename(path, ("%s/%s/%s"):format(directory, report and "done" or "failed", name))
  if not moved then say(("%s: it cannot be put away: %s"):format(name, why)) end
end

local noticed

local function begin()
  while under_way < AT_ONCE and queue[1] do
    local name = table.remove(queue, 1)
    under_way = under_way + 1
    catalog.spawn(function()
      local again = ingest(name)
      taken[name], under_way = nil, under_way - 1
      if again and not over then noticed(name) end
      begin()
    end)
  end
  if over and under_way == 0 then stop() end
end

-- Each file has a timer that begins anew whenever something happens to it.
local timers = {}

function noticed(name)
  local found = name:find "%.json$" and uv.fs_stat(directory .. "/" .. name)
  if not found or found.type ~= "file" then return end -- moved away, or not meant
  timers[name] = timers[name] or uv.new_timer()
  timers[name]:start(SETTLED, 0, function()
    timers[name]:close()
    timers[name] = nil
    if over or taken[name] then return end
    queue[#queue + 1], taken[name] = name, true
    begin()
  end)
end

local watcher = uv.new_fs_event()
assert(watcher:start(directory, {}, function(err, name)
  if err then error(err) end
  if name and not over then noticed(name) end
end))

-- What was there before is taken as well.
local scan = assert(uv.fs_scandir(directory))
for name in uv.fs_scandir_next, scan do noticed(name) end
say "watching"

local signals = {}

function stop()
  watcher:close()
  for _, timer in pairs(timers) do timer:close() end
  for _, one in ipairs(signals) do one:close() end
end

for i, name in ipairs { "sigint", "sigterm" } do
  signals[i] = uv.new_signal()
  signals[i]:start(name, function()
    over, queue = true, {} -- what is under way comes to its end first
    begin()
  end)
end
uv.run()
