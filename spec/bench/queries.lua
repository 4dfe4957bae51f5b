--- What is measured of finding and fetching: a listing against libcurl and lua-cjson over the same pages, a download
-- against curl, and the check of records against Python's fastjsonschema.
local core = require "catalog.core"
local directories = require "spec.bench.directory"
local nginx = require "spec.bench.nginx"
local profile_schema = require "spec.bench.profile_schema"
local profiles = require "spec.bench.profiles"

local queries = {}

local MIB <const> = 1024 * 1024
local PAGE <const> = 100

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

local function output(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  assert(pipe:close(), command .. " failed")
  return text
end

-- One side, in a process of its own.
local function run(bench, way, ...)
  local words = table.concat({ bench.lua, bench.root .. "/spec/bench/querier.lua", way, ... }, " ")
  local wall, cpu, grown, count = output(words):match "([%d.e-]+)%s+([%d.e-]+)%s+(%d+)%s+(%d+)"
  return { wall = tonumber(wall), cpu = tonumber(cpu), grown = tonumber(grown), count = math.tointeger(tonumber(count)) }
end

-- The sides take turns.
local function turns_of(count, one, other)
  local turns = {}
  for i = 1, count do
    if i % 2 == 0 then turns[i] = { ours = one(), theirs = other() } end
    if i % 2 == 1 then turns[i] = { theirs = other(), ours = one() } end
  end
  return turns
end

-- --- a listing ---

-- A batch as the service shows it.
local function entry(id, created)
  local fields = core.json.decode(nginx.answer)
  fields.id, fields.created, fields.updated, fields.status = id, created, created + 60000, "success"
  fields.metrics = {
    inputByteSize = 104857600, inputFileCount = 4, inputRecordCount = 80000, outputRecordCount = 79998,
    failedRecordCount = 2, partitionCount = 1, outputFileCount = 3, outputByteSize = 31457280,
  }
  fields.errors = core.json.array { {
    code = "INGEST-1212-400", description = "Encountered 2 errors in the data", recordCount = 2,
  } }
  return fields
end

-- Makes the pages of a listing, the newest first: a page begins with what the one before ended with. Gives the file that
-- has their URLs.
local function make_pages(directory, count, url)
  local urls, before, number, members = {}, nil, count
  repeat
    members = {}
    local first = before and number + 1 or number
    for i = first, math.max(first - PAGE + 1, 1), -1 do
      local id = ("%026d"):format(i)
      members[#members + 1] = ('"%s":%s'):format(id, assert(core.json.encode(entry(id, 1700000000000 + i * 1000))))
      number = i - 1
    end
    write(("%s/page-%s"):format(directory, before or ""), "{" .. table.concat(members, ",") .. "}")
    urls[#urls + 1] = ("%s/data/foundation/catalog/batches?createdAfter=0%s&limit=100&start=0\n"):format(url, before
      and "&createdBefore=" .. before or "")
    before = 1700000000000 + (number + 1) * 1000 + 1
  until #members < PAGE
  write(directory .. "/urls", table.concat(urls))
  return directory .. "/urls"
end

function queries.listing(bench)
  local place <close> = directories.make()
  local server <close> = nginx.start(([[location = /data/foundation/catalog/batches {
    root %s;
    try_files /page-$arg_createdBefore =404;
  }]]):format(place.path))
  output("chmod 755 " .. place.path)
  local count = bench.size.listed
  local urls = make_pages(place.path, count, server.url)
  local turns = turns_of(bench.size.uploads, function()
    local side = run(bench, "list", server.url)
    assert(side.count == count, side.count)
    return side
  end, function() return run(bench, "pages", server.url, urls) end)
  local ratios = bench.map(turns, function(turn) return turn.ours.cpu / turn.theirs.cpu end)
  local grown = bench.median_of(turns, function(turn) return turn.ours.grown end)
  local two = run(bench, "two", server.url, output("head -n 1 " .. urls):gsub("%s+$", ""):gsub("[&?]", "\\%0")).count
  bench.row(("%d batches listed: CPU, to libcurl and lua-cjson"):format(count), "<= 1.5",
    ("%.2f"):format(bench.median(ratios)), bench.median(ratios) <= 1.5)
  bench.note("%.1f us a batch; the others %.1f",
    bench.median_of(turns, function(turn) return turn.ours.cpu end) / count * 1e6,
    bench.median_of(turns, function(turn) return turn.theirs.cpu end) / count * 1e6)
  bench.row("the same: memory from the tenth page on, to two pages", ("<= %.1f MiB"):format(two / MIB),
    ("%+.1f MiB"):format(grown / MIB), grown <= two)
end

-- --- a download ---

local FILES <const> = 8

-- Calls `body(server, targets)` with a server that has a batch of so many bytes in files.
local function with_files(bytes, body)
  local place <close> = directories.make()
  output("chmod 755 " .. place.path)
  local names, members = {}, {}
  for i = 1, FILES do
    names[i] = ("part-%d.json"):format(i)
    members[i] = ('{"name":"%s","length":"%d"}'):format(names[i], bytes // FILES)
    output(("head -c %d /dev/urandom >%s/%s"):format(bytes // FILES, place.path, names[i]))
  end
  local server <close> = nginx.start(([[location = /data/foundation/export/batches/b/files {
      return 200 '{"data":[{"dataSetFileId":"f"}]}';
    }
    location = /data/foundation/export/files/f {
      if ($arg_path) { rewrite ^ /content/$arg_path last; }
      return 200 '{"data":[%s]}';
    }
    location /content/ { alias %s/; sendfile on; }]]):format(table.concat(members, ","), place.path))
  local place_of_target <close> = directories.make()
  body(server, names, place_of_target.path)
end

local function downloads_to(bench, server, names, to, more)
  local words = {}
  for i, name in ipairs(names) do
    words[i] = ("-o %s/theirs/%s %s/content/%s"):format(to, name, server.url, name)
  end
  local curl = ("rm -rf %s/theirs && mkdir %s/theirs && date +%%s.%%N && curl -s --parallel --parallel-max %d %s"
    .. " 2>/dev/null%s && date +%%s.%%N"):format(to, to, FILES, table.concat(words, " "), more)
  return turns_of(bench.size.uploads, function()
    core.fs.remove(to .. "/ours")
    return run(bench, "download", server.url, to .. "/ours")
  end, function()
    local first, last = output(curl):match "([%d.]+)%s+([%d.]+)"
    return { wall = tonumber(last) - tonumber(first) }
  end)
end

local function rates_of(bench, turns)
  local ratios = bench.map(turns, function(turn) return turn.theirs.wall / turn.ours.wall end)
  return bench.median(ratios), bench.median_of(turns, function(turn) return turn.ours.wall end),
    bench.median_of(turns, function(turn) return turn.theirs.wall end)
end

function queries.downloads(bench)
  local bytes = bench.size.downloaded
  with_files(bytes, function(server, names, to)
    local turns = downloads_to(bench, server, names, to, "")
    local ratio, ours, theirs = rates_of(bench, turns)
    local grown = bench.median_of(turns, function(turn) return turn.ours.grown end) / MIB
    local ratios = bench.map(turns, function(turn) return turn.theirs.wall / turn.ours.wall end)
    bench.figure("speed", {
      what = ("%d files, downloaded"):format(FILES), peer = "curl --parallel", ratio = ratio,
      low = bench.quantile(ratios, 0.25), high = bench.quantile(ratios, 0.75),
    })
    bench.row(("%d MiB in %d files downloaded: rate, to curl --parallel"):format(bytes // MIB, FILES), ">= 0.95",
      ("%.2f"):format(ratio), ratio >= 0.95)
    bench.note("%.2f seconds; curl %.2f", ours, theirs)
    bench.row("the same: memory", "<= 8 MiB", ("%+.1f MiB"):format(grown), grown <= 8)
    local disk = assert(core.fs.temporary())
    ratio, ours, theirs = rates_of(bench, downloads_to(bench, server, names, disk, (" && sync %s/theirs/*"):format(disk)))
    core.fs.remove(disk)
    bench.note("onto a disk: %.2f seconds; curl and sync %.2f, a ratio of %.2f", ours, theirs, ratio)
  end)
end

-- --- checking records ---

-- A Python that has fastjsonschema: Debian's, where there is another.
local function python()
  for _, name in ipairs { "python3", "/usr/bin/python3" } do
    if os.execute(name .. " -c 'import fastjsonschema' 2>/dev/null") then return name end
  end
  error "there is no fastjsonschema: install python3-fastjsonschema (Debian)"
end

function queries.checking(bench)
  local place <close> = directories.make()
  local path, lines, bytes = place.path .. "/records.json", {}, 0
  for i, record in ipairs(profiles(bench.size.checked, 20190318)) do
    if i % 1000 == 0 then record.loyalty.points = "many" end
    lines[i] = assert(core.json.encode(record))
    bytes = bytes + #lines[i]
  end
  write(path, table.concat(lines, "\n") .. "\n")
  write(path .. ".schema", assert(core.json.encode(profile_schema)))
  local bad, name = #lines // 1000, python()
  local turns = turns_of(bench.size.uploads, function()
    local side = run(bench, "check", bench.server.url, path)
    assert(side.count == bad, side.count)
    return side
  end, function()
    local text = output(("%s %s/spec/bench/checks.py %s %s.schema"):format(name, bench.root, path, path))
    local wall, found = text:match "([%d.]+) (%d+)"
    assert(tonumber(found) == bad, found)
    return { wall = tonumber(wall) }
  end)
  local ratio, ours, theirs = rates_of(bench, turns)
  bench.row(("%d records checked: rate, to fastjsonschema"):format(#lines), ">= 2", ("%.1f"):format(ratio), ratio >= 2)
  bench.note("%.2f us a record of %.0f bytes; fastjsonschema %.2f", ours / #lines * 1e6, bytes / #lines,
    theirs / #lines * 1e6)
end

return queries
