--- A local server that behaves as the service does, for demos and tests.
-- @module catalog.emulator
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local faults = require "catalog.emulator.faults"
local limits = require "catalog.base.limits"
local load_httpd = require "catalog.serve.httpd"
local options = require "catalog.base.options"

local emulator = {}

--- An emulator that runs. `<close>` stops it. `catalog.emulator.start` makes one.
-- @table catalog.emulator.server
-- @tfield string url where it is, such as `http://127.0.0.1:8080`
-- @tfield integer port
local Server = { __name = "catalog.emulator" }
Server.__index = Server

local SCHEMA <const> = {
  port = "integer", latency_ms = "integer", datasets = "table", data_dir = "string", tokens = "table",
  api_keys = "table", orgs = "table", clients = "table", catalog_lag_ms = "integer", strict = "boolean",
  cert = "string", key = "string", max_body = "integer", max_file = "integer", max_files = "integer",
  max_bytes = "integer", stage_ms = "integer",
  faults = "table", seed = "integer", abandon_ms = "integer", log = "string", unique_ids = "boolean",
  schemas = "table",
}

local MAX_BODY <const> = 1024 * 1024

-- A certificate or key is given as text or as the path of a file with it.
local function pem(given, what)
  if given == nil or given:find("-----BEGIN", 1, true) then return given end
  local file, why = io.open(given, "rb")
  if not file then return nil, ("%s cannot be read: %s"):format(what, why) end
  local text = file:read "a"
  file:close()
  return text
end

-- Tokens are a list, or a map from a token to the seconds it is good for; in the server, to when it ends.
local function ends_of(tokens)
  if not tokens then return nil end
  local ends, now = {}, core.system.now()
  for key, value in pairs(tokens) do
    if type(key) == "number" then ends[value] = math.maxinteger else ends[key] = now + math.floor(value * 1000) end
  end
  return ends
end

local function set_of(list)
  if not list then return nil end
  local set = {}
  for _, item in ipairs(list) do set[item] = true end
  return set
end

-- The data sets that are known, a list of ids or a map from ids to names or fields; in the server, always the map. An
-- empty one would not know any: it is for a list that was not filled, and is as good as none.
local function datasets_of(given)
  if not given or not next(given) then return nil end
  local names = {}
  for key, value in pairs(given) do
    local fits = type(value) == "string" and (type(key) == "string" or math.type(key) == "integer")
    if not fits and not (type(value) == "table" and type(key) == "string") then
      error("bad option 'datasets' for emulator.start (a list of ids expected, or a map from ids to names)", 3)
    end
    if type(key) == "string" then names[key] = value else names[value] = value end
  end
  return names
end

-- Schemas by their ids, of tables or of files.
local function schemas_of(given)
  local known = {}
  for i, one in ipairs(given or {}) do
    local fields, err = one, nil
    if type(one) == "string" then
      local file <close>, why = io.open(one, "rb")
      if not file then return failure("config", "the schema %s cannot be read: %s", one, why) end
      fields, err = core.json.decode(file:read "a")
    end
    if type(fields) ~= "table" or type(fields["$id"]) ~= "string" then
      return failure("config", "schemas: the schema %d has no $id%s", i, err and " (" .. err.message .. ")" or "")
    end
    known[fields["$id"]] = fields
  end
  return known
end

local function settings_of(given, datasets, schemas, directory)
  return core.json.encode {
    latency_ms = given.latency_ms, datasets = datasets, schemas = schemas, directory = directory,
    tokens = ends_of(given.tokens), api_keys = set_of(given.api_keys), orgs = set_of(given.orgs),
    clients = given.clients, catalog_lag_ms = given.catalog_lag_ms, strict = given.strict,
    lasting = given.data_dir ~= nil, faults = given.faults, seed = given.seed, abandon_ms = given.abandon_ms,
    log = given.log, unique_ids = given.unique_ids,
    stage_ms = given.stage_ms, max_file = given.max_file, max_files = given.max_files, max_bytes = given.max_bytes,
    scheme = given.cert and "https" or "http",
  }
end

-- Where batches and files are: the caller's directory, or one that goes with the server.
local function directory_of(given)
  if not given.data_dir then return core.fs.temporary() end
  local ok, err = core.fs.mkdir(given.data_dir)
  if not ok then return nil, err end
  return given.data_dir
end

