--- The schema registry. Source: Adobe's guide to it.
-- @module catalog.emulator.schemas
local answers = require "catalog.emulator.answers"
local schema = require "catalog.query.schema"

local schemas = {}

--- `GET /data/foundation/schemaregistry/tenant/schemas/{id}`; the id is a URL, encoded.
function schemas.one(service, request, segments)
  local known = service.schemas[segments[6]]
  if not known then return answers.problem(404, "The schema %s was not found", segments[6]) end
  local accept = request.headers.accept or ""
  if not accept:find("application/vnd.adobe.xed", 1, true) then
    return answers.problem(406, "Accept is '%s'; application/vnd.adobe.xed-full+json; version=1 is needed", accept)
  end
  return answers.value(200, known)
end

--- What says which rows of a data set are bad; nil: nothing is known of them.
-- @tparam table service
-- @tparam table record of a batch
-- @treturn ?function as of `catalog.query.schema`
function schemas.check_of(service, record)
  local known = service.dataset_store:find(record.org, record.sandbox, record.batch.relatedObjects[1].id)
  local reference = known and known.fields.schemaRef
  local id = type(reference) == "table" and reference.id
  if not id or not service.schemas[id] then return nil end
  service.checks[id] = service.checks[id] or assert(schema(service.schemas[id]))
  return service.checks[id]
end

return schemas
