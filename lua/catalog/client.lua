--- A client: one configuration, and the one place that sends.
-- @classmod catalog.client
local auth = require "catalog.auth"
local batch = require "catalog.batch"
local core = require "catalog.core"
local failure = require "catalog.failure"
local governor = require "catalog.governor"
local loop = require "catalog.loop"
local options = require "catalog.options"
local reply = require "catalog.reply"
local retry = require "catalog.retry"
local scheduler = require "catalog.scheduler.scheduler"
local version = require "catalog.version"

local clock <const> = core.system.monotonic

local Client = { __name = "catalog.client" }
Client.__index = Client

local SCHEMA <const> = {
  base_url = "string", org = "string", sandbox = "string", api_key = "string", token = "string|callable",
  client_secret = "string", scopes = "string|table", ims_url = "string", timeout = "number",
  connect_timeout = "number", retry = "table|boolean", rate = "number|boolean", parallel = "integer",
  loop = "table", on_request = "callable", ca_file = "string", proxy = "string", user_agent = "string",
  insecure = "boolean", max_reply = "integer", on_retry = "callable",
}

local ENVIRONMENT <const> = {
  base_url = "AEP_BASE_URL", org = "AEP_ORG", sandbox = "AEP_SANDBOX", api_key = "AEP_API_KEY",
  token = "AEP_ACCESS_TOKEN", client_secret = "AEP_CLIENT_SECRET", scopes = "AEP_SCOPES", ims_url = "AEP_IMS_URL",
}

local DEFAULTS <const> = {
  base_url = "https://platform.adobe.io", sandbox = "prod", ims_url = "https://ims-na1.adobelogin.com",
  timeout = 60, connect_timeout = 10, parallel = 4, user_agent = "catalog-lua/" .. version,
  insecure = false, max_reply = 64 * 1024 * 1024,
}

-- The table wins over the environment, the environment over the defaults. Credentials go together: a secret in
-- the table is not overruled by a token in the environment.
local function merge(given)
  local settings = {}
  for name, value in pairs(DEFAULTS) do settings[name] = value end
  for name, variable in pairs(ENVIRONMENT) do
    local value = os.getenv(variable)
    if value and value ~= "" then settings[name] = value end
  end
  if given.client_secret ~= nil and given.token == nil then settings.token = nil end
  for name, value in pairs(given) do settings[name] = value end
  return settings
end

local function check_required(settings)
  for _, name in ipairs { "org", "api_key" } do
    if not settings[name] or settings[name] == "" then
      return failure("config", "%s is missing: set it in the client's table, or %s in the environment", name,
        ENVIRONMENT[name])
    end
  end
  return true
end

local function check_header_values(settings)
  for _, name in ipairs { "org", "api_key", "sandbox", "user_agent" } do
    local line, err = core.url.header("x", settings[name], name)
    if not line then return nil, err end
  end
  if type(settings.token) == "string" then return core.url.header("x", settings.token, "token") end
  return true
end

local function check_rate(settings)
  local possible = not settings.rate or settings.rate == true or settings.rate > 0
  if settings.rate == true or not possible then
    return failure("config", "rate is a number of batches a minute, more than 0, or false")
  end
  return true
end

local function check_times(settings)
  for _, name in ipairs { "timeout", "connect_timeout", "max_reply", "parallel" } do
    local positive = settings[name] > 0 -- NaN is not
    if not positive then return failure("config", "%s must be more than 0", name) end
  end
  return true
end

local function check_urls(settings)
  for _, name in ipairs { "base_url", "ims_url" } do
    local url, err = core.url.base(settings[name], name, settings.insecure)
    if not url then return nil, err end
    settings[name] = url
  end
  return true
end

