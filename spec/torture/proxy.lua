-- Creations by way of tinyproxy (Debian: tinyproxy-bin), which closes connections without a word: of plain http after
-- each answer, of a tunnel after a time. Prints how many ended as what; takes a minute or two.
--     eval "$(make -s env)"; LUA_PATH="spec/?.lua;$LUA_PATH" lua5.4 spec/torture/proxy.lua
local certificates = require "support.certificates"
local emulator = require "catalog.emulator"
local ports = require "support.ports"
local shell = require "support.shell"
local socket = require "cqueues.socket"

local WORKERS <const>, EACH <const> = 40, 25

-- After how many seconds the proxy closes a tunnel that is idle.
local IDLE <const> = 3

-- The pauses between the creations of a worker: the shortest and the longest, in seconds. Of plain http the next one
-- meets the close that follows the answer; in a tunnel, what comes when the proxy has waited long enough.
local PAUSES <const> = { plain = { 0, 0 }, tunnel = { IDLE - 0.004, IDLE + 0.012 } }

local WORKER <const> = [[
local service = require "support.service"
local sleep = require "cqueues".sleep
local url, proxy, ca_file, shortest, longest = %q, %q, %q, %g, %g
math.randomseed(%d)
local client = service.client(url, { proxy = proxy, ca_file = ca_file ~= "" and ca_file or nil })
local count = { created = 0, ambiguous = 0, failed = 0 }
for _ = 1, %d do
  local batch, err = client:create_batch { dataset = service.DATASET }
  local what = batch and "created" or err.ambiguous and "ambiguous" or "failed"
  count[what] = count[what] + 1
  if err then io.stderr:write(err.message, "\n") end
  local pause = shortest + math.random() * (longest - shortest)
  if pause > 0 then sleep(pause) end
end
print("counted", count.created, count.ambiguous, count.failed)
]]

local function wait_until_open(port)
  for _ = 1, 100 do
    local connection = socket.connect("127.0.0.1", port)
    connection:onerror(function(_, _, why) return why end)
    local open = connection:connect(1)
    connection:close()
    if open then return end
    os.execute "sleep 0.05"
  end
  error "tinyproxy does not start"
end

-- Runs `body(url)` beside a tinyproxy.
local function with_proxy(directory, body)
  local port, path = ports.free(), directory .. "/tinyproxy.conf"
  shell.write(path, ("Port %d\nListen 127.0.0.1\nTimeout %d\nMaxClients 100\nLogLevel Error\n"):format(port, IDLE))
  local pipe = assert(io.popen(("echo $$; exec tinyproxy -d -c %s >/dev/null 2>&1"):format(shell.quote(path))))
  local id = assert(pipe:read "n")
  local _ <close> = setmetatable({}, { __close = function()
    os.execute("kill " .. id)
    pipe:close()
  end })
  wait_until_open(port)
  return body(("http://127.0.0.1:%d"):format(port))
end

local function measure(kind, directory, url, proxy, ca_file)
  local workers, created, ambiguous, failed = {}, 0, 0, 0
  local shortest, longest = table.unpack(PAUSES[kind])
  for i = 1, WORKERS do
    local path = ("%s/worker%d.lua"):format(directory, i)
    shell.write(path, WORKER:format(url, proxy, ca_file or "", shortest, longest, i, EACH))
    workers[i] = shell.start(shell.LUA .. " " .. shell.quote(path))
  end
  for _, finish in ipairs(workers) do
    local output = finish()
    local a, b, c = output:match "counted%s+(%d+)%s+(%d+)%s+(%d+)"
    assert(a, output)
    created, ambiguous, failed = created + a, ambiguous + b, failed + c
  end
  print(("%s: of %d creations %d were made, %d are ambiguous, %d failed"):format(kind, WORKERS * EACH, created,
    ambiguous, failed))
end

shell.with_directory(function(directory)
  certificates.authority(directory)
  certificates.sign(directory, "server", "127.0.0.1", 1)
  with_proxy(directory, function(proxy)
    local plain <close> = assert(emulator.start {})
    measure("plain", directory, plain.url, proxy)
    local tls <close> = assert(emulator.start { cert = directory .. "/server.pem", key = directory .. "/server.key" })
    measure("tunnel", directory, tls.url, proxy, directory .. "/ca.pem")
  end)
end)
