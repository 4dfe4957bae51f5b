--- Data sets of the catalog: finding and creating them.
-- @module catalog.query.datasets
local Client = require "catalog.client.client"
local core = require "catalog.core"
local dataset = require "catalog.query.dataset"
local failure = require "catalog.base.failure"
local filters = require "catalog.query.filters"
local options = require "catalog.base.options"
local pages = require "catalog.query.pages"
local tags = require "catalog.query.tags"
local wildcards = require "catalog.query.wildcards"

local PATH <const> = "/data/foundation/catalog/dataSets"

local SCHEMA <const> = {
  name = "string", tags = "string|table", since = "string|number", created_after = "string|number",
  created_before = "string|number", properties = "string|table", order_by = "string|table", sandbox = "string",
}

-- What narrows a listing down, or each entry.
local BOUNDS <const> = { "name", "tags", "since", "created_after", "created_before", "properties" }

local UNBOUND <const> = "data sets are not listed whole, since answers to that have reached 3 GB; give name, tags,"
  .. " since, created_before, or the properties that are wanted, such as { \"name\" }"

local MAKERS <const> = { { "name", wildcards.filter }, { "tags", filters.tags } }

-- What is asked for of one that is found by its name; its schema as a whole may be megabytes.
local USUAL <const> = { "name", "description", "schemaRef", "tags", "created", "updated", "version" }

local FIND <const> = { name = "string", properties = "table", sandbox = "string" }

-- How many of one name are told.
local MOST_TOLD <const> = 10

-- How the service names a schema whose newest minor version is meant. Source: Adobe's guide to data sets.
local SCHEMA_TYPE <const> = "application/vnd.adobe.xed+json;version=1"

local function is_bound(given)
  for _, name in ipairs(BOUNDS) do
    if given[name] ~= nil then return true end
  end
  return false
end

-- The listing of the data sets that fit, of options that were checked.
local function listing_of(client, given)
  local make, fits = dataset.maker(client, given.sandbox), given.name and wildcards.test(given.name)
  return {
    client = client, sandbox = given.sandbox, path = PATH,
    begin = function(listing) return filters.complete(listing, given, MAKERS, given, given.name and "name") end,
    each = function(fields)
      if fits and not fits(fields.name) then return nil end -- whatever the service takes for a match
      return make(fields)
    end,
  }
end

