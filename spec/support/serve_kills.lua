-- `kill -9` at random moments of `catalog serve`, and of connections to it: whoever posts with positions repeats what was
-- not answered, and then each record is in the platform once.
local emulator = require "catalog.emulator"
local serving = require "support.serving"
local shell = require "support.shell"
local sink_kills = require "support.sink_kills"
local socket = require "cqueues.socket"

local serve_kills = {}

-- The status of a shell whose program was killed.
local KILLED <const> = 9

-- How many records a spool takes.
local LAST <const> = 2000

local WORDS <const> = "--sync-seconds 2ms --file-bytes 300 --record-bytes 200 --roll-records 37 --limit-free 0 --quiet"
  .. " --listen unix:%s/socket"

-- What is posted at a time: records up to a position.
local function request_of(from, last)
  local lines = {}
  for i = from + 1, last do lines[#lines + 1] = ('{"n":%d}\n'):format(i) end
  local body = table.concat(lines)
  return ("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCatalog-Source: s\r\nCatalog-Position: %d\r\n"
    .. "Content-Length: %d\r\n\r\n%s"):format(last, #body, body)
end

-- Sends bytes and gives the status; nil: there is none, as the server is not there, or as `cut`, we leave before.
local function exchange(path, bytes, cut)
  local connection = socket.connect { path = path }
  connection:setmode("b", "bn")
  connection:settimeout(20)
  connection:onerror(function(_, _, why) return why end)
  local sent = connection:connect(1) and connection:write(cut and bytes:sub(1, cut) or bytes) and connection:flush()
  local line = sent and not cut and connection:read "*l"
  connection:close()
  return line and tonumber(line:match "^HTTP/1.1 (%d+)")
end

-- Waits until somebody listens.
local function wait_for_server(run)
  for _ = 1, 200 do
    if exchange(run.spool .. "/socket", "GET /health HTTP/1.1\r\nHost: x\r\n\r\n") then return end
    shell.run "sleep 0.005"
  end
end

-- Posts until all was answered with 200, or the server is not there any more. Gives the position that it has come to.
local function post(run, at)
  local misses = 0
  while at < run.most do
    local last = run.last or math.min(at + math.random(1, 12), run.most)
    run.last = last -- what was not answered is sent again as it was
    local bytes = request_of(at, last)
    if math.random(6) == 1 then exchange(run.spool .. "/socket", bytes, math.random(#bytes)) end
    local status = exchange(run.spool .. "/socket", bytes)
    if status == 200 then
      at, run.last, misses = last, nil, 0
    else
      misses = misses + 1
      if status and status < 429 then error(("status %d"):format(status), 0) end
      if misses > 3 then return at end
    end
  end
  return at
end

-- One spool, whose server is killed again and again until all was answered; then what waits is sent.
local function trial(run)
  local at, killed = 0, 0
  while at < run.most do
    local server <close> = serving.start(run.spool, WORDS:format(run.spool), { url = run.server.url, is_quiet = true })
    wait_for_server(run)
    local finish = shell.start(("sleep %.4f; kill -9 %s"):format(math.random() * 0.12, server.program.pid))
    at = post(run, at)
    finish()
    local _, status = server.program:finish()
    killed = killed + (status == KILLED and 1 or 0)
  end
  local output, code = shell.run(("AEP_BASE_URL=%s AEP_ORG=ORG@AdobeOrg AEP_API_KEY=key AEP_ACCESS_TOKEN=token %s"
    .. " lua/catalog/cli/main.lua sink -q --dataset d --spool %s/spool --wait --limit-free 0 </dev/null"):format(
    run.server.url, shell.LUA, run.spool))
  assert(code == 0, output)
  return killed
end

--- Kills it so many times.
-- @tparam integer count
-- @tparam ?table more options of the emulator
-- @tparam ?integer most how many records a spool takes
-- @treturn integer how many spools it took
function serve_kills.run(count, more, most)
  return shell.with_directory(function(directory)
    local options = { data_dir = directory .. "/data", faults = sink_kills.FAULTS, seed = 11 }
    for name, value in pairs(more or {}) do options[name] = value end
    local server <close> = assert(emulator.start(options))
    local run, killed, spools = { directory = directory, server = server, most = most or LAST }, 0, 0
    while killed < count do
      spools = spools + 1
      run.spool = ("%s/%d"):format(directory, spools)
      shell.run("mkdir " .. run.spool)
      killed = killed + trial(run)
      local fault = sink_kills.fault_of(run, spools, run.most)
      if fault then error(("spool %d: %s"):format(spools, fault), 0) end
    end
    return spools
  end)
end

return serve_kills
