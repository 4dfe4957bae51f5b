--- What a client does to get a batch: creates one, or attaches to one.
-- @module catalog.batch.create
local Client = require "catalog.client.client"
local batch = require "catalog.batch.batch"
local creation = require "catalog.batch.creation"
local options = require "catalog.base.options"

local function create(client, checked)
  if checked.once then return require("catalog.batch.once").create(client, checked) end
  return creation.send(client, checked)
end

--- Creates a batch. A creation goes on a connection that was just used (for less than two seconds it was idle) or on a
-- new one, and by way of a proxy of plain http on a new one always: who closes connections on the way does not tell.
-- @function catalog.client:create_batch
-- @tparam table given `dataset` (required: an id, a data set, or `{ name = ... }`); `format` (`json`, `parquet`,
--   `csv`), `multiline`, `csv` (`delimiter`, `quote`, `escape`, `charset`, `header`, `null_marker`), `external_id`,
--   `replay` (`predecessors`, `predecessors_by_external_id`, which are sent with a `$` before each, `reason`), `tags`,
--   `error_diagnostics`, `partial_ingestion` (percent), `sandbox`, `timeout` (seconds), `extra` (merged into the
--   payload as it is), `once` (true: it is created exactly once, whatever becomes of the answers; takes an external id
--   of its own unless one is given)
-- @treturn[1] catalog.batch every field the service sent
-- @treturn[2] nil
-- @treturn[2] table error; `ambiguous` when the batch may exist
-- @raise an option is unknown or has a wrong type
-- @usage local batch = assert(client:create_batch { dataset = "5c8c3c555033b814b69f947f" })
function Client:create_batch(given)
  local checked = creation.check(given, 3)
  if type(checked.dataset) ~= "table" then return create(self, checked) end
  local named, err = self:with_dataset_id(checked)
  if not named then return nil, err end
  local created, failed = create(self, named)
  -- there may be another of this name by now
  if not created and failed.kind == "http" and failed.status < 500 then self.dataset_names = nil end
  return created, failed
end

--- Attaches to an existing batch, without a call.
-- @function catalog.client:batch
-- @tparam string id
-- @tparam ?table given `sandbox`; `dataset` (an id, a data set, or `{ name = ... }`, which is looked up when it is
--   needed: uploads need the id, and ask the catalog for it otherwise)
-- @treturn catalog.batch with nothing but its id; `get` fetches the rest
-- @raise the id is not a string, an option is unknown or has a wrong type
function Client:batch(id, given)
  if type(id) ~= "string" then
    error(("bad argument to batch (the id is a string, got %s)"):format(type(id)), 2)
  end
  local checked = options.check(given, { sandbox = "string", dataset = "string|table" }, "batch", 2)
  local of = checked.dataset
  -- an id costs no call, and what is no name is told now
  if type(of) == "table" and (of.id or type(of.name) ~= "string") then checked = self:with_dataset_id(checked) end
  return batch.attach(self, id, checked.sandbox, checked.dataset)
end
