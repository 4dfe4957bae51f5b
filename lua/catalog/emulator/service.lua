--- The emulator's behaviour: which part answers what. Runs in the server's own Lua state.
-- @module catalog.emulator.service
local answers = require "catalog.emulator.answers"
local core = require "catalog.core"
local creation = require "catalog.emulator.creation"
local dataset_store = require "catalog.emulator.dataset_store"
local datasets = require "catalog.emulator.datasets"
local export = require "catalog.emulator.export"
local faults = require "catalog.emulator.faults"
local files = require "catalog.emulator.files"
local gateway = require "catalog.emulator.gateway"
local http = require "catalog.emulator.http"
local ims = require "catalog.emulator.ims"
local lifecycle = require "catalog.emulator.lifecycle"
local listing = require "catalog.emulator.listing"
local preview = require "catalog.emulator.preview"
local schemas = require "catalog.emulator.schemas"
local sorted = require "catalog.base.sorted"
local store = require "catalog.emulator.store"
local target = require "catalog.emulator.target"
local ulid = require "catalog.emulator.ulid"

local LONGEST_URL <const> = 2000

-- What a path leads to: a table of methods; `*` stands for any one segment, `**` for one or more.
local FILE <const> = { PUT = files.serve, PATCH = files.serve, POST = files.serve, HEAD = files.serve }
local ROUTES <const> = {
  { "ims", "token", "v3", methods = { POST = ims.token }, anonymous = true },
  { "data", "foundation", "import", "batches", methods = { POST = creation.by_ingestion } },
  { "data", "foundation", "import", "batches", "*", methods = { POST = lifecycle.act } },
  { "data", "foundation", "import", "batches", "*", "datasets", "*", "files", "**", methods = FILE },
  { "data", "foundation", "import", "batches", "*", "datasets", "*", "preview", methods = { GET = preview.batch } },
  { "data", "foundation", "catalog", "batches", methods = { POST = creation.by_catalog, GET = listing.many } },
  { "data", "foundation", "catalog", "batches", "*", methods = { GET = listing.one } },
  { "data", "foundation", "catalog", "dataSets", methods = { GET = datasets.many, POST = datasets.create } },
  { "data", "foundation", "catalog", "dataSets", "*", methods = {
    GET = datasets.one, PATCH = datasets.patch, PUT = datasets.put, DELETE = datasets.delete,
  } },
  { "data", "foundation", "catalog", "v2", "dataSets", "*", methods = { PATCH = datasets.patch_deeply } },
  { "data", "foundation", "catalog", "dataSetFiles", methods = { GET = export.all_files } },
  { "data", "foundation", "catalog", "lastBatches", methods = { GET = datasets.last } },
  { "data", "foundation", "export", "batches", "*", "meta", methods = { GET = export.meta } },
  { "data", "foundation", "export", "batches", "*", "failed", methods = { GET = export.failed } },
  { "data", "foundation", "export", "batches", "*", "files", methods = { GET = export.files } },
  { "data", "foundation", "schemaregistry", "tenant", "schemas", "*", methods = { GET = schemas.one } },
  { "data", "foundation", "export", "datasets", "*", "preview", methods = { GET = preview.dataset } },
  { "data", "foundation", "export", "files", "*", methods = { GET = export.file, HEAD = export.file } },
}