--- Goes through the data sets that fit, the newest first. The service filters; a page of 100 is held at a time, and the
-- loop may be left at any time.
-- @function catalog.client:datasets
-- @tparam table given something has to narrow the listing down, or the properties
-- @tparam[opt] string given.name in which `*` is any text, and `**` a star
-- @tparam[opt] string|{[string]=string|table,...} given.tags name to value, in which `*` is any text, or to a list of
--   values: all of them
-- @tparam[opt,unit=milliseconds] string|number given.since that moment and later: `24h` or `7d`, an ISO date in UTC, or
--   a number, since 1970
-- @tparam[opt,unit=milliseconds] string|number given.created_after later than that moment, as `since`
-- @tparam[opt,unit=milliseconds] string|number given.created_before earlier than that moment, as `since`
-- @tparam[opt=all] string|{string,...} given.properties one or a list: the fields that are wanted; without it the
--   schema in full is among them
-- @tparam[opt=desc:created] string|{string,...} given.order_by such as `asc:created` or `desc:updated`, or a list
-- @tparam[opt=the client's] string given.sandbox where the data sets are
-- @treturn fun():catalog.dataset an iterator of data sets, each with the fields that the service sends
-- @raise an option is unknown or has a wrong type; nothing narrows the listing down; in the loop: the error table, when
--   a value cannot be used or a page cannot be had
-- @usage for dataset in client:datasets { name = "Loyalty*", properties = { "name" } } do print(dataset.id) end
function Client:datasets(given)
  local checked = options.check(given, SCHEMA, "datasets", 2)
  if not is_bound(checked) then error(UNBOUND, 2) end
  return pages.each(listing_of(self, checked))
end

local function ambiguous(name, found)
  local ids = {}
  for i, one in ipairs(found) do ids[i] = core.failure.line(one.id) end
  local _, err = failure("config", 'there are %s%d data sets of the name "%s"; take one of them by its id: %s',
    #found == MOST_TOLD and "at least " or "", #found, core.failure.line(name), table.concat(ids, ", "))
  err.datasets = found
  return nil, err
end

--- Finds a data set by its name, in one call.
-- @function catalog.client:find_dataset
-- @tparam table given
-- @tparam string given.name in full; stars are stars
-- @tparam[opt=name; description; schemaRef; tags; created; updated; version] {string,...} given.properties the fields
--   that are wanted
-- @tparam[opt=the client's] string given.sandbox where the data set is
-- @treturn[1] catalog.dataset
-- @treturn[2] nil
-- @treturn[2] table error: of kind `http` with status 404 when there is none of this name; of kind `config` when there
--   are several, with `datasets`, a list of them
-- @raise an option is unknown or has a wrong type; `name` is missing
-- @usage local dataset = assert(client:find_dataset { name = "Loyalty members" })
function Client:find_dataset(given)
  local checked = options.check(given, FIND, "find_dataset", 2)
  local name = checked.name
  if not name then error("bad option 'name' for find_dataset (string expected, got nil)", 2) end
  if name == "" then return failure("config", "the name of the data set is empty") end
  local found, err = pages.first(listing_of(self, {
    name = wildcards.literal(name), sandbox = checked.sandbox, properties = checked.properties or USUAL,
  }), MOST_TOLD)
  if not found then return nil, err end
  if #found > 1 then return ambiguous(name, found) end
  if found[1] then return found[1] end
  local _, unknown = failure("http", 'there is no data set of the name "%s" in the sandbox %s',
    core.failure.line(name), checked.sandbox or self.sandbox)
  unknown.status = 404
  return nil, unknown
end

--- A data set by its id, without a call.
-- @function catalog.client:dataset
-- @tparam string id
-- @tparam ?table given
-- @tparam[opt=the client's] string given.sandbox where the data set is
-- @treturn catalog.dataset with nothing but its id; `get` fetches the rest
-- @raise the id is not a string, an option is unknown or has a wrong type
function Client:dataset(id, given)
  if type(id) ~= "string" then
    error(("bad argument to dataset (the id is a string, got %s)"):format(type(id)), 2)
  end
  return dataset.maker(self, options.check(given, { sandbox = "string" }, "dataset", 2).sandbox) { id = id }
end

local CREATE <const> = {
  name = "string", description = "string", schema = "string|table", tags = "table", profile = "boolean",
  upsert = "boolean", extra = "table", sandbox = "string", timeout = "number",
}

local function read_created(body)
  local answer, err = core.json.decode(body)
  if err then return nil, err end
  local reference = type(answer) == "table" and answer[1]
  local id = type(reference) == "string" and reference:match "^@/dataSets/([^/]+)$"
  if not id then return failure("protocol", "the reply has no id of a data set") end
  return id
end

--- Creates a data set.
-- @function catalog.client:create_dataset
-- @tparam table given
-- @tparam string given.name its name
-- @tparam[opt] string|table given.schema the id of its schema, a URL, or a `schemaRef` as it is
-- @tparam[opt] string given.description for people
-- @tparam[opt] {[string]={string,...},...} given.tags name to a list of texts
-- @tparam[opt=false] boolean given.profile `true`: the tags that enable it for profiles
-- @tparam[opt=false] boolean given.upsert `true`: the tags that enable it for updates of profiles
-- @tparam[opt] table given.extra fields of the service, as they are
-- @tparam[opt=the client's] string given.sandbox where it is created
-- @tparam[opt=the client's,unit=seconds] number given.timeout for a request
-- @treturn[1] catalog.dataset with its id; `get` fetches the rest
-- @treturn[2] nil
-- @treturn[2] table error; `ambiguous` when the data set may exist: look for it by its name before it is created again
-- @raise an option is unknown or has a wrong type; `name` is missing
function Client:create_dataset(given)
  local checked = options.check(given, CREATE, "create_dataset", 2)
  if not checked.name then error("bad option 'name' for create_dataset (string expected, got nil)", 2) end
  local fields, unfit = tags.fields(checked)
  if not fields then return nil, unfit end
  local schema = checked.schema
  if schema then fields.schemaRef = type(schema) == "table" and schema or { id = schema, contentType = SCHEMA_TYPE } end
  local body, err = core.json.encode(fields)
  if not body then return nil, err end
  local id, failed = self:send {
    method = "POST", path = PATH, body = body, content_type = "application/json", sandbox = checked.sandbox,
    timeout = checked.timeout, read = read_created,
  }
  if not id then return nil, failed end
  return dataset.maker(self, checked.sandbox) { id = id }
end
