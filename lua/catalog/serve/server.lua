--- An HTTP server that the scheduler turns. Each request is a task, so that many wait for the disk at once.
-- @module catalog.serve.server
local Group = require "catalog.scheduler.group"
local answers = require "catalog.serve.answers"
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local load_httpd = require "catalog.serve.httpd"
local scheduler = require "catalog.scheduler.scheduler"

local Server = {}
Server.__index = Server

-- How many connections there are at the most.
local CONNECTIONS <const> = 256

-- How many of the largest bodies are in memory, where these have so many bytes or more.
local LARGEST_BODIES <const>, LARGE <const> = 4, 65536

-- After how many seconds it is tried again to wait.
local AGAIN <const> = 0.1

-- What systemd gives first.
local FIRST_INHERITED <const> = 3

-- --- requests ---

-- The headers are there: what is refused by them is not kept.
local function open(self, request)
  local coding
  request.path, request.query = request.target:match "^([^?]*)%??(.*)$"
  request.refusal, coding = self.routes:admit(request)
  local is_refused = request.refusal ~= nil
  local at_once = is_refused and request.headers.expect ~= nil -- who asks whether to send the body is told
  return nil, nil, at_once, is_refused, coding
end

local function send(self, reply, answer)
  self.answered[answer.status] = (self.answered[answer.status] or 0) + 1
  if self.ending then answer.headers.connection = "close" end
  reply:send(answer.status, answer.headers, answer.body)
end

-- All is there. What waits for anything is left to a task.
local function handle(self, request, reply)
  if request.refusal then return send(self, reply, request.refusal) end
  self.waiting[#self.waiting + 1] = { request = request, reply = reply }
end

local function answer_one(self, exchange)
  local fine, answer = xpcall(self.routes.answer, debug.traceback, self.routes, exchange.request)
  if not fine then
    io.stderr:write("catalog: ", exchange.request.path, ": ", tostring(answer), "\n")
    answer = answers.problem(500, "the server failed; its stderr says how")
  end
  send(self, exchange.reply, answer)
end

local function begin_all(self)
  local waiting = self.waiting
  self.waiting = {}
  for _, exchange in ipairs(waiting) do scheduler.begin(self.group:new_task(answer_one, self, exchange)) end
end

-- Waits until the server is to be turned. False: it ends.
local function wait(self)
  if self.listener:start() then return scheduler.transfer(self.listener) end
  return scheduler.sleep(AGAIN) -- no descriptors are left for the engine
end

local function run(self)
  while self.httpd:turn() do
    begin_all(self)
    if self.draining then scheduler.complete(self.draining) end
    if not wait(self) then return end
  end
end

-- --- the server ---

-- Where to listen, as `catalog.httpd` is told.
local function placed(place)
  if not place.inherited then return place end
  local count = core.system.inherited_sockets()
  if count == 1 then return { descriptor = FIRST_INHERITED } end
  return failure("config", "there are %d sockets of systemd's (LISTEN_FDS), and one is needed", count)
end

local function shown(place, httpd)
  if place.path then return "unix:" .. place.path end
  if place.descriptor then return "a socket of systemd's" end
  local address = place.address:find(":", 1, true) and "[" .. place.address .. "]" or place.address
  return ("http://%s:%d"):format(address, httpd:port())
end

--- Starts a server.
-- @tparam table place `{ address, port }`, `{ path }` of a socket, or `{ inherited = true }`
-- @tparam table routes `admit(self, request)` is called when the headers are there, and gives an answer where the body
--   need not come, or nil and the coding of the body; `answer(self, request)` gives the answer, in a task of its own
-- @tparam table given `name` (begins what is said on stderr); `body_bytes` (the largest body); `beyond` (true: other
--   machines may reach it)
-- @treturn[1] table `answered` (status -> how many), `url`
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function Server.start(place, routes, given)
  local module, missing = load_httpd(given.name)
  if not module then return nil, missing end
  local where, unplaced = placed(place)
  if not where then return nil, unplaced end
  local self = setmetatable({
    routes = routes, waiting = {}, answered = {}, ending = false, draining = false, group = Group.new "detached",
  }, Server)
  local httpd, why = module.start {
    address = where.address, port = where.port, path = where.path, descriptor = where.descriptor,
    beyond = given.beyond, name = given.name, strict = true, connections = CONNECTIONS,
    max_body = given.body_bytes, max_bodies = LARGEST_BODIES * math.max(given.body_bytes, LARGE),
    open = function(request) return open(self, request) end,
    handle = function(request, reply) return handle(self, request, reply) end,
  }
  if not httpd then
    local hint = not given.beyond and why:find "other machines can reach it$" and "; give --listen-token-file" or ""
    return failure("config", "%s%s", why, hint)
  end
  self.httpd, self.url, self.listener = httpd, shown(where, httpd), core.listener.new(httpd:fd())
  scheduler.begin(self.group:new_task(run, self))
  return self
end

--- Lets nobody else in, and waits until all requests that are there were answered.
-- @tparam number seconds how long at the most
function Server:drain(seconds)
  self.ending = true
  self.httpd:quiesce()
  local deadline = core.system.monotonic() + seconds
  while self.httpd:requests() > 0 and core.system.monotonic() < deadline do
    self.draining = scheduler.new_operation(false)
    scheduler.add_timer(self.draining, deadline - core.system.monotonic())
    scheduler.await(self.draining)
  end
  self.draining = false
end

--- Ends the server. What was not answered is answered with 503.
function Server:close()
  if self.closed then return end
  self.closed = true
  self.listener:close()
  self.group:abandon()
  self.httpd:stop()
end

Server.__close = Server.close

return Server
