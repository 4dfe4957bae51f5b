--- What is measured of a host's loop while uploads run in it: by how much a timer of one millisecond is late, and how
-- late it is in the same loop when another process does the uploads.
local core = require "catalog.core"
local hosts = require "spec.bench.hosts"

local BYTES <const>, WIDTH <const> = 256 * 1024 * 1024, 8
local MORE <const>, MOST <const> = 0.002, 0.020 -- seconds: of the 999th of a thousand; of each

local lateness = {}

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

-- A sparse file, whose bytes come from memory: a disk is not what is measured.
local function make_file(path)
  assert(os.execute(("truncate -s %d '%s' && cat '%s' >/dev/null"):format(BYTES, path, path)))
end

local function curl_settings(path, base_url)
  local lines = { "silent", "parallel", "no-progress-meter", "parallel-immediate", "parallel-max = " .. WIDTH }
  for i = 1, WIDTH do
    lines[#lines + 1] = ('upload-file = "%s"\nurl = "%s/file%d"\noutput = "/dev/null"'):format(path, base_url, i)
  end
  return table.concat(lines, "\n") .. "\n"
end

local function tick(bench, directory, name, side)
  local pipe = assert(io.popen(("'%s' '%s/spec/bench/ticker.lua' %s %s %s %s/file %d %d %s/curl"):format(bench.lua,
    bench.root, name, side, bench.server.url, directory, WIDTH, bench.size.rounds, directory)))
  local share, most, count = pipe:read("n", "n", "n")
  assert(pipe:close() and count, "the process with the timer did not finish")
  return { share = share, most = most, count = count }
end

local function turns_of(bench, directory, name)
  local turns = {}
  for i = 1, bench.size.watched do
    local turn, sides = {}, { "ours", "curl" }
    for k = 1, 2 do
      local side = sides[i % 2 == 0 and k or 3 - k]
      turn[side] = tick(bench, directory, name, side)
    end
    turns[i] = turn
  end
  return turns
end

local function report(bench, name, turns)
  local function of(side, field)
    return bench.map(turns, function(turn) return turn[side][field] * 1e3 end)
  end
  local more = bench.median_of(turns, function(turn) return turn.ours.share - turn.curl.share end)
  local most = bench.quantile(of("ours", "most"), 1)
  for _, side in ipairs { "ours", "curl" } do
    bench.figure("lateness", {
      loop = name, beside = ("%d uploads"):format(WIDTH), side = side, share = bench.median(of(side, "share")),
      most = bench.quantile(of(side, "most"), 1),
    })
  end
  bench.row(("a 1 ms timer in %s beside %d uploads: p99.9"):format(name, WIDTH), "<= 2 ms more",
    ("%+.2f ms"):format(more * 1e3), more <= MORE)
  bench.note("%.2f ms late, beside curl %.2f; medians of %d pairs, of %d rings or more", bench.median(of("ours", "share")),
    bench.median(of("curl", "share")), #turns,
    bench.quantile(bench.map(turns, function(turn) return turn.ours.count end), 0) // 1 | 0)
  bench.row("the same: the latest of all", "<= 20 ms", ("%.2f ms"):format(most), most <= MOST * 1e3)
  bench.note("the latest of a run: median %.2f ms; beside curl %.2f, and %.2f of all", bench.median(of("ours", "most")),
    bench.median(of("curl", "most")), bench.quantile(of("curl", "most"), 1))
end

--- Measures all of it.
function lateness.run(bench)
  local directory <close> = setmetatable({ assert(core.fs.temporary()) }, {
    __close = function(self) core.fs.remove(self[1]) end,
  })
  make_file(directory[1] .. "/file")
  write(directory[1] .. "/curl", curl_settings(directory[1] .. "/file", bench.server.url))
  for _, name in ipairs(hosts.names) do report(bench, name, turns_of(bench, directory[1], name)) end
end

return lateness
