-- `kill -9` at random moments of `catalog sink --follow`, while its file is written and rotated, also when nobody
-- follows it: in the end each line is in the platform once.
local command = require "support.command"
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local shell = require "support.shell"
local sink_kills = require "support.sink_kills"

local clock <const> = core.system.monotonic

local follow_kills = {}

-- How many lines a file and those before it have, and how long a run of the program is until it is killed, in seconds.
local LAST <const>, LONGEST <const> = 4000, 0.5

-- How long the last run may take for what is left, in seconds.
local PATIENCE <const> = 60

local WORDS <const> = "sink -q --dataset d --spool %s --sync-seconds 2ms --file-bytes 2000 --record-bytes 200"
  .. " --roll-records 400 --limit-free 0 "

local function sleep(seconds) shell.run(("sleep %.4f"):format(seconds)) end

-- --- the program that is followed ---

local Writer = {}
Writer.__index = Writer

-- A program that writes lines into a file. It is rotated by renaming, or `by_copying`.
local function new_writer(path, by_copying, last)
  return setmetatable({
    path = path, by_copying = by_copying, last = last, at = 0, rotated = 0, file = assert(io.open(path, "a")),
  }, Writer)
end

function Writer:put(text)
  assert(self.file:write(text))
  assert(self.file:flush())
end

-- Some lines, the last of which may come in two pieces.
function Writer:add()
  local last, lines = math.min(self.at + math.random(1, 30), self.last), {}
  for i = self.at + 1, last do lines[#lines + 1] = ('{"n":%d}\n'):format(i) end
  self.at = last
  local text = table.concat(lines)
  local middle = math.random(#text)
  self:put(text:sub(1, middle))
  if math.random(4) == 1 then sleep(0.002) end
  self:put(text:sub(middle + 1))
end

-- By logrotate's `copytruncate`: what is written between the two would be lost, so nothing is.
local function rotate_by_copying(self, to)
  shell.run(("cp %s %s; : >%s"):format(self.path, to, self.path))
  sleep(0.005) -- the times of files have a clock of their own, which is not finer than that
end

-- The writer goes on for a while with what it has open.
local function rotate_by_renaming(self, to)
  os.rename(self.path, to)
  if math.random(2) == 1 then self:add() end
  self.file:close()
  if math.random(3) == 1 then sleep(0.01) end
  self.file = assert(io.open(self.path, "a"))
end

function Writer:rotate()
  self.rotated = self.rotated + 1
  local to = ("%s.%06d"):format(self.path, self.rotated);
  (self.by_copying and rotate_by_copying or rotate_by_renaming)(self, to)
end

-- Writes and rotates for some seconds.
function Writer:go_on(seconds)
  local until_then = clock() + seconds
  repeat
    if self.at < self.last then self:add() end
    if math.random(12) == 1 and self.at < self.last then self:rotate() end
    sleep(math.random() * 0.02)
  until clock() >= until_then
end

-- --- one file ---

local function words_of(run, words)
  return ("%s exec env %s %s%s"):format(command.environment(run.server), command.PROGRAM, WORDS:format(run.spool), words)
end

-- Starts it, goes on writing, and kills it. Whether it was alive.
local function start_and_kill(run, writer)
  local seconds = math.random() * LONGEST
  local finish = shell.start(("(%s) >/dev/null & pid=$!; sleep %.4f; kill -9 $pid 2>/dev/null; wait $pid"):format(
    words_of(run, "--follow " .. writer.path), seconds))
  writer:go_on(seconds)
  local output, status = finish()
  if status ~= 137 then error("it has ended by itself: " .. output, 0) end
end

-- Follows until a line is on the spool's disk, or was sent, as those of all files before were; then it is ended by a
-- signal.
local function follow_to(run, writer, n, signal)
  local line = ('{"n":%d}'):format(n)
  return shell.run(([[
    (%s) & pid=$!
    for _ in $(seq %d); do
      sleep 0.1
      [ "$({ %s spool export %s 2>&1; cat $(find %s -type f); } | grep -cxF '%s')" -ge %d ] && break
    done
    kill -%s $pid
    wait $pid]]):format(words_of(run, "--follow " .. writer.path), PATIENCE * 10, command.PROGRAM, run.spool, run.data,
    line, run.files, signal))
end

-- What was rotated before the first start of all is left alone.
local function begin(run, writer)
  writer:add()
  follow_to(run, writer, 1, "KILL")
end

-- Takes all, and sends it.
local function finish(run, writer)
  local output, status = follow_to(run, writer, writer.last, "TERM")
  if status == 0 then output, status = shell.run(words_of(run, "--wait </dev/null")) end
  if status ~= 0 then error(output, 0) end
end

local function trial(run, directory, by_copying, last)
  shell.run("mkdir " .. directory)
  run.spool = directory .. "/spool"
  local writer, killed = new_writer(directory .. "/app.jsonl", by_copying, last), 1
  begin(run, writer)
  while writer.at < last do
    start_and_kill(run, writer)
    killed = killed + 1
    if math.random(3) == 1 then writer:go_on(0.05) end
  end
  finish(run, writer)
  writer.file:close()
  return killed, writer.rotated
end

--- Kills it so many times.
-- @tparam integer count
-- @tparam boolean by_copying how the files are rotated; else by renaming
-- @tparam ?table more options of the emulator
-- @tparam ?integer last how many lines a file and those before it have
-- @treturn integer how many files it took
-- @treturn integer how often they were rotated
function follow_kills.run(count, by_copying, more, last)
  last = last or LAST
  return shell.with_directory(function(directory)
    local options = { data_dir = directory .. "/data", faults = sink_kills.FAULTS, seed = 11 }
    for name, value in pairs(more or {}) do options[name] = value end
    local server <close> = assert(emulator.start(options))
    local run = { directory = directory, server = server, data = options.data_dir, files = 0 }
    local killed, rotated = 0, 0
    while killed < count do
      run.files = run.files + 1
      local kills, rotations = trial(run, ("%s/%d"):format(directory, run.files), by_copying, last)
      killed, rotated = killed + kills, rotated + rotations
      local fault = sink_kills.fault_of(run, run.files, last)
      if fault then error(("file %d: %s"):format(run.files, fault), 0) end
    end
    return run.files, rotated
  end)
end

return follow_kills
