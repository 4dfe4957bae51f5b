--- Data sets: plain tables with the fields that the service sent, and `id`; what can be done with them is in the
-- metatable.
-- @classmod catalog.dataset
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local later = require "catalog.base.later"
local options = require "catalog.base.options"
local tags = require "catalog.query.tags"

--- The fields are the service's, and there may be others; a handle that was not looked up has its id alone.
-- @table catalog.dataset
-- @tfield string id
-- @tfield ?string name
-- @tfield ?string description
-- @tfield ?table schemaRef which schema its records have
-- @tfield ?table tags name to a list of texts
-- @tfield ?integer created milliseconds since 1970
-- @tfield ?integer updated milliseconds since 1970

local DATASETS <const> = "/data/foundation/catalog/dataSets/"
-- It changes what lies deep, and takes If-Match. Source: the description of Adobe's API.
local CHANGES <const> = "/data/foundation/catalog/v2/dataSets/"
local LAST <const> = "/data/foundation/catalog/lastBatches?dataSetId="

local dataset = {}

local methods = {}

-- The ETags, kept beside the tables, which show the service's fields only.
local etags = setmetatable({}, { __mode = "k" })

local function describe(self)
  return core.failure.line(("data set %s (%s)"):format(self.id, type(self.name) == "string" and self.name
    or "not looked up"))
end

--- What makes data sets of fields, `id` among them.
-- @local
-- @tparam catalog.client client
-- @tparam ?string sandbox the client's when nil
-- @treturn function makes a table of fields a data set: the same table
function dataset.maker(client, sandbox)
  local kind = {
    __name = "catalog.dataset", __index = methods, __tostring = describe, client = client,
    sandbox = sandbox or client.sandbox,
  }
  return function(fields) return setmetatable(fields, kind) end
end

--- The sandbox of a data set.
-- @local
-- @tparam table value
-- @treturn ?string nil: it is no data set
function dataset.sandbox(value)
  local kind = getmetatable(value)
  return type(kind) == "table" and kind.__name == "catalog.dataset" and kind.sandbox or nil
end

-- The path of a data set.
local function path_of(base, id)
  local segment, err = core.url.segment(id, "dataset id")
  if not segment then return nil, err end
  return base .. segment
end

-- Reads the catalog's answer to a look-up: an object with the data set under its id.
local function read(id, body, transfer)
  local answer, err = core.json.decode(body)
  if err then return nil, err end
  local fields = type(answer) == "table" and answer[id]
  if type(fields) ~= "table" or #fields > 0 then
    if type(answer) == "table" and next(answer) == nil then
      local _, unknown = failure("http", "the catalog does not know the data set %s", id)
      unknown.status = 404 -- what it answers otherwise
      return nil, unknown
    end
    return failure("protocol", "the reply has no data set %s", id)
  end
  fields.id = id
  etags[fields] = transfer:header "etag"
  return fields
end

