-- The long runs: what make test shows in small. Prints what was measured; an error ends it.
--     lua5.4 spec/torture/run.lua [kills] [random] [memory] [sink] [serve] [follow] [shards] [drain] [disk] [power]
local emulator = require "catalog.emulator"
local disk = require "support.disk"
local drain_kills = require "support.drain_kills"
local follow_kills = require "support.follow_kills"
local kafka = require "support.kafka"
local kills = require "support.kills"
local losses = require "support.losses"
local random = require "torture.random"
local serve_kills = require "support.serve_kills"
local shard_kills = require "support.shard_kills"
local shell = require "support.shell"
local sink_kills = require "support.sink_kills"

local KILLS <const>, SINK_KILLS <const>, REQUESTS <const>, SHARE <const> = 200, 300, 10000, 0.2
local SHARD_KILLS <const> = 100
local BUILD <const> = os.getenv "CATALOG_BUILD" or "build"

local function say(format, ...)
  print(format:format(...))
  io.stdout:flush()
end

local LOSSES <const>, PROCESSES <const>, HAPPENINGS <const> = 1000, 8, 300

local runs = {}

function runs.kills()
  local trials, again = kills.run(KILLS)
  say("kills: killed %d times in %d ingests of 40 files; each ended as one batch, every byte right; %d pieces sent once more",
    KILLS, trials, again)
end

function runs.sink()
  for _, options in ipairs { { unique_ids = false, catalog_lag_ms = 200 }, { unique_ids = true } } do
    local spools = sink_kills.run(SINK_KILLS // 2, options)
    say("sink: killed %d times over %d spools, 20%% of requests faulty; each record is in one batch, once",
      SINK_KILLS // 2, spools)
  end
end

-- Each call on files of a spool fails in turn, in more ways than the specs have.
function runs.disk()
  local list = {}
  for call in ("pwrite write openat mkdirat unlinkat renameat ftruncate sync_file_range fdatasync fsync"):gmatch "%S+" do
    for _, how in ipairs { "ENOSPC 1", "ENOSPC 0", "EIO 1", "EIO 2", "EIO 0", "EROFS 0", "EIO 1 opening", "EIO 0 opening" } do
      list[#list + 1] = call .. " " .. how
    end
  end
  disk.with_directory(function(directory) disk.fails(directory, list, 4) end)
  say("disk: %d ways in which each call of a spool fails in turn; nothing was lost or doubled", #list)
end

function runs.power()
  local seed = os.time()
  losses.run_many(PROCESSES, LOSSES // PROCESSES, seed)
  say("power: lost %d times (seeds from %d); each time what was said to be on the disk of a spool was there, once",
    LOSSES, seed)
end

function runs.serve()
  for _, options in ipairs { { unique_ids = false, catalog_lag_ms = 200 }, { unique_ids = true } } do
    local spools = serve_kills.run(SINK_KILLS // 2, options)
    say("serve: killed %d times over %d spools, connections cut, 20%% of the service's requests faulty; each record is in one"
      .. " batch, once", SINK_KILLS // 2, spools)
  end
end

-- What has happened, in words.
local function counted(counts)
  local list = {}
  for name, count in pairs(counts) do list[#list + 1] = ("%s %d"):format(name, count) end
  table.sort(list)
  return table.concat(list, ", ")
end

-- Three members of a group and twelve partitions, which become more, of an Apache Kafka, by `make kafka`.
function runs.drain()
  if not kafka.has_apache() then return say "drain: pending, needs Apache Kafka: make kafka" end
  local records, partitions = HAPPENINGS * 1000, 12
  local broker = kafka.start(partitions)
  local fine, result = pcall(drain_kills.run, broker, {
    members = 3, records = records, happenings = HAPPENINGS, topic = "torture", partitions = partitions,
    progress = function(i, counts)
      if i % 10 == 0 then say("drain: %d of %d: %s", i, HAPPENINGS, counted(counts)) end
    end,
  })
  broker:stop()
  assert(fine, result)
  say("drain: %s, and %d processes in all; each of %d messages is in one batch, once", counted(result.counts), #result.members,
    result.sent)
end

function runs.follow()
  for way, by_copying in pairs { renaming = false, copying = true } do
    local files, rotated = follow_kills.run(SINK_KILLS // 2, by_copying, { unique_ids = false, catalog_lag_ms = 100 })
    say("follow: killed %d times over %d files, which were rotated %d times by %s, 20%% of requests faulty; each line is in"
      .. " one batch, once", SINK_KILLS // 2, files, rotated, way)
  end
end

function runs.shards()
  local dropped = { { match = {}, rate = 0.05, action = { drop = "after" } } }
  for _, options in ipairs { { catalog_lag_ms = 100 }, { unique_ids = true } } do
    local killed, batches = shard_kills.run(SHARD_KILLS // 2, options, dropped)
    say("shards: killed %d times, 5%% of answers lost; each of 40 files is in one of %d batches, once", killed, batches)
  end
end

function runs.random()
  for _, tries in ipairs { 10, 5 } do
    local result = random(SHARE, REQUESTS, tries)
    say("random faults at %g%% of requests, %d tries: %d requests, %d retries; of %d ingests %d whole, %d gave up and said so;"
      .. " no batch by halves", SHARE * 100, tries, result.requests, result.retries, result.whole + result.gave_up,
      result.whole, result.gave_up)
  end
end

-- Creations and uploads under valgrind, the emulator in this process.
function runs.memory()
  local server <close> = assert(emulator.start {})
  shell.with_directory(function(directory)
    shell.write(directory .. "/source", '{"a":1}\n{"a":2}\n{"a":3}\n')
    for _, script in ipairs { "creates", "uploads", "runs" } do
      local output, status = shell.run(("valgrind --quiet --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite"
        .. " %s/host once spec/scripts/%s.lua %s %s/source"):format(BUILD, script,
        server.url, directory))
      assert(status == 0, output)
      say("valgrind, %s: no error, no leak", script)
    end
  end)
end

local names = #arg > 0 and arg or { "memory", "random", "kills", "sink", "serve", "follow", "shards", "drain", "disk", "power" }
for _, name in ipairs(names) do
  assert(runs[name], "kills, random, memory, sink, serve, follow, shards, drain, disk and power are known")()
end
