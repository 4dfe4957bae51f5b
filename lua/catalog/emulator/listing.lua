--- The catalog: looking batches up, one or many.
-- @module catalog.emulator.listing
local answers = require "catalog.emulator.answers"
local core = require "catalog.core"
local lifecycle = require "catalog.emulator.lifecycle"

local listing = {}

local MOST <const>, USUAL <const> = 100, 20

local function visible(service, record)
  return core.system.now() >= record.batch.created + service.catalog_lag_ms
end

local function member(batch, properties)
  local shown = batch
  if properties then
    shown = {}
    for name in properties:gmatch "[^,%s]+" do shown[name] = batch[name] end
  end
  return assert(core.json.encode(batch.id)) .. ":" .. assert(core.json.encode(shown))
end

--- `GET /data/foundation/catalog/batches/{id}`
function listing.one(service, request, segments)
  local id = segments[5]
  local record = service.store:find(request.org, request.sandbox, id)
  if not record or not visible(service, record) then
    return answers.problem(404, "The batch %s was not found", id)
  end
  lifecycle.refresh(service, record)
  return answers.text(200, "{" .. member(record.batch, request.query.properties) .. "}")
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

local function related(batch, id)
  for _, object in ipairs(batch.relatedObjects) do
    if object.type == "dataSet" and object.id == id then return true end
  end
  return false
end

-- Read first, so that a wrong query is refused however few batches there are.
local function read_query(query)
  local read = { status = query.status, dataset = query.dataSet, external_id = query.externalId }
  for _, wanted in ipairs {
    { "limit", USUAL, 1, MOST }, { "start", 0, 0, math.maxinteger }, { "createdAfter", nil, 0, math.maxinteger },
    { "createdBefore", nil, 0, math.maxinteger },
  } do
    local value, refusal = listing.number(query, table.unpack(wanted, 1, 4))
    if refusal then return nil, refusal end
    read[wanted[1]] = value
  end
  local direction, field = (query.orderBy or "desc:created"):match "^(%a+):(%a+)$"
  if field ~= "created" or direction ~= "asc" and direction ~= "desc" then
    return nil, table.pack(answers.problem(400, "orderBy is asc:created or desc:created"))
  end
  read.ascending = direction == "asc"
  return read
end

local function matches(service, read, record)
  lifecycle.refresh(service, record)
  local batch = record.batch
  return (not read.status or batch.status == read.status)
    and (not read.external_id or batch.externalId == read.external_id)
    and (not read.createdAfter or batch.created > read.createdAfter)
    and (not read.createdBefore or batch.created < read.createdBefore)
    and (not read.dataset or related(batch, read.dataset))
end

--- `GET /data/foundation/catalog/batches`: an object, in the order that was asked for.
function listing.many(service, request)
  local read, refusal = read_query(request.query)
  if not read then return table.unpack(refusal) end
  local records, members, skipped = service.store.records, {}, 0
  local first, last, step = #records, 1, -1
  if read.ascending then first, last, step = 1, #records, 1 end
  for i = first, last, step do
    local record = records[i]
    if record.org == request.org and record.sandbox == request.sandbox and visible(service, record)
      and matches(service, read, record) then
      skipped = skipped + 1
      if skipped > read.start then members[#members + 1] = member(record.batch, request.query.properties) end
      if #members == read.limit then break end
    end
  end
  return answers.text(200, "{" .. table.concat(members, ",") .. "}")
end

return listing
