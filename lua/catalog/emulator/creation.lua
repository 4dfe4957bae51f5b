--- Creating batches, by way of ingestion and by way of the catalog.
-- @module catalog.emulator.creation
local answers = require "catalog.emulator.answers"
local core = require "catalog.core"
local derived = require "catalog.emulator.derived"
local ulid = require "catalog.emulator.ulid"

local creation = {}

local FORMATS <const> = { json = true, parquet = true, csv = true }

-- The fields of Adobe's API descriptions; strict refuses others.
local KNOWN <const> = {
  datasetId = true, externalId = true, inputFormat = true, replay = true, tags = true, enableErrorDiagnostics = true,
  partialIngestionPercent = true, partialIngestionPercentage = true, relatedObjects = true, status = true,
}

local function problem(format, ...)
  return answers.problem(400, format, ...)
end

local function is_list_of_strings(list)
  if type(list) ~= "table" then return false end
  for key, item in pairs(list) do
    if type(key) ~= "number" or type(item) ~= "string" then return false end
  end
  return true
end

-- The dataset a payload is for: named itself, or among the related objects as the catalog has it.
local function dataset_of(fields)
  if fields.datasetId ~= nil then return fields.datasetId end
  for _, object in ipairs(type(fields.relatedObjects) == "table" and fields.relatedObjects or {}) do
    if type(object) == "table" and object.type == "dataSet" then return object.id end
  end
end

local function check_dataset(service, fields, request)
  local dataset = dataset_of(fields)
  if type(dataset) ~= "string" or dataset == "" then return problem "datasetId is required" end
  if not service.dataset_store:use(request.org, request.sandbox, dataset) then
    return problem("Dataset %s was not found", dataset)
  end
end

local function check_format(service, fields)
  local input = fields.inputFormat
  if input == nil then
    if service.strict then return problem "inputFormat is required" end
    return
  end
  if type(input) ~= "table" or type(input.format) ~= "string" or not FORMATS[input.format:lower()] then
    return problem "inputFormat.format is one of json, parquet and csv"
  end
  if input.isMultiLineJson ~= nil and type(input.isMultiLineJson) ~= "boolean" then
    return problem "inputFormat.isMultiLineJson is true or false"
  end
  for _, name in ipairs { "delimiter", "quote" } do
    local mark = input[name]
    if mark ~= nil and (type(mark) ~= "string" or #mark ~= 1) then
      return problem("inputFormat.%s is one character", name)
    end
  end
end

local function check_tags(_, fields)
  if fields.tags == nil then return end
  if type(fields.tags) ~= "table" then return problem "tags is an object" end
  for name, list in pairs(fields.tags) do
    if type(name) ~= "string" or not is_list_of_strings(list) then
      return problem("tags.%s is not an array of strings", name)
    end
  end
end

local function check_replay(_, fields)
  if fields.replay == nil then return end
  if type(fields.replay) ~= "table" or #fields.replay > 0 then return problem "replay is an object" end
  for _, name in ipairs { "predecessors", "predecessorsByExternalId" } do
    local list = fields.replay[name]
    if list ~= nil and not is_list_of_strings(list) then
      return problem("replay.%s is not an array of strings", name)
    end
  end
end

local function percentage(fields)
  return fields.partialIngestionPercent or fields.partialIngestionPercentage
end

local function check_options(_, fields)
  local percent = percentage(fields)
  if percent ~= nil and (type(percent) ~= "number" or percent < 0 or percent > 100) then
    return problem "partialIngestionPercent is a number from 0 to 100"
  end
  if fields.enableErrorDiagnostics ~= nil and type(fields.enableErrorDiagnostics) ~= "boolean" then
    return problem "enableErrorDiagnostics is true or false"
  end
end

-- No guide promises that the service refuses an id it has seen: it does where it was told to.
local function check_external_id(service, fields, request)
  local id = fields.externalId
  if id == nil then return end
  if type(id) ~= "string" or id == "" then return problem "externalId is a string" end
  if not service.unique_ids then return end
  local other = service.store:with_external_id(request.org, id)[1]
  if other then
    return answers.problem(409, "A batch with the externalId %s exists already: %s", id, other.batch.id)
  end
end

local function check_names(service, fields)
  for name in pairs(fields) do
    if service.strict and not KNOWN[name] then return problem("%s is not a field of a batch", name) end
  end
end

local CHECKS <const> = {
  check_names, check_dataset, check_format, check_tags, check_replay, check_options, check_external_id,
}

local function input_format(given)
  if not given then return { format = "parquet" } end
  given.format = given.format:lower()
  return given
end

-- The request's tags, and what the service notes among them. Source: Adobe's partial ingestion guide.
local function tags_of(fields)
  local tags = fields.tags or {}
  if fields.enableErrorDiagnostics then tags.acp_enableErrorDiagnostics = true end
  tags.acp_partialIngestionPercent = percentage(fields)
  return tags
end

local function make(fields, request)
  local now = core.system.now()
  local id = ulid(now)
  return {
    id = id, imsOrg = request.org, sandboxId = derived.uuid(request.org .. "\0" .. request.sandbox), created = now,
    updated = now, createdClient = request.headers["x-api-key"],
    createdUser = request.headers["x-api-key"] .. "@techacct.adobe.com",
    updatedUser = request.headers["x-api-key"] .. "@techacct.adobe.com", status = "loading", version = "1.0.0",
    relatedObjects = { { type = "dataSet", id = dataset_of(fields) } }, tags = tags_of(fields),
    externalId = fields.externalId or id, inputFormat = input_format(fields.inputFormat), replay = fields.replay,
  }
end

-- What a payload may be called. A curl of the guide names no type, and curl then says it is a form.
local MEDIA <const> = { ["application/json"] = true }
local LENIENT_MEDIA <const> = { ["application/json"] = true, [""] = true, ["application/x-www-form-urlencoded"] = true }

-- The batch of a request; or nil and an answer, the refusal.
local function create(service, request)
  local media = (request.headers["content-type"] or ""):lower():match "^%s*([^;%s]*)"
  if not (service.strict and MEDIA or LENIENT_MEDIA)[media] then
    return nil, table.pack(answers.problem(415, "Content-Type is %s; application/json is needed",
      media ~= "" and media or "missing"))
  end
  local fields, err = core.json.decode(request.body)
  if type(fields) ~= "table" or #fields > 0 then
    return nil, table.pack(problem("The request body is not a JSON object%s", err and " (" .. err.message .. ")" or ""))
  end
  -- JSON can be read that cannot be written: 1e999, and what is no UTF-8
  local kept, unfit = core.json.encode(fields)
  if not kept then return nil, table.pack(problem("The request body cannot be kept: %s", unfit.message)) end
  for _, check in ipairs(CHECKS) do
    local refusal = table.pack(check(service, fields, request))
    if refusal[1] then return nil, refusal end
  end
  return service.store:add(make(fields, request), request.org, request.sandbox).batch
end

--- `POST /data/foundation/import/batches`: answers with the batch.
function creation.by_ingestion(service, request)
  local batch, refusal = create(service, request)
  if not batch then return table.unpack(refusal) end
  return answers.value(201, batch)
end

--- `POST /data/foundation/catalog/batches`: answers with a reference to it.
function creation.by_catalog(service, request)
  local batch, refusal = create(service, request)
  if not batch then return table.unpack(refusal) end
  local status, headers, body = answers.value(201, { "@/batches/" .. batch.id })
  headers.location = "/data/foundation/catalog/batches/" .. batch.id
  return status, headers, body
end

return creation
