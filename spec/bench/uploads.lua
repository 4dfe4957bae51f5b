--- What is measured of uploads: against `curl -T`, and many at a time against one at a time.
local catalog = require "catalog"
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local directories = require "spec.bench.directory"

local GIB <const>, MIB <const> = 1024 ^ 3 // 1 | 0, 1024 * 1024

local uploads = {}

local function output(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  assert(pipe:close(), command .. " failed")
  return text
end

-- The seconds of CPU of a command, by the shell's account of its children.
local function with_cpu(command)
  local text = output(("sh -c '%s; times'"):format(command))
  local children = text:match "\n([%dms. ]+)%s*$"
  local cpu = 0
  for minutes, seconds in children:gmatch "(%d+)m([%d.]+)s" do cpu = cpu + minutes * 60 + tonumber(seconds) end
  return text, cpu
end

-- Our side in a process of its own: wall, CPU without and with its start, and how far its memory grew.
local function ours(bench, way, ...)
  local words = table.concat({ bench.lua, bench.root .. "/spec/bench/uploader.lua", way, bench.server.url, ... }, " ")
  local text, all = with_cpu(words)
  local wall, cpu, grown = text:match "([%d.e-]+)\t([%d.e-]+)\t(%d+)"
  return { wall = tonumber(wall), cpu = tonumber(cpu), all = all, grown = tonumber(grown) }
end

local function curl(bench, path)
  local text, cpu = with_cpu(("curl -s -o /dev/null -w %%{time_total} -T %s %s/file"):format(path, bench.server.url))
  return { wall = tonumber(text:match "^[%d.]+"), all = cpu }
end

local function with_directory(body)
  local directory = assert(core.fs.temporary())
  local fine, why = xpcall(body, debug.traceback, directory)
  core.fs.remove(directory)
  if not fine then error(why, 0) end
end

local function turns_of(count, one, other)
  local turns = {}
  one()
  other()
  for i = 1, count do
    if i % 2 == 0 then turns[i] = { ours = one(), theirs = other() } end
    if i % 2 == 1 then turns[i] = { theirs = other(), ours = one() } end
  end
  return turns
end

local function figure(bench, what, peer, ratios)
  bench.figure("speed", {
    what = what, peer = peer, ratio = bench.median(ratios), low = bench.quantile(ratios, 0.25),
    high = bench.quantile(ratios, 0.75),
  })
end

local function file_against_curl(bench, directory)
  local path = directory .. "/large"
  output(("head -c %d /dev/zero >%s"):format(GIB, path))
  local turns = turns_of(bench.size.uploads, function() return ours(bench, "put", path) end,
    function() return curl(bench, path) end)
  local rates = bench.map(turns, function(turn) return turn.theirs.wall / turn.ours.wall end)
  local cpus = bench.map(turns, function(turn) return turn.ours.all / turn.theirs.all end)
  figure(bench, "a file of 1 GiB, uploaded", "curl -T", rates)
  bench.row("a file of 1 GiB in one request: rate, to curl -T", ">= 0.97", ("%.3f"):format(bench.median(rates)),
    bench.median(rates) >= 0.97)
  bench.note("%.2f GiB a second; curl %.2f", 1 / bench.median_of(turns, function(turn) return turn.ours.wall end),
    1 / bench.median_of(turns, function(turn) return turn.theirs.wall end))
  bench.row("the same: CPU seconds, to curl -T", "<= 1.05", ("%.3f"):format(bench.median(cpus)),
    bench.median(cpus) <= 1.05)
end

local function memory(bench, directory)
  local path = directory .. "/sparse"
  output(("truncate -s %d %s"):format(4 * GIB, path))
  for _, case in ipairs {
    { "file", path, 4 }, { "reader", tostring(4 * GIB), 44 }, { "writer", tostring(bench.size.written), 44 },
  } do
    local grown = ours(bench, case[1], case[2]).grown / MIB
    local what = case[1] == "writer" and (case[2] .. " records by writer") or "4 GiB by " .. case[1]
    bench.row("memory while sending " .. what, ("<= %d MiB"):format(case[3]), ("%+.1f MiB"):format(grown), grown <= case[3])
  end
end

local function writer_against_encoding(bench)
  local count = tostring(bench.size.written)
  local turns = turns_of(bench.size.uploads, function() return ours(bench, "writer", count) end,
    function() return ours(bench, "encode", count) end)
  local rates = bench.map(turns, function(turn) return turn.theirs.wall / turn.ours.wall end)
  figure(bench, "a writer, encoding included", "encoding alone", rates)
  bench.row(("writer, %s records: rate, to encoding them"):format(count), ">= 0.8", ("%.2f"):format(bench.median(rates)),
    bench.median(rates) >= 0.8)
  bench.note("%.2f us a record; encoding alone %.2f",
    bench.median_of(turns, function(turn) return turn.ours.wall end) / bench.size.written * 1e6,
    bench.median_of(turns, function(turn) return turn.theirs.wall end) / bench.size.written * 1e6)
end

local function timed(run)
  local began = core.system.monotonic()
  run()
  return core.system.monotonic() - began
end

-- The same work at a server that takes its time, one request after another and many at once.
local function gain(bench, what, latency, target, width, run)
  local directory <close> = directories.make()
  local server <close> = assert(emulator.start { latency_ms = latency, data_dir = directory.path })
  local client = assert(catalog.client { base_url = server.url, org = "ORG@AdobeOrg", api_key = "key", token = "token" })
  local function at(parallel)
    local batch = assert(client:create_batch { dataset = "d", format = "json" })
    return timed(function() run(batch, parallel, client) end)
  end
  local alone, together = at(1), at(width)
  bench.row(what, (">= %d times"):format(target), ("%.1f times"):format(alone / together), alone / together >= target)
  bench.note("%.2f seconds, and %.2f one at a time", together, alone)
end

local function parts(bench)
  local data = ("x"):rep(64 * MIB)
  gain(bench, "64 parts of 1 MiB, 50 ms a request: 8 at once", 50, 6, 8, function(batch, parallel)
    assert(batch:upload("file", { data = data }, { part_threshold = 1, part_size = MIB, parallel = parallel }))
  end)
end

local function many_files(bench, directory)
  local files = {}
  for i = 1, 1500 do
    files[i] = ("%s/%d.json"):format(directory, i)
    local file <close> = assert(io.open(files[i], "wb"))
    file:write(('{"n":%4d}\n'):format(i):rep(410):sub(1, 4096))
  end
  gain(bench, "1500 files of 4 KiB, 20 ms a request: 16 at once", 20, 12, 16, function(_, parallel, client)
    assert(client:ingest {
      dataset = "d", format = "json", files = files, parallel = parallel, partial_ingestion = 100,
    })
  end)
end

--- Measures by how much memory grows while files of several sizes are sent. They are sparse.
function uploads.sizes(bench)
  with_directory(function(directory)
    for power = 24, 32, 2 do
      local bytes = 1 << power
      local path = ("%s/%d"):format(directory, bytes)
      output(("truncate -s %d %s"):format(bytes, path))
      for _, case in ipairs { { "file", path }, { "reader", tostring(bytes) } } do
        local grown = ours(bench, case[1], case[2]).grown
        bench.figure("memory", { way = case[1], bytes = bytes, grown = grown })
        bench.note("%d MiB by %s: memory grows by %.1f MiB", bytes // MIB, case[1], grown / MIB)
      end
    end
  end)
end

--- Measures all of it. A chosen part prints its own rows.
function uploads.run(bench)
  with_directory(function(directory)
    file_against_curl(bench, directory)
    memory(bench, directory)
    writer_against_encoding(bench)
    parts(bench)
    many_files(bench, directory)
  end)
end

return uploads