-- Found now, since libcurl reads the file at the first connection only.
local function check_ca_file(settings)
  if not settings.ca_file then return true end
  local file <close>, why = io.open(settings.ca_file, "rb")
  if not file then return failure("config", "ca_file cannot be read: %s", why) end
  local text, unread = file:read "a"
  if not text then return failure("config", "ca_file cannot be read: %s: %s", settings.ca_file, unread) end
  if not text:find "%-%-%-%-%-BEGIN [%u%d ]*CERTIFICATE%-%-%-%-%-" then
    return failure("config", "ca_file has no certificate in it: %s; it is a file of certificates in PEM form",
      settings.ca_file)
  end
  return true
end

local CHECKS <const> = { check_required, check_header_values, check_times, check_rate, check_urls, check_ca_file }

--- Makes a client.
-- @tparam ?table config as in the README: `org`, `api_key`, `token`, ...
-- @tparam[opt=1] integer level who is to blame for an unknown option, as in `error`
-- @treturn[1] catalog.client
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
-- @raise an option is unknown or has a wrong type
function Client.new(config, level)
  level = (level or 1) + 1
  local settings = merge(options.check(config, SCHEMA, "client", level))
  local policy = retry.policy(settings.retry, level)
  loop.check(settings.loop, level)
  for _, check in ipairs(CHECKS) do
    local ok, err = check(settings)
    if not ok then return nil, err end
  end
  local source, no_source = auth.source(settings)
  if not source then return nil, no_source end
  local logs = os.getenv "AEP_LOG" == "1"
  local connection, no_connection = core.client.new(settings)
  if not connection then return nil, no_connection end
  return setmetatable({
    home = scheduler.home(),
    base_url = settings.base_url, sandbox = settings.sandbox, timeout = settings.timeout,
    on_request = settings.on_request, logs = logs, observed = settings.on_request ~= nil or logs,
    org = settings.org, api_key = settings.api_key,
    credentials = source, connection = connection,
    governor = governor.new(settings.rate), policy = policy, on_retry = settings.on_retry,
    known_headers = {}, batch_types = {}, parallel = settings.parallel, loop = settings.loop,
  }, Client)
end

-- The headers of a request that needs no credentials.
local function anonymous_headers(request)
  return core.client.headers { "accept: application/json", "content-type: " .. request.content_type }
end

-- Source: Adobe's batch ingestion guide; the order is the guide's.
local function make_headers(client, token, sandbox, content_type, range)
  local authorization, err = core.url.header("Authorization", "Bearer " .. token, "token")
  if not authorization then return nil, err end
  local named, wrong = core.url.header("x-sandbox-name", sandbox, "sandbox")
  if not named then return nil, wrong end
  return core.client.headers {
    "accept: application/json", content_type and "content-type: " .. content_type or "content-type:",
    {
      authorization, "x-api-key: " .. client.api_key, "x-gw-ims-org-id: " .. client.org, named,
      range and "Content-Range: " .. range,
    },
  }
end

-- The token a request is sent with. Whatever became of the fetching of one, the request itself was not sent.
local function token_of(client, request, ends)
  local token, err = client.credentials:token(client, ends)
  request.token = token
  if token then return token end
  err.ambiguous = nil
  return nil, err
end

-- One list for all requests of a sandbox and a content type, for as long as the token is the same.
local function common_headers(client, token, sandbox, content_type)
  if token ~= client.headers_token then client.known_headers, client.headers_token = {}, token end
  local known = client.known_headers[sandbox]
  if not known then
    known = {}
    client.known_headers[sandbox] = known
  end
  local headers = known[content_type or false]
  if headers then return headers end
  local made, err = make_headers(client, token, sandbox, content_type)
  known[content_type or false] = made
  return made, err
end

local function headers_of(client, request, ends)
  if request.anonymous then return anonymous_headers(request) end
  local token, err = token_of(client, request, ends)
  if not token then return nil, err end
  local sandbox, content_type, range = request.sandbox or client.sandbox, request.content_type, request.range
  if range then return make_headers(client, token, sandbox, content_type, range) end
  return common_headers(client, token, sandbox, content_type)
