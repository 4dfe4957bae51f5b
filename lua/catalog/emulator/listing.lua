--- The catalog: looking batches up, one or many.
-- @module catalog.emulator.listing
local answers = require "catalog.emulator.answers"
local core = require "catalog.core"
local filters = require "catalog.emulator.filters"
local lifecycle = require "catalog.emulator.lifecycle"
local target = require "catalog.emulator.target"

local listing = {}

local MOST <const>, USUAL <const> = 100, 20

local function visible(service, record)
  return core.system.now() >= record.batch.created + service.catalog_lag_ms
end

--- An object under its id.
-- @tparam string id
-- @tparam table fields
-- @tparam ?string properties the names of those that are wanted, with commas between them; nil: all
-- @treturn string JSON
function listing.member(id, fields, properties)
  local shown = fields
  if properties then
    shown = {}
    for name in properties:gmatch "[^,%s]+" do shown[name] = fields[name] end
  end
  return assert(core.json.encode(id)) .. ":" .. assert(core.json.encode(shown))
end
local member <const> = listing.member

--- `GET /data/foundation/catalog/batches/{id}`, or several ids, separated by commas: those there are.
function listing.one(service, request, segments)
  local members = {}
  for id in segments[5]:gmatch "[^,]+" do
    local record = service.store:find(request.org, request.sandbox, id)
    if record and visible(service, record) then
      lifecycle.refresh(service, record)
      members[#members + 1] = member(id, record.batch, request.query.properties)
    end
  end
  if #members == 0 then return answers.problem(404, "The batch %s was not found", segments[5]) end
  return answers.text(200, "{" .. table.concat(members, ",") .. "}")
end

--- A number of a query.
-- @tparam table query
-- @tparam string name
-- @tparam ?integer default
-- @tparam integer least
-- @tparam integer most
-- @treturn ?integer
-- @treturn ?table the refusal, packed
function listing.number(query, name, default, least, most)
  if query[name] == nil then return default end
  local value = math.tointeger(tonumber(query[name]))
  if value and value >= least and value <= most then return value end
  return nil, table.pack(answers.problem(400, "%s is a whole number%s", name,
    most < math.maxinteger and (" from %d to %d"):format(least, most) or ""))
end

-- The records to look at: all, or the few that have the one external id that is asked for.
local function candidates(service, request)
  local id, names = request.query.externalId, select(2, request.target:gsub("externalId=", ""))
  local is_exact = id and names == 1 and not id:find "[,!*~]"
  return is_exact and service.store:with_external_id(request.org, id) or service.store.records
end

-- The batches of an organisation and a sandbox that pass the filters, brought up to date.
local function find(service, request, passes)
  local batches = {}
  for _, record in ipairs(candidates(service, request)) do
    if record.org == request.org and record.sandbox == request.sandbox and visible(service, record) then
      lifecycle.refresh(service, record)
      if passes(record.batch) then batches[#batches + 1] = record.batch end
    end
  end
  return batches
end

--- Answers with a page of objects, in the order that was asked for.
-- @tparam table request
-- @tparam ?table fields what can be asked for, as of `filters.read`
-- @tparam function find_all is given the filter, and gives the objects that pass, each with its `id`
-- @tparam ?function shown makes of an object what is shown of it
function listing.answer(request, fields, find_all, shown)
  local limit, no_limit = listing.number(request.query, "limit", USUAL, 1, MOST)
  local start, no_start = listing.number(request.query, "start", 0, 0, math.maxinteger)
  local sort, no_order = filters.order(request.query.orderBy, fields)
  local passes, no_filter = filters.read(target.list(request.target:match "%?(.*)$" or ""), fields)
  local refusal = no_limit or no_start or no_order or no_filter
  if refusal then return table.unpack(refusal) end
  local objects, unfit = filters.guarded(find_all, passes)
  if not objects then return table.unpack(unfit) end
  sort(objects)
  local members = {}
  for i = start + 1, math.min(#objects, start + limit) do
    local object = objects[i]
    members[#members + 1] = member(object.id, shown and shown(object) or object, request.query.properties)
  end
  return answers.text(200, "{" .. table.concat(members, ",") .. "}")
end

--- `GET /data/foundation/catalog/batches`
function listing.many(service, request)
  return listing.answer(request, nil, function(passes) return find(service, request, passes) end)
end

return listing
