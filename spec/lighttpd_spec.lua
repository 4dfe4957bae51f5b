-- A host that is not ours: lighttpd, as Debian has it, runs examples/lighttpd/create.lua in mod_magnet.
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local ports = require "support.ports"
local raw = require "support.raw"
local service = require "support.service"
local shell = require "support.shell"

-- Where Debian has it, which need not be in the PATH of a user.
local LIGHTTPD <const>, MAGNET <const> = "/usr/sbin/lighttpd", "/usr/lib/lighttpd/mod_magnet.so"

-- lighttpd wants whole paths.
local SCRIPTS <const> = shell.run("pwd"):gsub("%s+$", "") .. "/examples/lighttpd"

local TOKEN <const> = "s3cret-token"

-- Why it cannot be run here, or nil.
local function missing()
  local libraries, failed = shell.run(("test -x %s && ldd %s"):format(LIGHTTPD, MAGNET))
  if failed ~= 0 then return "lighttpd is not installed (Debian: lighttpd, lighttpd-modules-lua)" end
  if not libraries:find("liblua5.4", 1, true) then return "lighttpd's mod_magnet is not built with Lua 5.4" end
end

local Host = {}
Host.__index = Host

-- Ends it, and waits until it has.
function Host:__close()
  self:signal "TERM"
  self.pipe:close()
end

function Host:signal(name)
  shell.run(("kill -%s %s"):format(name, self.pid))
end

function Host:log()
  return shell.read(self.directory .. "/log")
end

--- Sends a request with curl. Gives the status, the value of the JSON in the body, and the whole answer as text.
function Host:request(words)
  local answer, failed = shell.run(("curl -s -i --noproxy '*' --max-time 20 %s http://127.0.0.1:%d/batches"):format(
    words or "", self.port))
  if failed ~= 0 then return nil, nil, ("curl: %d; %s"):format(failed, self:log()) end
  local body = answer:match "\r\n\r\n(.*)$"
  return tonumber(answer:match "^HTTP/1.1 (%d+)"), core.json.decode(body), answer
end

function Host:create(more)
  return self:request(("-d dataset=%s %s"):format(service.DATASET, more or ""))
end

function Host:wait_until(ready)
  for _ = 1, 200 do
    if ready() then return end
    shell.run "sleep 0.05"
  end
  error("lighttpd is not ready: " .. self:log())
end