end

local function log(exchange)
  io.stderr:write(("catalog: %s %s %s %.3f s%s%s\n"):format(exchange.method, exchange.url,
    exchange.status or "-", exchange.seconds, exchange.request_id and " request " .. exchange.request_id or "",
    exchange.error and " " .. exchange.error.message or ""))
end

-- A host's observer that fails must not take the answer with it: the batch exists.
local function observe(client, exchange)
  if client.logs then log(exchange) end
  if client.on_request then
    local ok, message = pcall(client.on_request, exchange)
    if not ok then warn("catalog: on_request failed: ", tostring(message)) end
  end
end

--- When the call that begins now has to be over.
-- @treturn number seconds on the monotonic clock
function Client:ends()
  return clock() + self.policy.deadline
end

-- The seconds a request may take: its own, and never beyond the end of the call. An upload may stand still so long, and
-- one that moves is not cut off.
local function time_of(client, request, ends)
  local seconds, left = request.timeout or client.timeout, ends - clock()
  if left <= 0 then
    return failure("timeout", "%s %s: the deadline of the call is over", request.method, request.url)
  end
  return seconds < left and seconds or left
end

--- Submits a request: the first half of `send`.
-- @tparam table request as in `send`
-- @tparam ?number ends when the call has to be over, as of `ends`; nil: the call begins now
-- @tparam[opt] userdata home of the call, as of `scheduler.home`; what a fork has left behind is not sent
-- @treturn[1] transfer in flight
-- @treturn[2] nil
-- @treturn[2] table error of kind `auth`, `config`, `timeout` or `cancelled`
function Client:start(request, ends, home)
  ends = ends or self:ends()
  local headers, err = headers_of(self, request, ends)
  if not headers then return nil, err end
  if not request.url then request.url = self.base_url .. request.path end
  local seconds, late = time_of(self, request, ends)
  if not seconds then return nil, late end
  if home and not scheduler.is_home(home) then return nil, scheduler.left_behind() end -- a callback has forked
  return self.connection:transfer(request.method, request.url, headers, request.body, seconds, request.upload,
    request.offset, request.length, request.into)
end

local LONGEST_ERROR <const> = 65536

-- The body of an error that went where a file was to go.
local function read_into(file)
  file:seek "set"
  return file:read(LONGEST_ERROR) or ""
end

-- What must not be shown of what a server says to a request.
local function secrets_of(request)
  return request.secrets or { request.token }
end

-- What the reply of a finished transfer comes to: what `request.read` makes of its body, or nil and an error.
local function outcome(request, transfer)
  local status, body = transfer:reply()
  if not status then return nil, body end
  if status < 200 or status > 299 then
    if request.into then body = read_into(request.into) end
    return nil, reply.failure(request, status, body, transfer, secrets_of(request))
  end
  local value, err = request.read(body, transfer)
  if value == nil then
    return nil, reply.unreadable(request, status, body, transfer, err, secrets_of(request))
  end
  return value
end

local function exchange_of(request, transfer, err, attempt)
  local status = transfer:reply()
  local id = status and transfer:header "x-request-id"
  return {
    method = request.method, url = request.url, status = status, seconds = transfer:seconds(), attempt = attempt or 1,
    request_id = id and reply.line(id, secrets_of(request)) or nil, error = err,
  }
end

--- Reads the reply of a finished transfer and closes it: the second half of `send`.
-- @tparam table request as in `send`
-- @tparam transfer transfer done
-- @tparam[opt=1] integer attempt which try it was
-- @return[1] what `request.read` gave
-- @treturn[2] nil
-- @treturn[2] table error
function Client:finish(request, transfer, attempt)
  local value, err = outcome(request, transfer)
  if err and request.upload and transfer:sent() > 0 then err.seconds = transfer:seconds() end
  local exchange = self.observed and exchange_of(request, transfer, err, attempt)
  transfer:close()
  if exchange and not self.closed then observe(self, exchange) end
  return value, err
