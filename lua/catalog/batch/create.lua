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
-- @tparam table given
-- @tparam string|table given.dataset the id of the data set, a `catalog.dataset`, or `{ name = ... }`
-- @tparam[opt=parquet; by the service] string given.format `json`, `parquet` or `csv`
-- @tparam[opt=false] boolean given.multiline `true`: a file of JSON is one array, not lines
-- @tparam[opt] table given.csv how files of CSV are written
-- @tparam[opt=the service's] string given.csv.delimiter between two fields
-- @tparam[opt=the service's] string given.csv.quote around a field
-- @tparam[opt=the service's] string given.csv.escape before a quote that is part of a field
-- @tparam[opt=the service's] string given.csv.charset such as `UTF-8`
-- @tparam[opt=the service's] boolean|string|table given.csv.header whether the first line has the names, or the names
-- @tparam[opt=the service's] string given.csv.null_marker what stands for no value
-- @tparam[opt] string given.external_id an id of your own, expected to be unique in the organisation; no guide promises
--   that the service refuses a second batch with it
-- @tparam[opt=false] boolean given.once `true`: the batch is created exactly once, whatever becomes of the answers; it
--   gets an external id of its own unless one is given
-- @tparam[opt] table given.replay the batches that this one replaces
-- @tparam[opt] {string,...} given.replay.predecessors their ids
-- @tparam[opt] {string,...} given.replay.predecessors_by_external_id their external ids, which are sent with the `$`
--   before each that the service wants
-- @tparam[opt] string given.replay.reason why
-- @tparam[opt] {[string]={string,...},...} given.tags name to a list of texts
-- @tparam[opt=the service's] boolean given.error_diagnostics `true`: the service says of each bad row what is wrong
-- @tparam[opt=the service's,unit=percent] number given.partial_ingestion of the rows that may be bad
-- @tparam[opt=the client's] string given.sandbox for this call and everything that is done with the batch
-- @tparam[opt=the client's,unit=seconds] number given.timeout for a request
-- @tparam[opt] table given.extra merged into the payload as it is, for fields newer than this module
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
-- @tparam ?table given
-- @tparam[opt=the client's] string given.sandbox where the batch is
-- @tparam[opt=looked up] string|catalog.dataset|table given.dataset an id, a data set, or `{ name = ... }`, which is
--   looked up when it is needed: uploads need the id, and ask the catalog for it otherwise
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