local function leads(route, segments)
  local open = route[#route] == "**"
  if open and #segments < #route or not open and #segments ~= #route then return false end
  for i, part in ipairs(route) do
    if part ~= "*" and part ~= "**" and part ~= segments[i] then return false end
  end
  return true
end

local function find_route(segments)
  for _, route in ipairs(ROUTES) do
    if leads(route, segments) then return route end
  end
end

local function allowed(route) return table.concat(sorted(route.methods), ", ") end

local function refuse_method(route, request)
  local status, headers, body = answers.problem(405, "%s is not possible here", request.method)
  headers.allow = allowed(route)
  return status, headers, body
end

-- Whether all that may be kept or shown of a request is UTF-8.
local function is_text(request)
  local segments, query = target.split(request.target)
  local texts = { request.method, table.concat(segments, "/") }
  for name, value in pairs(query) do texts[#texts + 1] = name .. value end
  for name, value in pairs(request.headers) do texts[#texts + 1] = name .. value end
  for _, text in ipairs(texts) do
    if not utf8.len(text) then return false end
  end
  return true
end

-- Refuses what RFC 9112 refuses. The connection is closed: where a body ends may not be known.
local function refuse_message(text)
  local status, headers, body = answers.problem(400, "%s", text)
  headers.connection = "close"
  return status, headers, body
end

local function respond(service, request)
  if request.faulty then return refuse_message(request.faulty) end
  if #request.target > LONGEST_URL then
    return answers.problem(414, "The URL is longer than %d characters", LONGEST_URL)
  end
  if service.strict and request.spaced then
    return answers.problem(400, "A header has a space before its colon (RFC 9112, 5.1)")
  end
  if not is_text(request) then return answers.problem(400, "The request is not UTF-8") end
  if request.too_large then return answers.problem(413, "The request body is too large") end
  local segments
  segments, request.query = target.split(request.target)
  local route = find_route(segments)
  if not route or not route.anonymous then
    local refusal = table.pack(service.gateway:check(request))
    if refusal[1] then return table.unpack(refusal) end
  end
  if not route then return answers.problem(404, "There is nothing at %s", request.target:match "^[^?]*") end
  request.org = request.headers["x-gw-ims-org-id"]
  request.sandbox = request.headers["x-sandbox-name"] or "prod"
  local method = route.methods[request.method]
  if not method then return refuse_method(route, request) end
  return method(service, request, segments)
end

-- What has no body has no type. An error in answer to HEAD has a body that is not sent.
local function without_type(request, status, headers, body, ...)
  if body == "" or request.method == "HEAD" and status >= 400 then headers["content-type"] = nil end
  return status, headers, body, ...
end

-- What writes a line for each request whose work was done: method, target, range, status.
local function log_of(path)
  if not path then return nil end
  local file = assert(io.open(path, "ab"))
  file:setvbuf "line"
  return function(request, status)
    local range = request.headers["content-range"] or "-"
    file:write(("%s %s %s %d\n"):format(request.method, request.target, range, status))
  end
end

--- Makes the handler of a server.
-- @function service
-- @tparam string settings JSON, from `catalog.emulator`
-- @treturn function called with a request, gives status, headers, body and a delay in milliseconds
-- @treturn function called with the same request before, when its headers are there: gives the path of a file for its
--   body or nil; after how many bytes of it the connection is dropped, or nil; and whether the handler is called at
--   once, before the body has come
-- @treturn function called with what the server is told: JSON, faults that replace those there are
return function(settings)
  local given = assert(core.json.decode(settings))
  local service = {
    gateway = gateway.new(given), store = store.new(given.directory, given.lasting), directory = given.directory,
    dataset_store = dataset_store.new(given.directory, given.lasting, given.datasets), clients = given.clients,
    catalog_lag_ms = given.catalog_lag_ms or 0,
    strict = given.strict, unique_ids = given.unique_ids, stage_ms = given.stage_ms or 0, max_file = given.max_file,
    max_files = given.max_files, max_bytes = given.max_bytes, scheme = given.scheme,
    schemas = given.schemas or {}, checks = {},
    made = {}, spooled = 0, abandon_ms = given.abandon_ms, log = log_of(given.log),
  }
  for _, name in ipairs { "files", "parts", "spool", "row_errors", "ingested", "datasets" } do
    assert(core.fs.mkdir(given.directory .. "/" .. name))
  end
  if given.seed then math.randomseed(given.seed) end
  faults.set(service, given.faults)
  local function begin(request)
    request.faulty = http.check(request)
    local route = not request.faulty and find_route((target.split(request.target)))
    local spool = route and route.methods == FILE and files.spool(service) or nil
    return spool, faults.begin(service, request), request.faulty ~= nil
  end
  local function handle(request)
    local status, headers, body, delay = faults.meet(service, request, function()
      return without_type(request, respond(service, request))
    end)
    headers["x-request-id"] = ulid(core.system.now())
    if service.log then service.log(request, status) end
    return status, headers, body, delay or given.latency_ms
  end
  return handle, begin, function(text) faults.set(service, (core.json.decode(text))) end
end
