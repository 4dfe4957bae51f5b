--- A client: one configuration, and the one place that sends.
-- @classmod catalog.client
local adapter = require "catalog.loop.adapter"
local auth = require "catalog.client.auth"
local config = require "catalog.client.config"
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local headers = require "catalog.client.headers"
local new_rate_limiter = require "catalog.client.rate_limiter"
local reply = require "catalog.client.reply"
local retry = require "catalog.client.retry"
local scheduler = require "catalog.scheduler.scheduler"

local clock <const> = core.system.monotonic

local Client = { __name = "catalog.client" }
Client.__index = Client

--- Makes a client.
-- @local
-- @tparam ?table given as in the guide (first-batch.md, Configuration): `org`, `api_key`, `token`, ...
-- @tparam[opt=1] integer level who is to blame for an unknown option, as in `error`
-- @treturn[1] catalog.client
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
-- @raise an option is unknown or has a wrong type
function Client.new(given, level)
  level = (level or 1) + 1
  local settings = config.read(given, level)
  local policy = retry.policy(settings.retry, level)
  adapter.check(settings.loop, level)
  local ok, err = config.check(settings)
  if not ok then return nil, err end
  local source, no_source = auth.source(settings)
  if not source then return nil, no_source end
  local logs = os.getenv "AEP_LOG" == "1"
  local connection, no_connection = core.client.new(settings)
  if not connection then return nil, no_connection end
  return setmetatable({
    process = scheduler.process(),
    base_url = settings.base_url, sandbox = settings.sandbox, timeout = settings.timeout,
    on_request = settings.on_request, logs = logs, observed = settings.on_request ~= nil or logs,
    org = settings.org, api_key = settings.api_key,
    credentials = source, connection = connection,
    rate_limiter = new_rate_limiter(settings.rate), policy = policy, on_retry = settings.on_retry,
    known_headers = {}, batch_types = {}, parallel = settings.parallel, loop = settings.loop,
  }, Client)
end