end

-- Waits as long as the pace of creations asks for.
local function keep_pace(client, ends)
  local pause, too_long = client.governor:pause(ends - clock())
  if not pause then return nil, too_long end
  return scheduler.sleep(pause, client.loop, client)
end

-- Sends a request once.
local function exchange(client, request, tries)
  local cancelled = scheduler.cancelled()
  if cancelled then return nil, cancelled end
  if request.governed and not tries.paced and client.governor:limits() then
    local kept, stopped = keep_pace(client, tries.ends)
    if not kept then
      stopped.attempts = tries.attempt -- the pace stays what it is
      return nil, stopped
    end
  end
  tries.paced = nil
  local transfer, err = client:start(request, tries.ends, tries.home)
  if not transfer then return nil, err end
  local ended, stopped = scheduler.transfer(transfer, client.loop)
  if not ended then
    stopped.ambiguous = transfer:ambiguous() or nil
    transfer:close()
    return nil, stopped
  end
  local value, failed = client:finish(request, transfer, tries.attempt)
  if request.governed then client.governor:heard(failed) end
  return value, failed
end

-- One try: sent, and sent again at once with another token when the service does not take the one there was.
local function try(client, request, tries)
  local value, err = exchange(client, request, tries)
  local stale = value == nil and err.code == "401013" and not request.anonymous
  if stale and client.credentials:renew(request.token) then value, err = exchange(client, request, tries) end
  return value, err
end

-- The pause before the next try; of a creation the one that its pace asks for where that is longer, so that who is told
-- of a pause is told of all of it. Nil and an error when there is no next try.
local function pause_before(client, request, tries, err)
  local pause = retry.again(tries, request, err)
  if not pause or not request.governed or client.governor:left() <= pause then return pause, err end
  tries.paced = true
  return client.governor:pause(tries.ends - clock())
end

-- The process that a call begins in. After a fork a client goes on in the child, with the child's engine.
local function enter(client)
  local home = scheduler.home()
  if client.home ~= home then
    client.connection:adopt()
    client.home = home
  end
  return home
end

--- Sends a request and gives what came of it: the one place that does. What fails in a way that passes is tried again
-- (`catalog.retry`).
-- @tparam table request `method`; `path` below the base URL, or `url` whole; `body`; `content_type`; `sandbox`;
--   `timeout` (seconds); `anonymous` (no credentials: the call that fetches them); `read`, a function that makes a
--   value of the body of a success (and of the transfer, for its headers), or nil and an error. For uploads: `upload`
--   (true: the time allowed is that for standing still), `offset` and `length` of what is sent of the body, `range`
--   (the value of Content-Range), `final` (a function that is given an error, and says whether the caller knows better
--   than to send the same again; `seconds` is in it, for which the upload was under way). For downloads: `into`, a file
--   of the io library. Of a call of several requests: `ends`, when all of it has to be over, as of the function `ends`;
--   otherwise the deadline begins now. Of what belongs to a process: `home`, as of `scheduler.home`
-- @return[1] what `request.read` gave
-- @treturn[2] nil
-- @treturn[2] table error
function Client:send(request)
  local home = enter(self)
  if request.home and request.home ~= home then return nil, scheduler.left_behind() end
  local tries = retry.tries(self.policy, request.ends or self:ends())
  tries.home = home
  while true do
    local value, err = try(self, request, tries)
    if value ~= nil then
      retry.succeeded(tries)
      return value
    end
    local pause, failed = pause_before(self, request, tries, err)
    if not pause then return retry.finished(tries, failed) end
    if self.on_retry then self.on_retry { attempt = tries.attempt, error = err, pause = pause } end
    local paused, stopped = scheduler.sleep(pause, self.loop, self)
    if not paused then return retry.finished(tries, stopped) end
  end
