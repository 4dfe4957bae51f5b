-- Shards of an ingest as processes, some of them killed with `kill -9`, and run again with nothing on their disk.
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local program = require "support.program"
local rows = require "support.rows"
local service = require "support.service"
local shell = require "support.shell"

local shard_kills = {}

-- How many shards there are, and how long one takes when nobody kills it, in seconds, as far as that can be said.
local SHARDS <const>, WHOLE <const> = 4, 0.4

-- A disk that has the files and nothing else.
local function new_disk(run)
  run.disks = run.disks + 1
  local disk = ("%s/disk%d"):format(run.directory, run.disks)
  shell.run(("mkdir %s && cp -r %s/files %s/files"):format(disk, run.directory, disk))
  return disk
end

local function start(run, index, disk)
  local words = ("lua/catalog/cli/main.lua ingest --dataset %s --dir %s/files --shard %d/%d --external-id b --parallel 2"
    .. " --part-size 8K --part-threshold 16K"):format(service.DATASET, disk, index, SHARDS)
  return program.start(run.server.url, words, ("export TMPDIR=%s HOME=%s;"):format(disk, disk))
end

-- Runs each shard once, and kills some of them. Gives how many were killed, and what the others said.
local function round(run, kills)
  local disks, started, killed, said = {}, {}, 0, {}
  for index = 0, SHARDS - 1 do disks[index] = new_disk(run) end
  for index = 0, SHARDS - 1 do
    started[index + 1] = { program = start(run, index, disks[index]), disk = disks[index], index = index }
  end
  for _ = 1, kills do
    shell.run(("sleep %.3f"):format(math.random() * WHOLE / kills))
    shell.run(("kill -9 %s 2>/dev/null"):format(started[math.random(#started)].program.pid))
  end
  for _, one in ipairs(started) do
    local text, status = one.program:finish()
    if status == 137 or status == 9 then killed = killed + 1 end
    said[one.index] = { text = text, status = status }
    local left = shell.run(("find %s -newer %s/disks -type f ! -path '*/files/*'"):format(one.disk, run.directory))
    assert(left == "", "on the disk: " .. left)
  end
  return killed, said
end

-- The batches there are: id -> status.
local function statuses(run)
  local answer = assert(service.client(run.server.url):send {
    method = "GET", path = "/data/foundation/catalog/batches?limit=100", read = core.json.decode, repeatable = true,
  })
  local list = {}
  for id, fields in pairs(answer) do list[id] = fields.status end
  return list
end

-- Whether each file is in one successful batch, as it is, and once: what is wrong, or nil; and how many batches.
local function fault_of(run)
  local seen, successes = {}, 0
  for id, status in pairs(statuses(run)) do
    local folder = ("%s/data/files/%s"):format(run.directory, id)
    if status == "success" then
      successes = successes + 1
      for path in shell.run("cd " .. folder .. " && find . -type f"):gmatch "%./([^\n]+)" do
        if seen[path] then return path .. " is in two batches" end
        if shell.read(folder .. "/" .. path) ~= run.texts[path] then return path .. " differs" end
        seen[path] = true
      end
    end
  end
  for name in pairs(run.texts) do
    if not seen[name] then return name .. " is in no batch" end
  end
  return nil, successes
end

-- Runs all shards, which all end well. Gives what they said.
local function run_whole(run)
  local _, said = round(run, 0)
  for index, one in pairs(said) do assert(one.status == 0, ("shard %d: %s"):format(index, one.text)) end
  return said
end

--- Kills so many shards, round by round, then lets all of them end, and runs them once more.
-- @tparam integer count
-- @tparam ?table options of the emulator, over what is fast
-- @tparam ?table faults of the emulator
-- @treturn integer how many processes were killed
-- @treturn integer how many batches there are that ended in success
-- @treturn {[integer]=table,...} what the last runs said, by shard: `text`, `status`
function shard_kills.run(count, options, faults)
  return shell.with_directory(function(directory)
    local given = { data_dir = directory .. "/data", latency_ms = 15 }
    for name, value in pairs(options or {}) do given[name] = value end
    local server <close> = assert(emulator.start(given))
    server:set_faults(faults)
    local run = { directory = directory, server = server, disks = 0 }
    run.texts = rows.make(directory .. "/files", 36, 4)
    shell.write(directory .. "/disks", "")
    local killed = 0
    while killed < count do killed = killed + round(run, 3) end
    run_whole(run)
    local fault, batches = fault_of(run)
    if fault then error(fault, 0) end
    local said = run_whole(run)
    fault = fault_of(run)
    if fault then error("run again: " .. fault, 0) end
    return killed, batches, said
  end)
end

return shard_kills