--- An exchange as a line, without secrets.
-- @local
-- @tparam table exchange as `on_request` gets it
-- @treturn string
function Client.describe(exchange)
  local about = exchange.method .. " " .. exchange.url
  local why = exchange.error and exchange.error.message or ""
  if why:sub(1, #about + 2) == about .. ": " then why = why:sub(#about + 3) end -- it is there already
  return ("%s %s %.3f s%s%s"):format(about, exchange.status or "-", exchange.seconds,
    exchange.request_id and " request " .. exchange.request_id or "", why ~= "" and " " .. why or "")
end

-- A host's observer that fails must not take the answer with it: the batch exists.
local function observe(client, exchange)
  if client.logs then io.stderr:write("catalog: ", Client.describe(exchange), "\n") end
  if client.on_request then
    local ok, message = pcall(client.on_request, exchange)
    if not ok then warn("catalog: on_request failed: ", tostring(message)) end
  end
end

--- When the call that begins now has to be over.
-- @local
-- @treturn number seconds on the monotonic clock
function Client:deadline()
  return clock() + self.policy.deadline
end

-- Submits a request. Gives its transfer, or nil and an error of kind `auth`, `config`, `timeout` or `cancelled`.
local function start(self, request, deadline)
  local list, err = headers.of(self, request, deadline)
  if not list then return nil, err end
  if not request.url then request.url = self.base_url .. request.path end
  local seconds, left = request.timeout or self.timeout, deadline - clock()
  if left <= 0 then
    return failure("timeout", "%s %s: the deadline of the call is over", request.method, request.url)
  end
  -- what gives the token may have forked, and have used the client in the child
  if request.process and request.process ~= self.process then return nil, scheduler.left_behind() end
  -- an upload may stand still so long, and one that moves is not cut off
  return core.transfer.start(self.connection, request, list, seconds < left and seconds or left)
end

-- What must not be shown of what a server says to a request.
local function secrets_of(request)
  return request.secrets or { request.token }
end

-- The error of a reply that is no success, or that `request.read` cannot read, which gave `unread`.
local function error_of(request, transfer, status, body, unread)
  if not status then return body end
  if unread then return reply.unreadable(request, status, body, transfer, unread, secrets_of(request)) end
  return reply.failure(request, status, body, transfer, secrets_of(request))
end

local function exchange_of(request, transfer, err, attempt)
  local status = transfer:reply()
  local id = status and transfer:header "x-request-id"
  return {
    method = request.method, url = request.url, status = status, seconds = transfer:seconds(), attempt = attempt,
    request_id = id and reply.line(id, secrets_of(request)) or nil, error = err,
  }
end

-- Reads the reply of a transfer that is done, and closes it. Gives what `request.read` made of it, or nil and an error.
local function finish(self, request, transfer, attempt)
  local status, body = transfer:reply()
  local value, err
  if status and status >= 200 and status <= 299 then value, err = request.read(body, transfer) end
  if value == nil then err = error_of(request, transfer, status, body, err) end
  if err and request.upload and transfer:sent() > 0 then err.seconds = transfer:seconds() end
  local exchange = self.observed and exchange_of(request, transfer, err, attempt)
  transfer:close()
  if exchange and not self.closed then observe(self, exchange) end
  return value, err
end

-- Waits as long as the rate of creations asks for, unless the pause before this try has done so. Gives an error when
-- there is no time for that, or when it is cancelled.
local function keep_rate(client, deadline, tries)
  if tries and tries.rate_kept then
    tries.rate_kept = nil
    return nil
  end
  local pause, err = client.rate_limiter:reserve(deadline - clock())
  if pause then err = select(2, scheduler.sleep(pause, client.loop, client)) end
  if err then err.attempts = tries and tries.attempt or 1 end -- the rate stays what it is
  return err
end

-- Sends a request once. `tries`: those of the call, where this is not the first.
local function exchange(client, request, deadline, tries)
  local limiter = request.rate_limited and client.rate_limiter
  local stopped = scheduler.cancelled() or limiter and limiter.interval and keep_rate(client, deadline, tries)
  if stopped then return nil, stopped end
  local transfer, err = start(client, request, deadline)
  if not transfer then return nil, err end
  local done, cancelled = scheduler.transfer(transfer, client.loop)
  if not done then
    cancelled.ambiguous = transfer:ambiguous() or nil
    transfer:close()
    return nil, cancelled
  end
  local value, failed = finish(client, request, transfer, tries and tries.attempt or 1)
  if limiter then limiter:observe(failed) end
  return value, failed
end

-- One try: sent, and sent again at once with another token when the service does not take the one there was.
local function try(client, request, deadline, tries)
  local value, err = exchange(client, request, deadline, tries)
  local stale = value == nil and err.code == "401013" and not request.anonymous
  if stale and client.credentials:renew(request.token) then return exchange(client, request, deadline, tries) end
  return value, err
end

-- The pause before the next try; of a creation the one that its rate asks for where that is longer, so that who is told
-- of a pause is told of all of it. Nil and an error when there is no next try.
local function pause_before(client, request, tries, err)
  tries.rate_kept = nil
  local pause = retry.again(tries, request, err)
  if not pause or not request.rate_limited or client.rate_limiter:left() <= pause then return pause, err end
  tries.rate_kept = true
  return client.rate_limiter:reserve(tries.deadline - clock())
end

-- Tries again what has failed, for as long as that is of use.
local function try_again(client, request, tries, err)
  while true do
    local pause, failed = pause_before(client, request, tries, err)
    if not pause then return retry.finished(tries, failed) end
    if client.on_retry then client.on_retry { attempt = tries.attempt, error = err, pause = pause } end
    local paused, stopped = scheduler.sleep(pause, client.loop, client)
    if not paused then return retry.finished(tries, stopped) end
    local value
    value, err = try(client, request, tries.deadline, tries)
    if value ~= nil then return value end
  end
end

-- After a fork a client goes on in the child, with the child's engine.
local function adopt(client, process)
  client.connection:adopt()
  client.process = process
end

--- Sends a request and gives what came of it: the one place that does. What fails in a way that passes is tried again
-- (`catalog.retry`).
-- @local
-- @tparam table request `method`; `path` below the base URL, or `url` whole; `body`; `content_type`; `sandbox`;
--   `timeout` (seconds); `accept` (default `application/json`) and `headers` (a list of pairs of a name and a value),
--   which few requests have; `anonymous` (no credentials: the call that fetches them); `read`, a function that makes a
--   value of the body of a success (and of the transfer, for its headers), or nil and an error. For uploads: `upload`
--   (true: the time allowed is that for standing still), `offset` and `length` of what is sent of the body, `range`
--   (the value of Content-Range), `final` (a function of an error and the request: whether the caller knows better than
--   to send the same again; `seconds` is in it, for which the upload was under way). For downloads: `into`, a file of
--   the io library, and `into_offset`, what of it is kept. Of a call of several requests: `deadline`, when all of it
--   has to be over, as of the function `deadline`; otherwise it begins now. Of what belongs to a process: `process`, as
--   of `scheduler.process`
-- @return[1] what `request.read` gave
-- @treturn[2] nil
-- @treturn[2] table error
function Client:send(request)
  local process, policy = scheduler.process(), self.policy
  if self.process ~= process then adopt(self, process) end
  request.process = request.process or process
  if request.process ~= process then return nil, scheduler.left_behind() end
  local deadline = request.deadline or clock() + policy.deadline
  local value, err = try(self, request, deadline)
  if value == nil then value, err = try_again(self, request, retry.tries(policy, deadline), err) end
  if value == nil then return nil, err end
  if policy.spent then retry.succeeded(policy) end
  return value
end

--- Frees what the client holds. Its transfers in flight and its pauses end at once, with errors of kind `cancelled`.
function Client:close()
  self.closed = true
  self.connection:close()
  scheduler.interrupt(self)
end

Client.__close = Client.close

function Client:__tostring()
  return ("catalog.client (%s, sandbox %s)"):format(self.base_url, self.sandbox)
end

return Client