--- Looks the data set up in the catalog.
-- @function catalog.dataset:get
-- @tparam ?table given
-- @tparam[opt=all] {string,...} given.properties the fields that are wanted
-- @tparam[opt=the client's,unit=seconds] number given.timeout for a request
-- @treturn[1] catalog.dataset a fresh table; the one it was asked of stays as it was
-- @treturn[2] nil
-- @treturn[2] table error: of kind `http` with status 404 when the catalog does not know it
-- @raise an option is unknown or has a wrong type
function methods:get(given)
  local checked = options.check(given, { properties = "table", timeout = "number" }, "get", 2)
  local kind, path, err = getmetatable(self), path_of(DATASETS, self.id)
  if not path then return nil, err end
  if checked.properties then
    path = path .. "?properties=" .. core.url.encode(table.concat(checked.properties, ","))
  end
  local fields, failed = kind.client:send {
    method = "GET", repeatable = true, path = path, sandbox = kind.sandbox, timeout = checked.timeout,
    read = function(body, transfer) return read(self.id, body, transfer) end,
  }
  if not fields then return nil, failed end
  return setmetatable(fields, kind)
end

-- Whether a value has all that is in another one, as what was asked for.
local function holds(value, wanted)
  if type(wanted) ~= "table" or type(value) ~= "table" then return value == wanted end
  if #wanted ~= #value and (#wanted > 0 or #value > 0) then return false end
  for name, item in pairs(wanted) do
    if not holds(value[name], item) then return false end
  end
  return true
end

-- What a refusal because of the version means: where an answer was lost, it was our own change that came first.
local function settle(self, changes, err)
  local current, unknown = self:get()
  if not current then return nil, unknown end
  if holds(current, changes) then return current end
  return nil, core.failure.new {
    kind = "conflict", status = err.status, request_id = err.request_id, method = err.method, url = err.url,
    message = ("the data set %s was changed by somebody else meanwhile; look at what it is now, and change that")
      :format(self.id), wanted = changes, current = current,
  }
end

local UPDATE <const> = {
  name = "string", description = "string", tags = "table", profile = "boolean", upsert = "boolean", extra = "table",
  timeout = "number",
}

--- Changes the data set, unless somebody else has changed it since it was looked up. One that was not looked up (a
-- handle, or one of a listing) is looked up first. Fields that are not named stay as they are, tags too.
-- @function catalog.dataset:update
-- @tparam table given
-- @tparam[opt] string given.name its name from now on
-- @tparam[opt] string given.description for people
-- @tparam[opt] {[string]={string,...},...} given.tags name to a list of texts
-- @tparam[opt] boolean given.profile whether it has the tags that enable it for profiles
-- @tparam[opt] boolean given.upsert whether it has the tags that enable it for updates of profiles
-- @tparam[opt] table given.extra fields of the service, as they are
-- @tparam[opt=the client's,unit=seconds] number given.timeout for a request
-- @treturn[1] catalog.dataset as it is now: a fresh table
-- @treturn[2] nil
-- @treturn[2] table error: of kind `conflict` when somebody else was first, with `wanted` (the changes) and `current`
--   (the data set as it is now)
-- @raise an option is unknown or has a wrong type
function methods:update(given)
  local checked = options.check(given, UPDATE, "update", 2)
  local seen, unknown = self, nil
  if not etags[self] then seen, unknown = self:get() end
  if not seen then return nil, unknown end
  local changes, unfit = tags.fields(checked, seen.tags)
  if not changes then return nil, unfit end
  local body, err = core.json.encode(changes)
  if not body then return nil, err end
  local kind, path, bad = getmetatable(self), path_of(CHANGES, self.id)
  if not path then return nil, bad end
  local ok, failed = kind.client:send {
    method = "PATCH", repeatable = true, path = path, body = body, content_type = "application/json",
    sandbox = kind.sandbox, timeout = checked.timeout, headers = etags[seen] and { { "If-Match", etags[seen] } },
    read = function() return true end,
  }
  if ok then return self:get() end
  if failed.status == 412 then return settle(self, changes, failed) end
  return nil, failed
end

local function tags_of(self)
  if type(self.tags) == "table" then return self.tags end
  local found, err = self:get { properties = { "tags" } }
  if not found then return nil, err end
  return type(found.tags) == "table" and found.tags or {}
end

--- Whether what is ingested into the data set gets into profiles. Looks it up where its tags are not known.
-- @function catalog.dataset:profile_enabled
-- @treturn[1] boolean
-- @treturn[2] nil
-- @treturn[2] table error
function methods:profile_enabled()
  local known, err = tags_of(self)
  if not known then return nil, err end
  return tags.has(known.unifiedProfile, "enabled:true")
end

--- Whether what is ingested into the data set updates profiles. Looks it up where its tags are not known.
-- @function catalog.dataset:upsert_enabled
-- @treturn[1] boolean
-- @treturn[2] nil
-- @treturn[2] table error
function methods:upsert_enabled()
  local known, err = tags_of(self)
  if not known then return nil, err end
  return tags.has(known.unifiedProfile, "isUpsert:true")
end

local function read_last(body)
  local answer, err = core.json.decode(body)
  if err then return nil, err end
  if type(answer) ~= "table" then return failure("protocol", "the reply is no listing") end
  return answer
end

--- The batches of the data set that were the last.
-- @function catalog.dataset:last_batches
-- @treturn[1] table `last`, `success`, `failure`: batches of which `get` fetches the rest, each nil where there is
--   none; `status`, the state of the last
-- @treturn[2] nil
-- @treturn[2] table error
function methods:last_batches()
  local kind = getmetatable(self)
  local answer, err = kind.client:send {
    method = "GET", repeatable = true, path = LAST .. core.url.encode(self.id), sandbox = kind.sandbox,
    read = read_last,
  }
  if not answer then return nil, err end
  local entry = type(answer[self.id]) == "table" and answer[self.id] or {}
  local function handle(id)
    if type(id) ~= "string" then return nil end
    return kind.client:batch(id, { sandbox = kind.sandbox, dataset = self.id })
  end
  return {
    last = handle(entry.lastBatchId), success = handle(entry.lastSuccessfulBatchId),
    failure = handle(entry.lastFailedBatchId),
    status = type(entry.lastBatchStatus) == "string" and entry.lastBatchStatus or nil,
  }
end

--- Creates a batch for the data set.
-- @function catalog.dataset:create_batch
-- @tparam ?table given
-- @options catalog.client:create_batch -dataset
-- @treturn[1] catalog.batch
-- @treturn[2] nil
-- @treturn[2] table error; `ambiguous` when the batch may exist
-- @raise an option is unknown or has a wrong type
function methods:create_batch(given)
  local kind, copy = getmetatable(self), {}
  if given and given.dataset ~= nil then error("bad option 'dataset' for create_batch (it is this one's)", 2) end
  for name, value in pairs(given or {}) do copy[name] = value end
  copy.dataset, copy.sandbox = self.id, copy.sandbox or kind.sandbox
  return kind.client:create_batch(copy)
end

later.methods(methods, "catalog.query.preview", { "preview" })
later.methods(methods, "catalog.query.check", { "get_schema" })

--- The methods.
-- @local
dataset.methods = methods

return dataset
