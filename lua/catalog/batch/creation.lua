--- The creation of a batch: its options, and the request.
-- @module catalog.batch.creation
local batch = require "catalog.batch.batch"
local core = require "catalog.core"
local options = require "catalog.base.options"
local paths = require "catalog.batch.paths"

local creation = {}

--- What a batch is created with: the names and types of the options.
creation.OPTIONS = {
  dataset = "string|table", format = "string", multiline = "boolean", csv = "table", external_id = "string",
  replay = "table", tags = "table", error_diagnostics = "boolean", partial_ingestion = "number", sandbox = "string",
  extra = "table",
}

local SCHEMA <const> = { timeout = "number", once = "boolean" }
for name, kind in pairs(creation.OPTIONS) do SCHEMA[name] = kind end

local CSV <const> = {
  delimiter = "string", quote = "string", escape = "string", charset = "string", header = "boolean|string|table",
  null_marker = "string",
}

local REPLAY <const> = { predecessors = "table", predecessors_by_external_id = "table", reason = "string" }

--- Checks the options of a creation: names and types.
-- @tparam ?table given
-- @tparam integer level who is to blame, as in `error`, seen from the caller of `check`
-- @treturn table the options
-- @raise an option is unknown or has a wrong type
function creation.check(given, level)
  local checked = options.check(given, SCHEMA, "create_batch", level)
  if checked.csv then options.check(checked.csv, CSV, "create_batch.csv", level) end
  if checked.replay then options.check(checked.replay, REPLAY, "create_batch.replay", level) end
  return checked
end

--- The request that creates a batch.
-- @tparam table given checked options
-- @tparam ?number deadline when it has to be over, as of `client:deadline`
-- @treturn[1] table for `client:send`, which gives the batch
-- @treturn[2] nil
-- @treturn[2] table error of kind `data` or `config`
function creation.request(given, deadline)
  if given.timeout then
    local ok, wrong = batch.check_timeout(given.timeout)
    if not ok then return nil, wrong end
  end
  local payload, err = core.batch.payload(given)
  if not payload then return nil, err end
  return {
    method = "POST", path = paths.CREATION, content_type = "application/json", body = payload,
    sandbox = given.sandbox, timeout = given.timeout, deadline = deadline, read = core.batch.parse, rate_limited = true,
  }
end

--- Sends one creation.
-- @tparam catalog.client client
-- @tparam table given checked options
-- @treturn[1] catalog.batch
-- @treturn[2] nil
-- @treturn[2] table error
function creation.send(client, given)
  local request, err = creation.request(given)
  if not request then return nil, err end
  local fields, failed = client:send(request)
  if not fields then return nil, failed end
  return batch.created(client, given, fields)
end

return creation