-- Starts lighttpd with AEP_* for a server. The shell becomes lighttpd: its pid is lighttpd's, and closing the pipe waits
-- for it.
local function start(directory, url, changes)
  local variables = {
    PORT = ports.free(), ROOT = directory, SCRIPTS = SCRIPTS, AEP_BASE_URL = url, AEP_IMS_URL = url,
    AEP_ORG = "ORG@AdobeOrg", AEP_API_KEY = "key", AEP_ACCESS_TOKEN = TOKEN,
  }
  for name, value in pairs(changes or {}) do variables[name] = value end
  local words = {}
  for name, value in pairs(variables) do words[#words + 1] = name .. "=" .. shell.quote(tostring(value)) end
  local pipe = assert(io.popen(("echo $$; exec env %s %s -D -f %s/lighttpd.conf 2>%s/log"):format(
    table.concat(words, " "), LIGHTTPD, shell.quote(SCRIPTS), shell.quote(directory))))
  return setmetatable({ pipe = pipe, pid = pipe:read "l", port = variables.PORT, directory = directory }, Host)
end

-- Calls `body(host, server)` with an emulator and a lighttpd in front of it.
local function with_host(options, changes, body)
  shell.with_directory(function(directory)
    options.log = directory .. "/emulator"
    local server <close> = assert(emulator.start(options))
    local host <close> = start(directory, server.url, changes)
    host:wait_until(function() return host:request() end)
    body(host, server)
  end)
end

-- How many requests the emulator has answered whose line in its log begins like this.
local function count(host, beginning)
  local number = 0
  for line in io.lines(host.directory .. "/emulator") do
    if line:sub(1, #beginning) == beginning then number = number + 1 end
  end
  return number
end

local CREATION <const> = "POST /data/foundation/import/batches "

describe("lighttpd with mod_magnet", function()
  local reason = missing()
  if reason then
    pending(reason)
    return
  end

  it("creates a batch", function()
    with_host({ tokens = { TOKEN } }, nil, function(host, server)
      local status, made, answer = host:create "-d format=json"
      assert.equal(201, status, answer)
      assert.equal("loading", made.status)
      local batch = assert(service.client(server.url, { token = TOKEN }):batch(made.id):get())
      assert.equal("json", batch.inputFormat.format)
      assert.equal(service.DATASET, batch.relatedObjects[1].id)
    end)
  end)

  it("answers what cannot be done with a status and the error", function()
    with_host({}, nil, function(host)
      local status, said, answer = host:request()
      assert.equal(405, status)
      assert.equal("method", said.error.kind)
      assert.matches("\r\nAllow: POST\r\n", answer, 1, true)
      assert.equal(405, (host:request "-X DELETE"))
      for form, message in pairs {
        [""] = "dataset is empty", ["dataset="] = "dataset is empty", ["dataset=%FF"] = "not UTF-8",
        ["dataset=d&format=xml"] = "format 'xml' is not known",
      } do
        status, said = host:request("-d " .. shell.quote(form))
        assert.equal(400, status, form)
        assert.equal("data", said.error.kind)
        assert.matches(message, said.error.message, 1, true)
      end
      shell.write(host.directory .. "/large", ("x"):rep(100000))
      assert.equal(413, (host:request(("-d @%s/large"):format(host.directory))))
      assert.equal(201, (host:create "-d external_id=ours"))
      status, said = host:create "-d external_id=ours"
      assert.equal(409, status)
      assert.matches("the external id ours is that of the batch", said.error.message, 1, true)
    end)
  end)

  it("answers a refusal without the token", function()
    with_host({ tokens = { "good" } }, nil, function(host)
      local status, said, answer = host:create()
      assert.equal(502, status)
      assert.equal("auth", said.error.kind)
      assert.is_nil((answer .. host:log()):find(TOKEN, 1, true))
    end)
  end)

  it("answers that its configuration is not complete", function()
    with_host({}, { AEP_ORG = "" }, function(host)
      local status, said = host:create()
      assert.equal(500, status)
      assert.equal("config", said.error.kind)
      assert.matches("AEP_ORG", said.error.message, 1, true)
    end)
  end)

  it("lives on while the service is gone, and creates when it is back", function()
    with_host({}, nil, function(host, server)
      assert.equal(201, (host:create()))
      server:stop()
      for _ = 1, 3 do
        local status, said = host:create()
        assert.equal(502, status)
        assert.equal("network", said.error.kind)
        assert.is_nil(said.error.ambiguous)
      end
      assert.equal(405, (host:request()))
      local back <close> = assert(emulator.start { port = server.port })
      local status, made = host:create()
      assert.equal(201, status)
      assert(service.client(back.url):batch(made.id):get())
    end)
  end)

  it("does not wait longer than some seconds for a service that says nothing", function()
    local silent <close> = raw.start { { { hang = true } } }
    with_host({}, { AEP_BASE_URL = silent.url }, function(host)
      local before = core.system.monotonic()
      local status, said = host:create()
      assert.equal(504, status)
      assert.is_true(said.error.ambiguous)
      assert.is_true(core.system.monotonic() - before < 8)
      assert.equal(405, (host:request()))
    end)
  end)

  it("makes one client for all requests, which fetches one token", function()
    with_host({ clients = { key = "s3cret-secret" } }, { AEP_ACCESS_TOKEN = "", AEP_CLIENT_SECRET = "s3cret-secret" },
      function(host)
        for _ = 1, 5 do assert.equal(201, (host:create())) end
        assert.equal(5, count(host, CREATION))
        assert.equal(1, count(host, "POST /ims/token/v3 "))
      end)
  end)

  it("keeps the client's connection", function()
    local created = { send = raw.answer("201 Created", '{"id":"b1","status":"loading"}') }
    local one <close> = raw.start { { created, created, created }, { { send = raw.answer("500 Another connection", "") } } }
    with_host({}, { AEP_BASE_URL = one.url }, function(host)
      for _ = 1, 3 do assert.equal(201, (host:create())) end
    end)
  end)

  it("creates one batch when the answer is lost", function()
    with_host({}, nil, function(host, server)
      server:set_faults { { match = { method = "POST" }, times = 1, action = { drop = "after" } } }
      local status, made, answer = host:create()
      assert.equal(201, status, answer)
      assert.equal(1, count(host, CREATION))
      assert(service.client(server.url):batch(made.id):get())
    end)
  end)

  -- After two in a minute a client would keep to that pace: the next in 30 seconds.
  it("passes on a refusal for the pace, and does not pause for it", function()
    with_host({}, nil, function(host, server)
      for _ = 1, 2 do assert.equal(201, (host:create())) end
      server:set_faults { { times = 1, action = { status = 429, headers = { ["Retry-After"] = "7" } } } }
      local status, _, answer = host:create()
      assert.equal(503, status)
      assert.matches("\r\nRetry-After: 7\r\n", answer, 1, true)
      assert.equal(201, (host:create()))
    end)
  end)

  -- lighttpd closes the Lua states, unloads mod_magnet, and loads all of it again.
  it("goes on after a graceful restart", function()
    with_host({}, nil, function(host)
      for times = 1, 3 do
        assert.equal(201, (host:create()))
        host:signal "USR1"
        host:wait_until(function() return select(2, host:log():gsub("server started", "")) == times + 1 end)
      end
      assert.equal(201, (host:create()))
    end)
  end)
end)
