-- `catalog serve` beside a spec, at an emulator, and requests to it.
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local exchange = require "support.exchange"
local program = require "support.program"
local shell = require "support.shell"

local BUILD <const> = os.getenv "CATALOG_BUILD" or "build"

local Serving = {}
Serving.__index = Serving

local serving = {}

--- What stands before a command whose disk is `spec/scripts/disk.c`: it does what a file says.
function serving.disk(path)
  return ("export DISK=%s DISK_LIBRARY=%s/slow_disk.so;"):format(shell.quote(path), BUILD)
end

--- Starts it, with a spool in a directory; `words` are more of its options. Of `given`: `url`, that of the service, which
-- is down otherwise; `before` and `by` as for `program.start`; `is_quiet`: nothing that it says is waited for.
function serving.start(directory, words, given)
  given = given or {}
  shell.write(directory .. "/access", "token\n") -- of a fixed token it would be warned
  local before = ("unset AEP_ACCESS_TOKEN; export AEP_ACCESS_TOKEN_FILE=%s/access; %s"):format(directory, given.before or "")
  local started = program.start(given.url or "http://127.0.0.1:1",
    ("lua/catalog/cli/main.lua serve --spool %s/spool %s%s"):format(directory,
      words:find "--dataset" and "" or "--dataset d ", words:find "--listen " and words or "--listen 127.0.0.1:0 " .. words),
    before, given.by)
  local said, line = {}, nil
  if not given.is_quiet then line = started:line() end
  while line and not (line:find "takes records at" or line:find "^Listening on") do
    said[#said + 1], line = line, started:line()
  end
  said[#said + 1] = line
  return setmetatable({
    program = started, directory = directory, said = table.concat(said, "\n"),
    port = math.tointeger(tonumber((line or ""):match ":(%d+)$")),
  }, Serving)
end

--- Calls `body(server)` with one at an emulator, and ends it. `server.service` is the emulator.
function serving.run(words, body, before)
  shell.with_directory(function(directory)
    local service <close> = assert(emulator.start { data_dir = directory .. "/data" })
    local server <close> = serving.start(directory, words, { url = service.url, before = before })
    assert(server.said:find "catalog: takes records at ", server.said)
    server.service = service
    body(server)
  end)
end

--- One request. Gives the status, the body (decoded where it is JSON), and the head.
function Serving:request(method, target, headers, body)
  local status, text, head = exchange.request(self.port, method, target, headers, body)
  local is_json = head and head:lower():find("content-type: application/json", 1, true)
  return status, is_json and method ~= "HEAD" and assert(core.json.decode(text)) or text, head
end

function Serving:post(body, headers, target) return self:request("POST", target or "/", headers, body) end

--- A number of its metrics; nil: there is none. `labels` are those behind that of the dataset.
function Serving:metric(name, labels)
  local text = select(2, self:request("GET", "/metrics"))
  for line in text:gmatch "[^\n]+" do
    local found, shown, value = line:match "^([%w_]+)(%S*) (%S+)$"
    if found == name and (not labels or shown:find(labels, 1, true)) then return tonumber(value) end
  end
end

--- What is in the spool of a stream, in files of segments: everything that was answered, where no batch is sealed.
function Serving:taken(name)
  return (shell.run(("cat %s/spool%s/seg/*.jsonl 2>/dev/null"):format(self.directory, name and "/" .. name or "")))
end

--- What batches have in the emulator.
function Serving:sent()
  return (shell.run(("find %s/data/files -type f -exec cat {} + 2>/dev/null"):format(self.directory)))
end

--- Waits until something is true.
function Serving:wait_for(is_there) -- luacheck: ignore 212
  local until_then = core.system.monotonic() + 20
  while core.system.monotonic() < until_then do
    local value = is_there()
    if value then return value end
    shell.run "sleep 0.02"
  end
  error("it did not come to that", 2)
end

--- Ends it as systemd does. Gives what it said, and its exit status.
function Serving:stop()
  self.program:signal "TERM"
  return self.program:finish()
end

function Serving:__close() self.program:__close() end

return serving
