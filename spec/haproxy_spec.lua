-- A host that can only pause: HAProxy, as Debian 13 has it, runs examples/haproxy/sink.lua.
local core = require "catalog.core"
local ports = require "support.ports"
local program = require "support.program"
local shell = require "support.shell"
local sinking = require "support.sinking"

local numbers = sinking.numbers

-- Where Debian has it, which need not be in the PATH of a user.
local HAPROXY <const> = "/usr/sbin/haproxy"

local ROOT <const> = shell.run("pwd"):gsub("%s+$", "")

-- The script of the example, with a sink that is small.
local SCRIPT <const> = [[
local Client = require "catalog.client.client"
require "catalog.sink.open"
local open = Client.sink
function Client:sink(given)
  given.roll, given.limit = { bytes = 5e4 }, { bytes = 1e5, free = 0, timeout = 1 }
  given.file_bytes, given.record_bytes = 5e4, 1e3
  return open(self, given)
end
dofile "%s/examples/haproxy/sink.lua"
]]

-- Why it cannot be run here, or nil.
local function missing()
  local said, failed = shell.run(("test -x %s && %s -vv"):format(HAPROXY, HAPROXY))
  if failed ~= 0 then return "HAProxy is not installed (Debian 13: haproxy)" end
  if not said:find "HAProxy version [3-9]" or not said:find("Lua 5.4", 1, true) then
    return "HAProxy is older than 3, or is not built with Lua 5.4"
  end
end

local Host = {}
Host.__index = Host

function Host:__close() self.running:__close() end

--- Sends a request with curl. Gives the status, and the value of the JSON in the body.
function Host:request(words)
  local answer = shell.run(("curl -s --noproxy '*' --max-time 30 -w '%%{http_code}' %s http://127.0.0.1:%d/"):format(
    words, self.port))
  return tonumber(answer:sub(-3)), (core.json.decode(answer:sub(1, -4)))
end

function Host:post(text)
  shell.write(self.directory .. "/body", text)
  return self:request(("--data-binary @%s/body"):format(self.directory))
end

-- Starts it, and waits until it takes records.
local function start(run, url)
  local scripts = run.directory .. "/scripts"
  shell.run("mkdir -p " .. scripts)
  shell.write(scripts .. "/sink.lua", SCRIPT:format(ROOT))
  local host = setmetatable({ port = ports.free(), directory = run.directory }, Host)
  local variables = ("PORT=%d SCRIPTS=%s DATASET=d SPOOL=%s"):format(host.port, scripts, run.spool)
  host.running = program.run(url, ("%s %s -db -f examples/haproxy/haproxy.cfg"):format(variables, HAPROXY))
  run:wait_for(function() return host:post "" == 200 end)
  return host
end

describe("HAProxy", function()
  local reason = missing()
  if reason then
    pending(reason)
    return
  end

  it("has what was posted on disk, says what is no record, and sends all of it", function()
    sinking.run(function(run)
      local host <close> = start(run, run.server.url)
      local status, told = host:post(numbers(1, 3) .. "no json\n" .. numbers(4, 4))
      assert.equal(200, status)
      assert.same({ 4, 1, 4 }, { told.accepted, told.rejected, told.errors[1].line })
      assert.equal(numbers(1, 4), run:waiting())
      for i = 0, 9 do assert.equal(200, (host:post(numbers(5 + 1000 * i, 1004 + 1000 * i)))) end -- more than a batch
      run:wait_for(function() return run:sent():find('{"n":5}', 1, true) end)
      host.running:signal "TERM"
      host.running:finish()
      local output
      output, status = run:send()
      assert.equal(0, status, output)
      assert.equal(numbers(1, 10004), run:sent())
    end)
  end)

  it("takes the records of many at once, is killed, and loses nothing that it answered for", function()
    sinking.run(function(run)
      shell.write(run.directory .. "/post.py", [[
import http.client, sys, threading
port, first = int(sys.argv[1]), int(sys.argv[2])
answered = []
def post(worker):
    try:
        for i in range(200):
            start = first + worker * 10000 + i * 20
            body = "".join('{"n":%d}\n' % n for n in range(start, start + 20))
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("POST", "/", body)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                answered.append(start)
    except (OSError, http.client.HTTPException):
        pass
workers = [threading.Thread(target=post, args=(w,)) for w in range(8)]
for w in workers: w.start()
for w in workers: w.join()
print("\n".join(map(str, answered)))
]])
      local answered = {}
      for round = 1, 3 do
        local host <close> = start(run, run.server.url)
        local posting = shell.start(("timeout 60 python3 %s/post.py %d %d"):format(run.directory, host.port, round * 100000))
        shell.run(("sleep %.3f"):format(0.3 + math.random()))
        host.running:signal "KILL"
        for first in posting():gmatch "%d+" do answered[#answered + 1] = tonumber(first) end
      end
      local output, status = run:send()
      assert.equal(0, status, output)
      local counts = {}
      for n in run:sent():gmatch '{"n":(%d+)}\n' do counts[tonumber(n)] = (counts[tonumber(n)] or 0) + 1 end
      assert.is_true(#answered > 0)
      for _, first in ipairs(answered) do
        for n = first, first + 19 do assert.equal(1, counts[n], n) end
      end
      for n, count in pairs(counts) do assert.equal(1, count, n) end
    end)
  end)

  it("says no when the spool is full, and to what is no request for it", function()
    sinking.run(function(run)
      local host <close> = start(run, sinking.DOWN.url)
      local status, told
      for _ = 1, 30 do
        status, told = host:post(numbers(1, 1000))
        if status ~= 200 then break end
      end
      assert.equal(503, status)
      assert.matches("is full", told.error, 1, true)
      assert.equal(405, (host:request ""))
      assert.equal(400, (host:request "-H 'Transfer-Encoding: chunked' -d x"))
      shell.run(("truncate -s 70M %s/body"):format(run.directory))
      assert.equal(413, (host:request(("--data-binary @%s/body"):format(run.directory))))
    end)
  end)
end)