--- Starts an emulator, on a thread of its own, on the loopback.
-- @tparam ?table given
-- @tparam[opt=any that is free] integer given.port on the loopback
-- @tparam[opt=0,unit=milliseconds] integer given.latency_ms before each answer
-- @tparam[opt=any] table given.datasets a list of ids, or a map from ids to names, or to fields of the service, `name`,
--   `tags`, `schemaRef`: others are refused; without it, and when it is empty, any may appear on first use
-- @tparam[opt] {string|table,...} given.schemas JSON schemas, tables or files, each with its `$id`: rows of a data set
--   whose `schemaRef` has that id are held against it
-- @tparam[opt] string given.data_dir batches and files are kept there, and are there again at the next start
-- @tparam[opt=any] table given.tokens a list, or a map from a token to the seconds it is good for
-- @tparam[opt=any] {string,...} given.api_keys those that are known
-- @tparam[opt=any] {string,...} given.orgs those that are known
-- @tparam[opt=any secret] {[string]=string,...} given.clients a map from an API key to the secret with which the
--   identity service gives it tokens
-- @tparam[opt=0,unit=milliseconds] integer given.catalog_lag_ms for which the catalog does not know a new batch
-- @tparam[opt=false] boolean given.strict `true`: it refuses what RFC 9112 and Adobe's API descriptions refuse, where
--   the default is as lenient as the guides' examples need
-- @tparam[opt] string given.cert TLS: a PEM text or file; goes with `key`
-- @tparam[opt] string given.key TLS: a PEM text or file; goes with `cert`
-- @tparam[opt=1048576,unit=bytes] integer given.max_body of a body that is no upload
-- @tparam[opt=256000000; of a part 512000000,unit=bytes] integer given.max_file of an upload
-- @tparam[opt=25000,unit=files] integer given.max_files in a batch
-- @tparam[opt=1099511627776,unit=bytes] integer given.max_bytes in a batch
-- @tparam[opt=0,unit=milliseconds] integer given.stage_ms for which a completed batch stays in each state before it is
--   ingested
-- @tparam[opt=never,unit=milliseconds] integer given.abandon_ms after which a batch that was not completed is abandoned
-- @tparam[opt=false] boolean given.unique_ids `true`: a second batch with an external id is refused with 409; no guide
--   promises that the service does so
-- @tparam[opt] string given.log a file that gets a line for each request: method, target, range, status
-- @tparam[opt] {table,...} given.faults as of `catalog.emulator.server:set_faults`
-- @tparam[opt] integer given.seed for faults with a `rate`
-- @treturn[1] catalog.emulator.server
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
-- @raise an option is unknown or has a wrong type
-- @usage local server <close> = assert(require("catalog.emulator").start { latency_ms = 20 })
function emulator.start(given)
  local checked = options.check(given, SCHEMA, "emulator.start", 2)
  faults.check(checked.faults, 2)
  local datasets = datasets_of(checked.datasets)
  local httpd, missing = load_httpd "the emulator"
  if not httpd then return nil, missing end
  local cert, no_cert = pem(checked.cert, "cert")
  local key, no_key = pem(checked.key, "key")
  if no_cert or no_key then return failure("config", "%s", no_cert or no_key) end
  if (cert == nil) ~= (key == nil) then return failure("config", "cert and key go together") end
  local schemas, no_schemas = schemas_of(checked.schemas)
  if not schemas then return nil, no_schemas end
  local directory, no_directory = directory_of(checked)
  if not directory then return nil, no_directory end
  local settings, unfit = settings_of(checked, datasets, schemas, directory)
  if not settings then return nil, unfit end
  local server, why = httpd.start {
    name = "emulator", module = "catalog.emulator.service", settings = settings, port = checked.port,
    strict = checked.strict,
    max_body = checked.max_body or MAX_BODY, max_file = checked.max_file or limits.LARGEST_PART, cert = cert, key = key,
  }
  if not server then
    if not checked.data_dir then core.fs.remove(directory) end
    return failure("config", "%s", why)
  end
  local port = server:port()
  return setmetatable({
    port = port, url = ("%s://127.0.0.1:%d"):format(cert and "https" or "http", port), server = server,
    temporary = not checked.data_dir and directory or nil,
  }, Server)
end

--- Sets what goes wrong from now on.
-- @function catalog.emulator.server:set_faults
-- @tparam ?{table,...} list nil: nothing does. Each is `{ match = { method, path (a pattern), nth }, times, rate,
--   action }`; the action is a table with one of `status` (with `headers` and `body`), `html`, `garbage`, `drop`
--   (`"before"` anything of the body is read, or `"after"` the work), `drop_after` (so many bytes of the body), `cut`
--   (the answer, after so many bytes), `wrong_length` (by so many), `trickle_ms` (the answer comes by the byte, so many
--   milliseconds apart), `close` (the connection, after the answer; `"unannounced"`: which does not say so),
--   `delay_ms`, `leave_out` (a field of the batches in the answer), `expire_tokens`
-- @raise an action is unknown, or a path is no pattern
function Server:set_faults(list)
  faults.check(list, 2)
  self.server:post(assert(core.json.encode(core.json.array { table.unpack(list or {}) })))
end

--- Stops the server; again is as good as once. In a forked child it does nothing: the server is the parent's.
-- @function catalog.emulator.server:stop
function Server:stop()
  if self.server:stop() and self.temporary then core.fs.remove(self.temporary) end
end

--- Waits for SIGINT, SIGTERM or SIGHUP, which do not end the program then. A SIGHUP that is ignored stays so.
-- @function catalog.emulator.server:wait
-- @tparam ?function ready called once they are waited for
function Server:wait(ready)
  self.server:wait(ready)
end

Server.__close = Server.stop
Server.__gc = Server.stop

function Server:__tostring()
  return "catalog.emulator (" .. self.url .. ")"
end

return emulator
