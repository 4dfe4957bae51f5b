--- Gets data into Adobe Experience Platform.
--
-- Every call that depends on more than its arguments' types returns nil and an error table when it does not
-- succeed: `kind`, `message`, and what else is known (`catalog.error`). A misspelt option raises.
-- @module catalog
local Client = require "catalog.client.client"
local batch = require "catalog.batch.batch"
local core = require "catalog.core"
local later = require "catalog.base.later"
local version = require "catalog.base.version"
require "catalog.batch.create"

-- What is not needed to create a batch.
later.methods(batch.methods, "catalog.batch.actions", { "complete", "abort", "fail", "revert", "problems", "wait" })
later.methods(batch.methods, "catalog.batch.rows", { "input_files", "failed_rows" })
later.methods(batch.methods, "catalog.batch.upload", { "upload" })
later.methods(batch.methods, "catalog.batch.writer", { "writer" })
later.methods(batch.methods, "catalog.query.files", { "files" })
later.methods(batch.methods, "catalog.query.download", { "download" })
later.methods(batch.methods, "catalog.query.preview", { "preview" })
later.methods(batch.methods, "catalog.query.resend", { "resend" })
later.methods(Client, "catalog.query.batches", { "batches" })
later.methods(Client, "catalog.query.datasets", { "datasets", "find_dataset", "dataset", "create_dataset" })
later.methods(Client, "catalog.query.check", { "checker" })
later.methods(Client, "catalog.query.names", { "dataset_id", "with_dataset_id" })
later.methods(Client, "catalog.ingest.ingest", { "ingest" })
later.methods(Client, "catalog.ingest.check", { "check" })
later.methods(Client, "catalog.sink.open", { "sink" })
later.methods(Client, "catalog.drain.open", { "drain" })
for _, name in ipairs {
  "base.limits", "base.random", "batch.once", "batch.parts", "batch.problems", "batch.states", "client.secret_file",
  "ingest.adopt", "ingest.format", "ingest.journal", "ingest.journal_line", "ingest.plan", "ingest.progress",
  "ingest.report", "ingest.resume", "ingest.shard", "query.dataset", "query.durable", "query.exports", "query.fetch",
  "query.filters", "query.moment", "query.pages", "query.regex", "query.resend_sources", "query.schema",
  "query.schema_choices", "query.schema_leaves", "query.schema_parts", "query.schema_pattern",
  "query.schema_plain", "query.tags", "query.wildcards", "scheduler.group", "scheduler.tasks",
} do
  later.module("catalog." .. name)
end

local catalog = {
  --- The version of the module.
  _VERSION = "catalog " .. version,
  --- JSON's null, in what the service sends and in what it is sent.
  null = core.json.null,
  --- An array without elements: `[]` in JSON, where an empty table is `{}`.
  empty_array = core.json.empty_array,
  --- Marks a table as an array in JSON, also when it is empty.
  -- @function array
  -- @tparam[opt={}] table list
  -- @treturn table the same table
  array = core.json.array,
  --- Decodes JSON of which nothing is lost when it is encoded again, as a transform of raw values needs it: whole
  -- numbers of 64 bits are exact, and an array stays one, also when it is empty.
  -- @function decode
  -- @tparam string text
  -- @return[1] the value; null is `catalog.null`
  -- @treturn[2] nil
  -- @treturn[2] table error of kind `data`
  decode = core.json.decode_exact,
}

-- Documented in `catalog.scheduler.tasks`. The calls are tail calls: who is to blame for a mistake is who has made it.
for _, name in ipairs { "map", "run", "spawn" } do
  catalog[name] = function(...) return require("catalog.scheduler.tasks")[name](...) end
end

-- The default client, made when it is first needed, or by `configure`.
local default