end

--- Creates a batch. A creation goes on a connection that was just used (for less than two seconds it was idle) or on a
-- new one, and by way of a proxy of plain http on a new one always: who closes connections on the way does not tell.
-- @tparam table given `dataset` (required); `format` (`json`, `parquet`, `csv`), `multiline`, `csv` (`delimiter`,
--   `quote`, `escape`, `charset`, `header`, `null_marker`), `external_id`, `replay` (`predecessors`,
--   `predecessors_by_external_id`, which are sent with a `$` before each, `reason`), `tags`, `error_diagnostics`,
--   `partial_ingestion` (percent), `sandbox`, `timeout` (seconds), `extra` (merged into the payload as it is), `once`
--   (true: it is created exactly once, whatever becomes of the answers; takes an external id of its own unless one is
--   given)
-- @treturn[1] catalog.batch every field the service sent
-- @treturn[2] nil
-- @treturn[2] table error; `ambiguous` when the batch may exist
-- @raise an option is unknown or has a wrong type
-- @usage local batch = assert(client:create_batch { dataset = "5c8c3c555033b814b69f947f" })
function Client:create_batch(given)
  local checked = batch.check(given, 3)
  if checked.once then return require "catalog.once".create(self, checked) end
  return batch.create(self, checked)
end

--- Attaches to an existing batch, without a call.
-- @tparam string id
-- @tparam ?table given `sandbox`; `dataset` (its id, which uploads need and look up otherwise)
-- @treturn catalog.batch with nothing but its id; `get` fetches the rest
-- @raise the id is not a string, an option is unknown or has a wrong type
function Client:batch(id, given)
  if type(id) ~= "string" then
    error(("bad argument to batch (the id is a string, got %s)"):format(type(id)), 2)
  end
  local checked = options.check(given, { sandbox = "string", dataset = "string" }, "batch", 2)
  return batch.attach(self, id, checked.sandbox, checked.dataset)
end

--- Ingests files: creates a batch, uploads them all, completes it, and waits. If an upload fails for good the batch is
-- aborted, and nothing is ingested.
-- @tparam table given the options of `create_batch` (without `timeout`), and: `files` (paths, or
--   `{ name = ..., file = path }`), or `dir` and `pattern` (`*.json`); `parallel`, `part_size`, `part_threshold` as of
--   `upload`; `upload_timeout` (seconds for which an upload may stand still); `timeout` (seconds to wait for the
--   service to ingest; default: none); `split` (true: as many batches as the advised limits make); `advised_files`,
--   `advised_bytes` (10,000; 100 GB: more warns), `max_files`, `max_bytes` (25,000; 2^40: more is refused);
--   `on_progress` (called at most ten times a second with `{ file, bytes, total, files_done, files_total, rate }`, rate
--   in bytes a second; `bytes` are those that have left, and become fewer where some have to be sent again),
--   `on_change` (called with a batch's status each time it is another), `on_warning` (called with a text; default:
--   Lua's `warn`), `journal` (a path: what has been done is noted there, and the same call again goes on where the
--   last one stopped; then nothing but a refusal aborts the batch)
-- @treturn[1] table the report: `id`, `status`, `files` (each `name`, `bytes`, `seconds`, `batch`), `bytes`, `seconds`,
--   `metrics`, `errors`, `batches` (each `id`, `status`, `metrics`, `errors`, `files`); with a journal `resumed` (true:
--   it went on), and `replaced`: batches (`id`, `status`) that had ended without their files, which went into new ones
-- @treturn[2] nil
-- @treturn[2] table error
-- @treturn[2] ?table the report, as far as things went
-- @raise an option is unknown or has a wrong type; what a callback raises, after the batch was aborted
-- @usage local report = assert(client:ingest { dataset = id, format = "json", files = { "/data/a.json" } })
function Client:ingest(given)
  return require "catalog.ingest"(self, given, 2)
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
