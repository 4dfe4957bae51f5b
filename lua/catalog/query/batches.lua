--- Batches of the catalog, page by page.
-- @module catalog.query.batches
local Client = require "catalog.client.client"
local batch = require "catalog.batch.batch"
local filters = require "catalog.query.filters"
local options = require "catalog.base.options"
local pages = require "catalog.query.pages"

local PATH <const> = "/data/foundation/catalog/batches"

local SCHEMA <const> = {
  dataset = "string|table", status = "string|table", since = "string|number", created_after = "string|number",
  created_before = "string|number", tags = "string|table", external_id = "string|table", properties = "string|table",
  order_by = "string|table", sandbox = "string",
}

-- What narrows a listing down.
local FILTERS <const> = { "dataset", "status", "since", "created_after", "created_before", "tags", "external_id" }

local UNFILTERED <const> = "batches are not listed without a filter, since answers to that have reached 3 GB; give"
  .. " since, dataset, status, created_after, created_before, tags or external_id"

local function is_filtered(given)
  for _, name in ipairs(FILTERS) do
    if given[name] ~= nil then return true end
  end
  return false
end

-- What narrows a listing down at the service, by the option.
local MAKERS <const> = {
  { "status", filters.status }, { "tags", filters.tags },
  { "external_id", function(given) return filters.any_of("externalId", given, "external_id") end },
  { "dataset", function(given) return filters.any_of("dataSet", given, "dataset") end },
}

-- Completes a listing with what was asked for, before its first page.
local function complete(listing, given)
  local values = { status = given.status, tags = given.tags, external_id = given.external_id }
  if given.dataset then
    local id, unknown = listing.client:dataset_id(given.dataset, given.sandbox)
    if not id then return nil, unknown end
    values.dataset = id
  end
  return filters.complete(listing, given, MAKERS, values)
end

--- Goes through the batches that fit, the newest first. The service filters; a page of 100 is held at a time, and the
-- loop may be left at any time. Batches that are created meanwhile do not put the listing out of step, in the order of
-- their creation.
-- @function catalog.client:batches
-- @tparam table given at least one of them has to narrow the listing down
-- @tparam[opt] string|table given.dataset an id, a data set, or `{ name = ... }`
-- @tparam[opt] string|{string,...} given.status a state or a list of them; `failed` finds those that the service calls
--   `failure`, too
-- @tparam[opt,unit=milliseconds] string|number given.since that moment and later: `24h` or `7d`, an ISO date in UTC, or
--   a number, since 1970
-- @tparam[opt,unit=milliseconds] string|number given.created_after later than that moment, as `since`
-- @tparam[opt,unit=milliseconds] string|number given.created_before earlier than that moment, as `since`
-- @tparam[opt] string|{[string]=string|table,...} given.tags name to value, in which `*` is any text, or to a list of
--   values: all of them
-- @tparam[opt] string|{string,...} given.external_id one or a list
-- @tparam[opt=all] string|{string,...} given.properties one or a list: the fields that are wanted; `created` comes
--   along
-- @tparam[opt=desc:created] string|{string,...} given.order_by such as `asc:created` or `desc:updated`, or a list
-- @tparam[opt=the client's] string given.sandbox where the batches are
-- @treturn fun():catalog.batch an iterator of batches, each with the fields that the service sends
-- @raise an option is unknown or has a wrong type; nothing narrows the listing down; in the loop: the error table, when
--   a value cannot be used or a page cannot be had
-- @usage for batch in client:batches { status = "failed", since = "24h" } do print(batch.id) end
function Client:batches(given)
  local checked = options.check(given, SCHEMA, "batches", 2)
  if not is_filtered(checked) then error(UNFILTERED, 2) end
  return pages.each {
    client = self, sandbox = checked.sandbox, path = PATH, each = batch.listed(self, checked.sandbox),
    begin = function(listing) return complete(listing, checked) end,
  }
end
