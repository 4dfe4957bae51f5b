--- The data sets of the catalog: looking them up, creating and changing them. Source: Adobe's catalog guide.
-- @module catalog.emulator.datasets
local answers = require "catalog.emulator.answers"
local core = require "catalog.core"
local derived = require "catalog.emulator.derived"
local filters = require "catalog.emulator.filters"
local lifecycle = require "catalog.emulator.lifecycle"
local listing = require "catalog.emulator.listing"
local ulid = require "catalog.emulator.ulid"

local datasets = {}

local function find(service, request, id)
  local record = service.dataset_store:find(request.org, request.sandbox, id)
  if record then return record end
  return nil, table.pack(answers.problem(404, "The dataset %s was not found", id))
end

-- The version of a data set as an ETag.
local function tag_of(record) return ('"%s"'):format(record.fields.version) end

--- `GET /data/foundation/catalog/dataSets/{id}`, or several ids, separated by commas: those there are.
function datasets.one(service, request, segments)
  local members, last = {}, nil
  for id in segments[5]:gmatch "[^,]+" do
    local record = find(service, request, id)
    if record then
      members[#members + 1], last = listing.member(id, record.fields, request.query.properties), record
    end
  end
  if not last then return answers.problem(404, "The dataset %s was not found", segments[5]) end
  local status, headers, body = answers.text(200, "{" .. table.concat(members, ",") .. "}")
  if #members == 1 then headers.etag = tag_of(last) end
  return status, headers, body
end

--- `GET /data/foundation/catalog/dataSets`: an object, in the order that was asked for.
function datasets.many(service, request)
  return listing.answer(request, filters.DATASET, function(passes)
    local found = {}
    for _, record in ipairs(service.dataset_store:all(request.org, request.sandbox)) do
      if passes(record.fields) then
        found[#found + 1] = setmetatable({ id = record.id, of = record }, { __index = record.fields })
      end
    end
    return found
  end, function(object) return object.of.fields end) -- the id is the key alone
end

local function read_body(request)
  local fields, err = core.json.decode(request.body)
  if type(fields) ~= "table" then
    return nil, table.pack(answers.problem(400, "The request body is no JSON object%s",
      err and " (" .. err.message .. ")" or ""))
  end
  local kept, unfit = core.json.encode(fields)
  if not kept then return nil, table.pack(answers.problem(400, "The body cannot be kept: %s", unfit.message)) end
  return fields
end

-- What is wrong with the fields of a data set, packed.
local function fault_of(fields)
  if type(fields.name) ~= "string" or fields.name == "" then
    return table.pack(answers.problem(400, "name is required"))
  end
  for name, list in pairs(type(fields.tags) == "table" and fields.tags or {}) do
    if type(name) ~= "string" or type(list) ~= "table" then
      return table.pack(answers.problem(400, "tags.%s is not an array of strings", name))
    end
  end
end

local function reference(status, id)
  return answers.value(status, core.json.array { "@/dataSets/" .. id })
end

--- `POST /data/foundation/catalog/dataSets`: answers with a reference to it.
function datasets.create(service, request)
  local fields, refusal = read_body(request)
  refusal = refusal or fault_of(fields)
  if refusal then return table.unpack(refusal) end
  local now = core.system.now()
  local id, user = derived.view(ulid(now)), request.headers["x-api-key"] .. "@techacct.adobe.com"
  for name, value in pairs {
    version = "1.0.0", imsOrg = request.org, sandboxId = derived.uuid(request.org .. "\0" .. request.sandbox),
    created = now, updated = now, createdClient = request.headers["x-api-key"], createdUser = user, updatedUser = user,
    viewId = derived.view(id), files = "@/dataSetFiles?dataSetId=" .. id,
  } do fields[name] = value end
  service.dataset_store.complete(fields)
  service.dataset_store:save { id = id, org = request.org, sandbox = request.sandbox, fields = fields }
  local status, headers, body = reference(201, id)
  headers.location = "/data/foundation/catalog/dataSets/" .. id
  return status, headers, body
end

-- Whether a list of ETags in a header has that of a data set; they may stand without their quotes.
local function names(header, record)
  for text in header:gmatch "[^,%s]+" do
    if text == "*" or text:gsub("^W/", ""):gsub('"', "") == record.fields.version then return true end
  end
  return false
end

-- Refuses a change of what somebody else has changed.
local function stale(request, record)
  local match, none = request.headers["if-match"], request.headers["if-none-match"]
  if match and not names(match, record) or none and names(none, record) then
    local status, headers, body = answers.problem(412, "The dataset %s has the version %s", record.id,
      record.fields.version)
    headers.etag = tag_of(record)
    return table.pack(status, headers, body)
  end
end

local function is_list(value) return type(value) == "table" and #value > 0 end

local function merge(into, from, deeply)
  for name, value in pairs(from) do
    local old = into[name]
    if value == core.json.null then
      into[name] = nil
    elseif deeply and type(value) == "table" and type(old) == "table" and not is_list(value) and not is_list(old) then
      merge(old, value, deeply)
    else
      into[name] = value
    end
  end
end

local function unescaped(part) return (part:gsub("~1", "/"):gsub("~0", "~")) end

-- One operation of a JSON patch (RFC 6902) on objects. Gives what is wrong with it, or nil.
local function apply(fields, operation)
  local op, path = operation.op, operation.path
  if type(path) ~= "string" or path:sub(1, 1) ~= "/" then return "a path begins with /" end
  if op ~= "add" and op ~= "replace" and op ~= "remove" then return "op is add, replace or remove" end
  local parts, at = {}, fields
  for part in (path:sub(2) .. "/"):gmatch "([^/]*)/" do parts[#parts + 1] = unescaped(part) end
  for i = 1, #parts - 1 do
    if type(at[parts[i]]) ~= "table" then return path .. " is not there" end
    at = at[parts[i]]
  end
  local last = parts[#parts]
  if op ~= "add" and at[last] == nil then return path .. " is not there" end
  if op ~= "remove" and operation.value == nil then return "a value is missing" end
  at[last] = op ~= "remove" and operation.value or nil
end

local function copy_of(value) return assert(core.json.decode(assert(core.json.encode(value)))) end

local READ_ONLY <const> = { "version", "imsOrg", "sandboxId", "created", "createdClient", "createdUser", "viewId" }

-- Changes a data set by a function of its fields and the body, which gives what is wrong, or nil.
local function change(service, request, id, by)
  local record, unknown = find(service, request, id)
  if not record then return table.unpack(unknown) end
  local body, unread = read_body(request)
  if not body then return table.unpack(unread) end
  local refused = stale(request, record)
  if refused then return table.unpack(refused) end
  local fields = copy_of(record.fields)
  local wrong = by(fields, body)
  if wrong then return answers.problem(400, "%s", wrong) end
  for _, name in ipairs(READ_ONLY) do fields[name] = record.fields[name] end
  refused = fault_of(fields)
  if refused then return table.unpack(refused) end
  fields.updated, fields.updatedUser = core.system.now(), request.headers["x-api-key"] .. "@techacct.adobe.com"
  local major, minor, patch = fields.version:match "^(%d+)%.(%d+)%.(%d+)$"
  fields.version = ("%s.%s.%d"):format(major, minor, math.tointeger(tonumber(patch)) + 1)
  record.fields = fields
  service.dataset_store:save(record)
  local status, headers, answer = reference(200, id)
  headers.etag = tag_of(record)
  return status, headers, answer
end

--- `PATCH /data/foundation/catalog/dataSets/{id}`: fields, or the operations of a JSON patch.
function datasets.patch(service, request, segments)
  return change(service, request, segments[5], function(fields, body)
    if #body == 0 then return merge(fields, body, false) end
    for _, operation in ipairs(body) do
      local wrong = type(operation) ~= "table" and "an operation is an object" or apply(fields, operation)
      if wrong then return wrong end
    end
  end)
end

--- `PATCH /data/foundation/catalog/v2/dataSets/{id}`: fields, however deep they are.
function datasets.patch_deeply(service, request, segments)
  return change(service, request, segments[6], function(fields, body) merge(fields, body, true) end)
end

--- `PUT /data/foundation/catalog/dataSets/{id}`
function datasets.put(service, request, segments)
  return change(service, request, segments[5], function(fields, body)
    for name in pairs(fields) do fields[name] = body[name] end
    merge(fields, body, false)
  end)
end

--- `DELETE /data/foundation/catalog/dataSets/{id}`
function datasets.delete(service, request, segments)
  local record, unknown = find(service, request, segments[5])
  if not record then return table.unpack(unknown) end
  record.deleted = true
  service.dataset_store:save(record)
  return reference(200, segments[5])
end

-- The last batches of each data set that has any.
local function last_of(service, request)
  local last = {}
  for _, record in ipairs(service.store.records) do -- the oldest first
    if record.org == request.org and record.sandbox == request.sandbox then
      lifecycle.refresh(service, record)
      local batch = record.batch
      local id = batch.relatedObjects[1].id
      local entry = last[id] or { imsOrg = batch.imsOrg, sandboxId = batch.sandboxId, created = batch.created }
      last[id] = entry
      entry.lastBatchId, entry.lastBatchStatus, entry.updated = batch.id, batch.status, batch.updated
      if batch.status == "success" then entry.lastSuccessfulBatchId = batch.id end
      if batch.status == "failed" then entry.lastFailedBatchId = batch.id end
    end
  end
  return last
end

--- `GET /data/foundation/catalog/lastBatches?dataSetId=a,b`
function datasets.last(service, request)
  local limit, no_limit = listing.number(request.query, "limit", 20, 1, 100)
  if no_limit then return table.unpack(no_limit) end
  local last, members, wanted = last_of(service, request), {}, request.query.dataSetId
  local ids = {}
  for id in pairs(last) do
    if not wanted or ("," .. wanted .. ","):find("," .. id .. ",", 1, true) then ids[#ids + 1] = id end
  end
  table.sort(ids)
  for i = 1, math.min(#ids, limit) do members[i] = listing.member(ids[i], last[ids[i]], request.query.properties) end
  return answers.text(200, "{" .. table.concat(members, ",") .. "}")
end

return datasets