--- Makes a client.
-- @tparam ?table config what is not in it comes from the environment, then from the defaults
-- @tparam[opt=from `AEP_ORG`] string config.org the organisation, such as `...@AdobeOrg`; required here or there
-- @tparam[opt=from `AEP_API_KEY`] string config.api_key the client id of the project in Adobe's developer console;
--   required here or there
-- @tparam[opt=from `AEP_ACCESS_TOKEN`] string|function config.token an access token; or a function that returns one,
--   and may return for how many seconds it is good: otherwise it is asked for each request. Of `token`, `token_file`,
--   `client_secret` and `client_secret_file` the first that is given counts
-- @tparam[opt=from `AEP_ACCESS_TOKEN_FILE`] string config.token_file a file that holds the token, which is read again
--   when the service refuses it
-- @tparam[opt=from `AEP_CLIENT_SECRET`] string config.client_secret instead of a token: one is fetched, and again
--   before it ends
-- @tparam[opt=from `AEP_CLIENT_SECRET_FILE`] string config.client_secret_file a file that holds the secret, which is
--   read for each token that is fetched
-- @tparam[opt=from `AEP_SCOPES`] string|{string,...} config.scopes what the token is for, with commas between, or a
--   list
-- @tparam[opt=from `AEP_SANDBOX`; else prod] string config.sandbox the sandbox of all calls that name none
-- @tparam[opt=from `AEP_BASE_URL`; else https://platform.adobe.io] string config.base_url where the platform is
-- @tparam[opt=from `AEP_IMS_URL`; else https://ims-na1.adobelogin.com] string config.ims_url where the identity service
--   is
-- @tparam[opt=60,unit=seconds] number config.timeout for a request; for an upload, how long it may stand still. A
--   program that does other work meanwhile, and comes back late, gives at most 1 s more
-- @tparam[opt=10,unit=seconds] number config.connect_timeout for a connection
-- @tparam[opt=4,unit=requests] integer config.parallel in flight at a time, for uploads and downloads
-- @tparam[opt=67108864,unit=bytes] integer config.max_reply what a reply may take of memory
-- @tparam[opt=false,unit=batches a minute] number|boolean config.rate how many are created at the most; `false`: no
--   limit until a 429 is seen, whose pace is then kept and let go slowly
-- @tparam[opt] table|boolean config.retry whether and how what fails in a way that passes is tried again; `false`: one
--   try
-- @tparam[opt=5] integer config.retry.tries how often a request is sent at the most
-- @tparam[opt=0.5,unit=seconds] number config.retry.base the first pause is random up to this, and the limit doubles
--   with each try
-- @tparam[opt=30,unit=seconds] number config.retry.cap the longest such pause; a `Retry-After` is never shortened
-- @tparam[opt=900,unit=seconds] number config.retry.deadline for a call with all its requests and pauses; of an upload,
--   those of each part
-- @tparam[opt] catalog.loop.adapter config.loop an adapter for the host's event loop, as of `catalog.loop.adapter`;
--   without one, calls block
-- @tparam[opt=none] string|boolean config.proxy a URL, whose password no message shows; `true`: those of the
--   environment, as curl has them
-- @tparam[opt=from `SSL_CERT_FILE`; else libcurl's own] string config.ca_file a file of PEM certificates of
--   authorities, checked when the client is made. `SSL_CERT_DIR` counts where this is not given
-- @tparam[opt=false] boolean config.insecure `true` allows plain http beyond the loopback. Certificates are verified
--   always
-- @tparam[opt=catalog-lua/VERSION] string config.user_agent what the client calls itself
-- @tparam[opt] function config.on_request called after each exchange with `{ method, url, status, seconds, request_id,
--   attempt, error }`
-- @tparam[opt] function config.on_retry called before each further try with `{ attempt, error, pause }`; `pause` is all
--   that will be waited
-- @treturn[1] catalog.client
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
-- @raise an option is unknown or has a wrong type
-- @usage local client = assert(catalog.client { org = "...", api_key = "...", token = "..." })
function catalog.client(config)
  return Client.new(config, 2)
end

--- Sets the default client, which `create_batch` and `batch` of the module use.
-- @tparam ?table config as in `catalog.client`
-- @treturn[1] catalog.client
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`; the default client is as it was
-- @raise an option is unknown or has a wrong type
function catalog.configure(config)
  local client, err = Client.new(config, 2)
  if not client then return nil, err end
  default = client
  return client
end

local function default_client()
  if default then return default end
  local err
  default, err = Client.new({})
  return default, err
end

--- Creates a batch with the default client.
-- @tparam table options as in `catalog.client:create_batch`
-- @treturn[1] catalog.batch
-- @treturn[2] nil
-- @treturn[2] table error; `ambiguous` when the batch may exist
-- @raise an option is unknown or has a wrong type
-- @usage local batch = assert(catalog.create_batch { dataset = "5c8c3c555033b814b69f947f" })
function catalog.create_batch(options)
  local client, err = default_client()
  if not client then return nil, err end
  return client:create_batch(options)
end

--- Ingests files with the default client: creates a batch, uploads them all, completes it, and waits.
-- @tparam table options as in `catalog.client:ingest`
-- @treturn[1] table the report
-- @treturn[2] nil
-- @treturn[2] table error
-- @treturn[2] ?table the report, as far as things went
-- @raise an option is unknown or has a wrong type; what a callback raises, after the batch was aborted
-- @usage local report = assert(catalog.ingest { dataset = id, format = "json", files = { "/data/a.json" } })
function catalog.ingest(options)
  local client, err = default_client()
  if not client then return nil, err end
  return client:ingest(options)
end

--- Makes a drain with the default client: from Kafka into batches, each record exactly once.
-- @tparam table options as in `catalog.client:drain`
-- @treturn[1] catalog.drain
-- @treturn[2] nil
-- @treturn[2] table error
-- @raise an option is unknown or has a wrong type
function catalog.drain(options)
  local client, err = default_client()
  if not client then return nil, err end
  return client:drain(options)
end

--- Opens a sink with the default client: records go to a spool on the disk, and from there into batches.
-- @tparam table options as in `catalog.client:sink`
-- @treturn[1] catalog.sink
-- @treturn[2] nil
-- @treturn[2] table error
-- @raise an option is unknown or has a wrong type
-- @usage local sink <close> = assert(catalog.sink { dataset = id, spool = "/var/spool/catalog/events" })
function catalog.sink(options)
  local client, err = default_client()
  if not client then return nil, err end
  return client:sink(options)
end

--- Goes through batches with the default client.
-- @tparam table options as in `catalog.client:batches`
-- @treturn fun():catalog.batch an iterator of batches
-- @raise an option is unknown or has a wrong type; nothing narrows the listing down; the error table, in the loop, or
--   at once where there can be no default client
-- @usage for batch in catalog.batches { status = "failed", since = "24h" } do print(batch.id) end
function catalog.batches(options)
  return assert(default_client()):batches(options)
end

--- Goes through data sets with the default client.
-- @tparam table options as in `catalog.client:datasets`
-- @treturn fun():catalog.dataset an iterator of data sets
-- @raise as `batches`
function catalog.datasets(options)
  return assert(default_client()):datasets(options)
end

--- Finds a data set by its name with the default client.
-- @tparam table options as in `catalog.client:find_dataset`
-- @treturn[1] catalog.dataset
-- @treturn[2] nil
-- @treturn[2] table error
-- @raise an option is unknown or has a wrong type; `name` is missing
-- @usage local dataset = assert(catalog.find_dataset { name = "Loyalty members" })
function catalog.find_dataset(options)
  local client, err = default_client()
  if not client then return nil, err end
  return client:find_dataset(options)
end

--- A data set by its id with the default client, without a call.
-- @tparam string id
-- @tparam ?table options as in `catalog.client:dataset`
-- @treturn[1] catalog.dataset
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
-- @raise the id is not a string, an option is unknown or has a wrong type
function catalog.dataset(id, options)
  local client, err = default_client()
  if not client then return nil, err end
  return client:dataset(id, options)
end

--- Creates a data set with the default client.
-- @tparam table options as in `catalog.client:create_dataset`
-- @treturn[1] catalog.dataset
-- @treturn[2] nil
-- @treturn[2] table error; `ambiguous` when the data set may exist
-- @raise an option is unknown or has a wrong type; `name` is missing
function catalog.create_dataset(options)
  local client, err = default_client()
  if not client then return nil, err end
  return client:create_dataset(options)
end

--- Makes what checks records against a schema with the default client.
-- @tparam table options as in `catalog.client:checker`
-- @treturn[1] catalog.checker
-- @treturn[2] nil
-- @treturn[2] table error
-- @raise as `catalog.client:checker`
function catalog.checker(options)
  local client, err = default_client()
  if not client then return nil, err end
  return client:checker(options)
end

--- Checks a file of JSON lines against a schema with the default client.
-- @tparam table options as in `catalog.client:check`
-- @treturn[1] table the report
-- @treturn[2] nil
-- @treturn[2] table error
-- @raise as `catalog.client:check`
-- @usage local report = assert(catalog.check { dataset = id, file = "/data/a.json" })
function catalog.check(options)
  local client, err = default_client()
  if not client then return nil, err end
  return client:check(options)
end

--- The id of a data set with the default client.
-- @tparam string|table given as in `catalog.client:dataset_id`
-- @tparam ?string sandbox
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] table error
-- @raise `given` is none of that
function catalog.dataset_id(given, sandbox)
  local client, err = default_client()
  if not client then return nil, err end
  return client:dataset_id(given, sandbox)
end

--- Attaches to an existing batch with the default client, without a call.
-- @tparam string id
-- @tparam ?table options as in `catalog.client:batch`
-- @treturn[1] catalog.batch
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
-- @raise the id is not a string, an option is unknown or has a wrong type
function catalog.batch(id, options)
  local client, err = default_client()
  if not client then return nil, err end
  return client:batch(id, options)
end

return catalog
