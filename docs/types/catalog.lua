---@meta catalog
-- Made of the comments in the sources by `make types`: what is wrong here is wrong there.


---Gets data into Adobe Experience Platform.
---
---
---Every call that depends on more than its arguments' types returns nil and an error table when it does not
---succeed: `kind`, `message`, and what else is known (`catalog.error`). A misspelt option raises.
---@class catalog
local catalog = {}

---The version of the module.
---@type string
catalog._VERSION = nil

---Marks a table as an array in JSON, also when it is empty.
---@param list? table
---@return table # the same table
function catalog.array(list) end

---Attaches to an existing batch with the default client, without a call.
---@param id string
---@param options? catalog.client.batch.given as in `catalog.client:batch`
---@return catalog.batch|nil
---@return catalog.error|nil # error of kind `config`
function catalog.batch(id, options) end

---Goes through batches with the default client.
---@param options catalog.client.batches.given as in `catalog.client:batches`
---@return fun():catalog.batch # an iterator of batches
function catalog.batches(options) end

---Checks a file of JSON lines against a schema with the default client.
---@param options catalog.client.check.given as in `catalog.client:check`
---@return table|nil # the report
---@return catalog.error|nil # error
function catalog.check(options) end

---Makes what checks records against a schema with the default client.
---@param options catalog.client.checker.given as in `catalog.client:checker`
---@return catalog.checker|nil
---@return catalog.error|nil # error
function catalog.checker(options) end

---@class (exact) catalog.client.config
---@field org? string the organisation, such as `...@AdobeOrg`; required here or there (default: from `AEP_ORG`)
---@field api_key? string the client id of the project in Adobe's developer console; required here or there (default: from `AEP_API_KEY`)
---@field token? string|function an access token; or a function that returns one, and may return for how many seconds it is good: otherwise it is asked for each request. Of `token`, `token_file`, `client_secret` and `client_secret_file` the first that is given counts (default: from `AEP_ACCESS_TOKEN`)
---@field token_file? string a file that holds the token, which is read again when the service refuses it (default: from `AEP_ACCESS_TOKEN_FILE`)
---@field client_secret? string instead of a token: one is fetched, and again before it ends (default: from `AEP_CLIENT_SECRET`)
---@field client_secret_file? string a file that holds the secret, which is read for each token that is fetched (default: from `AEP_CLIENT_SECRET_FILE`)
---@field scopes? string|string[] what the token is for, with commas between, or a list (default: from `AEP_SCOPES`)
---@field sandbox? string the sandbox of all calls that name none (default: from `AEP_SANDBOX`; else prod)
---@field base_url? string where the platform is (default: from `AEP_BASE_URL`; else https://platform.adobe.io)
---@field ims_url? string where the identity service is (default: from `AEP_IMS_URL`; else https://ims-na1.adobelogin.com)
---@field timeout? number seconds; for a request; for an upload, how long it may stand still. A program that does other work meanwhile, and comes back late, gives at most 1 s more (default: 60)
---@field connect_timeout? number seconds; for a connection (default: 10)
---@field parallel? integer requests; in flight at a time, for uploads and downloads (default: 4)
---@field max_reply? integer bytes; what a reply may take of memory (default: 67108864)
---@field rate? number|boolean batches a minute; how many are created at the most; `false`: no limit until a 429 is seen, whose pace is then kept and let go slowly (default: false)
---@field retry? catalog.client.config.retry|boolean whether and how what fails in a way that passes is tried again; `false`: one try
---@field loop? catalog.loop.adapter an adapter for the host's event loop, as of `catalog.loop.adapter`; without one, calls block
---@field proxy? string|boolean a URL, whose password no message shows; `true`: those of the environment, as curl has them (default: none)
---@field ca_file? string a file of PEM certificates of authorities, checked when the client is made. `SSL_CERT_DIR` counts where this is not given (default: from `SSL_CERT_FILE`; else libcurl's own)
---@field insecure? boolean `true` allows plain http beyond the loopback. Certificates are verified always (default: false)
---@field user_agent? string what the client calls itself (default: catalog-lua/VERSION)
---@field on_request? function called after each exchange with `{ method, url, status, seconds, request_id, attempt, error }`
---@field on_retry? function called before each further try with `{ attempt, error, pause }`; `pause` is all that will be waited

---@class (exact) catalog.client.config.retry
---@field tries? integer how often a request is sent at the most (default: 5)
---@field base? number seconds; the first pause is random up to this, and the limit doubles with each try (default: 0.5)
---@field cap? number seconds; the longest such pause; a `Retry-After` is never shortened (default: 30)
---@field deadline? number seconds; for a call with all its requests and pauses; of an upload, those of each part (default: 900)

---Makes a client.
---@param config? catalog.client.config what is not in it comes from the environment, then from the defaults
---@return catalog.client|nil
---@return catalog.error|nil # error of kind `config`
function catalog.client(config) end

---Sets the default client, which `create_batch` and `batch` of the module use.
---@param config? catalog.client.config as in `catalog.client`
---@return catalog.client|nil
---@return catalog.error|nil # error of kind `config`; the default client is as it was
function catalog.configure(config) end

---Creates a batch with the default client.
---@param options catalog.client.create_batch.given as in `catalog.client:create_batch`
---@return catalog.batch|nil
---@return catalog.error|nil # error; `ambiguous` when the batch may exist
function catalog.create_batch(options) end

---Creates a data set with the default client.
---@param options catalog.client.create_dataset.given as in `catalog.client:create_dataset`
---@return catalog.dataset|nil
---@return catalog.error|nil # error; `ambiguous` when the data set may exist
function catalog.create_dataset(options) end

---A data set by its id with the default client, without a call.
---@param id string
---@param options? catalog.client.dataset.given as in `catalog.client:dataset`
---@return catalog.dataset|nil
---@return catalog.error|nil # error of kind `config`
function catalog.dataset(id, options) end

---The id of a data set with the default client.
---@param given string|table as in `catalog.client:dataset_id`
---@param sandbox? string
---@return string|nil
---@return catalog.error|nil # error
function catalog.dataset_id(given, sandbox) end

---Goes through data sets with the default client.
---@param options catalog.client.datasets.given as in `catalog.client:datasets`
---@return fun():catalog.dataset # an iterator of data sets
function catalog.datasets(options) end

---Decodes JSON of which nothing is lost when it is encoded again, as a transform of raw values needs it: whole
---numbers of 64 bits are exact, and an array stays one, also when it is empty.
---@param text string
---@return any # the value; null is `catalog.null`
---@return catalog.error|nil # error of kind `data`
function catalog.decode(text) end

---Makes a drain with the default client: from Kafka into batches, each record exactly once.
---@param options catalog.client.drain.given as in `catalog.client:drain`
---@return catalog.drain|nil
---@return catalog.error|nil # error
function catalog.drain(options) end

---An array without elements: `[]` in JSON, where an empty table is `{}`.
---@type any
catalog.empty_array = nil

---Finds a data set by its name with the default client.
---@param options catalog.client.find_dataset.given as in `catalog.client:find_dataset`
---@return catalog.dataset|nil
---@return catalog.error|nil # error
function catalog.find_dataset(options) end

---Ingests files with the default client: creates a batch, uploads them all, completes it, and waits.
---@param options catalog.client.ingest.given as in `catalog.client:ingest`
---@return table|nil # the report
---@return catalog.error|nil # error
---@return table|nil # the report, as far as things went
function catalog.ingest(options) end

---@class (exact) catalog.map.given
---@field parallel? integer how many at a time (default: 4)

---Calls a function with each element of a list, several at a time.
---@param list table without holes
---@param body function is given an element and its index; returns a value, or nil and an error
---@param given? catalog.map.given
---@return table|nil # the values, each at the index of its element
---@return catalog.error|nil # the first error there was
---@return table|nil # the values; `{ error = err }` in the place of one that is none
function catalog.map(list, body, given) end

---JSON's null, in what the service sends and in what it is sent.
---@type any
catalog.null = nil

---Runs a function whose calls may overlap with those of the tasks it spawns; returns when all are over.
---@param body function
---@param ... any its arguments
---@return any # what it returned; or nil and an error of kind `cancelled`, in a child that was forked within it
function catalog.run(body, ...) end

---Opens a sink with the default client: records go to a spool on the disk, and from there into batches.
---@param options catalog.client.sink.given as in `catalog.client:sink`
---@return catalog.sink|nil
---@return catalog.error|nil # error
function catalog.sink(options) end

---Runs a function beside others.
---In a function of `run` or `map` it is part of that, which returns when it is over. In
---a host's loop it goes on by itself; elsewhere while anything is waited for.
---@param body function begins at once, up to where it waits
---@param ... any its arguments
---@return catalog.task
function catalog.spawn(body, ...) end

---A client: one configuration, and the one place that sends.
---@class catalog.client
local client = {}

---@class (exact) catalog.client.batch.given
---@field sandbox? string where the batch is (default: the client's)
---@field dataset? string|catalog.dataset|table an id, a data set, or `{ name = ... }`, which is looked up when it is needed: uploads need the id, and ask the catalog for it otherwise (default: looked up)

---Attaches to an existing batch, without a call.
---@param id string
---@param given? catalog.client.batch.given
---@return catalog.batch # with nothing but its id; `get` fetches the rest
function client:batch(id, given) end

---@class (exact) catalog.client.batches.given
---@field dataset? string|table an id, a data set, or `{ name = ... }`
---@field status? string|string[] a state or a list of them; `failed` finds those that the service calls `failure`, too
---@field since? string|number milliseconds; that moment and later: `24h` or `7d`, an ISO date in UTC, or a number, since 1970
---@field created_after? string|number milliseconds; later than that moment, as `since`
---@field created_before? string|number milliseconds; earlier than that moment, as `since`
---@field tags? string|table<string, string|table> name to value, in which `*` is any text, or to a list of values: all of them
---@field external_id? string|string[] one or a list
---@field properties? string|string[] one or a list: the fields that are wanted; `created` comes along (default: all)
---@field order_by? string|string[] such as `asc:created` or `desc:updated`, or a list (default: desc:created)
---@field sandbox? string where the batches are (default: the client's)

---Goes through the batches that fit, the newest first.
---The service filters; a page of 100 is held at a time, and the
---loop may be left at any time. Batches that are created meanwhile do not put the listing out of step, in the order of
---their creation.
---@param given catalog.client.batches.given at least one of them has to narrow the listing down
---@return fun():catalog.batch # an iterator of batches, each with the fields that the service sends
function client:batches(given) end

---@class (exact) catalog.client.check.given
---@field file string|file* its path, or an open file of Lua's, such as `io.stdin`
---@field format? string `json`, `csv` or `parquet`, as of `ingest`; JSON alone can be checked (default: by the ending of the path; else json)
---@field dataset? string|table an id, a data set, or `{ name = ... }`: its schema counts
---@field schema? table a JSON schema, decoded
---@field sandbox? string where the data set is (default: the client's)
---@field most? integer problems; that are told (default: 100)

---Checks a file before it is sent: one of JSON lines, or one JSON array.
---An array is read as a whole.
---@param given catalog.client.check.given either `dataset` or `schema`, and `file`
---@return table|nil # `records`, how many were read; `bad`, how many of them do not fit; `count`, how many problems there are; `problems`, the first of them, as of `checker:check`, each with its `line`, or in an array the number of its `record`, and the problem `json` where that is none
---@return catalog.error|nil # error: of kind `data` when the file cannot be read, is empty, or is of another format
function client:check(given) end

---@class (exact) catalog.client.checker.given
---@field dataset? string|table an id, a data set, or `{ name = ... }`: its schema counts
---@field schema? table a JSON schema, decoded
---@field sandbox? string where the data set is (default: the client's)

---Makes what checks records.
---The schema is asked for once, and kept for ten minutes.
---@param given catalog.client.checker.given either `dataset` or `schema`
---@return catalog.checker|nil
---@return catalog.error|nil # error: of kind `data` when the data set names no schema
function client:checker(given) end

---Frees what the client holds.
---Its transfers in flight and its pauses end at once, with errors of kind `cancelled`.
function client:close() end

---@class (exact) catalog.client.create_batch.given
---@field dataset string|table the id of the data set, a `catalog.dataset`, or `{ name = ... }`
---@field format? string `json`, `parquet` or `csv` (default: parquet; by the service)
---@field multiline? boolean `true`: a file of JSON is one array, not lines (default: false)
---@field csv? catalog.client.create_batch.given.csv how files of CSV are written
---@field external_id? string an id of your own, expected to be unique in the organisation; no guide promises that the service refuses a second batch with it
---@field once? boolean `true`: the batch is created exactly once, whatever becomes of the answers; it gets an external id of its own unless one is given (default: false)
---@field replay? catalog.client.create_batch.given.replay the batches that this one replaces
---@field tags? table<string, string[]> name to a list of texts
---@field error_diagnostics? boolean `true`: the service says of each bad row what is wrong (default: the service's)
---@field partial_ingestion? number percent; of the rows that may be bad (default: the service's)
---@field sandbox? string for this call and everything that is done with the batch (default: the client's)
---@field timeout? number seconds; for a request (default: the client's)
---@field extra? table merged into the payload as it is, for fields newer than this module

---@class (exact) catalog.client.create_batch.given.csv
---@field delimiter? string between two fields (default: the service's)
---@field quote? string around a field (default: the service's)
---@field escape? string before a quote that is part of a field (default: the service's)
---@field charset? string such as `UTF-8` (default: the service's)
---@field header? boolean|string|table whether the first line has the names, or the names (default: the service's)
---@field null_marker? string what stands for no value (default: the service's)

---@class (exact) catalog.client.create_batch.given.replay
---@field predecessors? string[] their ids
---@field predecessors_by_external_id? string[] their external ids, which are sent with the `$` before each that the service wants
---@field reason? string why

---Creates a batch.
---A creation goes on a connection that was just used (for less than two seconds it was idle) or on a
---new one, and by way of a proxy of plain http on a new one always: who closes connections on the way does not tell.
---@param given catalog.client.create_batch.given
---@return catalog.batch|nil # every field the service sent
---@return catalog.error|nil # error; `ambiguous` when the batch may exist
function client:create_batch(given) end

---@class (exact) catalog.client.create_dataset.given
---@field name string its name
---@field schema? string|table the id of its schema, a URL, or a `schemaRef` as it is
---@field description? string for people
---@field tags? table<string, string[]> name to a list of texts
---@field profile? boolean `true`: the tags that enable it for profiles (default: false)
---@field upsert? boolean `true`: the tags that enable it for updates of profiles (default: false)
---@field extra? table fields of the service, as they are
---@field sandbox? string where it is created (default: the client's)
---@field timeout? number seconds; for a request (default: the client's)

---Creates a data set.
---@param given catalog.client.create_dataset.given
---@return catalog.dataset|nil # with its id; `get` fetches the rest
---@return catalog.error|nil # error; `ambiguous` when the data set may exist: look for it by its name before it is created again
function client:create_dataset(given) end

---@class (exact) catalog.client.dataset.given
---@field sandbox? string where the data set is (default: the client's)

---A data set by its id, without a call.
---@param id string
---@param given? catalog.client.dataset.given
---@return catalog.dataset # with nothing but its id; `get` fetches the rest
function client:dataset(id, given) end

---The id of a data set that an option names.
---@param given string|table an id, which costs no call; a data set, which costs none either; or `{ name = ... }`, which is looked up once and kept for ten minutes
---@param sandbox? string the client's when nil
---@param level? integer who is to blame, as in `error`
---@return string|nil
---@return catalog.error|nil # error, as of `find_dataset`
function client:dataset_id(given, sandbox, level) end

---@class (exact) catalog.client.datasets.given
---@field name? string in which `*` is any text, and `**` a star
---@field tags? string|table<string, string|table> name to value, in which `*` is any text, or to a list of values: all of them
---@field since? string|number milliseconds; that moment and later: `24h` or `7d`, an ISO date in UTC, or a number, since 1970
---@field created_after? string|number milliseconds; later than that moment, as `since`
---@field created_before? string|number milliseconds; earlier than that moment, as `since`
---@field properties? string|string[] one or a list: the fields that are wanted; without it the schema in full is among them (default: all)
---@field order_by? string|string[] such as `asc:created` or `desc:updated`, or a list (default: desc:created)
---@field sandbox? string where the data sets are (default: the client's)

---Goes through the data sets that fit, the newest first.
---The service filters; a page of 100 is held at a time, and the
---loop may be left at any time.
---@param given catalog.client.datasets.given something has to narrow the listing down, or the properties
---@return fun():catalog.dataset # an iterator of data sets, each with the fields that the service sends
function client:datasets(given) end

---@class (exact) catalog.client.drain.given
---@field dataset string|table the id of the data set, a `catalog.dataset`, or `{ name = ... }`
---@field kafka catalog.client.drain.given.kafka which topics, and as whom
---@field from? string `beginning` or `end`: where a new group starts; required for one, ignored by an old one
---@field roll? catalog.client.drain.given.roll when a batch is sealed: at whichever comes first
---@field file_bytes? number bytes; of a file of a batch (default: 4000000)
---@field parallel? integer files; at a time (default: 4)
---@field record_bytes? number bytes; of a record; longer ones are rejected (default: 1000000)
---@field transform? function `transform(record, message)` changes each message: it gives nil, which drops it, a list, which makes several of it, or a record; where it raises, or gives something else, the message is rejected; `message` has `topic`, `partition`, `offset`, `key`, `value`, `timestamp` and `headers`
---@field raw? boolean `true`: the `record` of `transform` is the value as it is, a string, or nil, and need not be JSON: for Avro, say (default: false)
---@field rejected_topic? string a topic of Kafka, where rejected messages go, and rows that the service has refused of a batch that it has ingested
---@field rejected? string or a directory for them
---@field after_failure? string what a failed batch had goes there; or its partitions wait for a person: `catalog group resolve` (default: continue where rejected messages have a place; else stop)
---@field error_diagnostics? boolean the service says of each bad row what is wrong (default: true)
---@field partial_ingestion? number percent; of the rows of a batch that may be bad (default: 5)
---@field tags? table<string, string[]> of each batch: name to a list of texts
---@field sandbox? string where the data set is (default: the client's)
---@field extra? table merged into the payload of each creation as it is
---@field on_batch? function `on_batch(report)`: a batch has ended
---@field on_rejected? function `on_rejected(message, err)`: a message was rejected
---@field on_error? function `on_error(err)`: something failed; what passes is tried again
---@field on_warning? function `on_warning(text)`: the options are not wise

---@class (exact) catalog.client.drain.given.kafka
---@field brokers string as `k1:9092,k2:9092`
---@field topics string[] names, no patterns
---@field group string the consumer group, whose members share the partitions
---@field config? table<string, string> properties of librdkafka, by their names

---@class (exact) catalog.client.drain.given.roll
---@field seconds? number seconds; that the first record of a batch waits at the most; more as this member's share of the partitions is smaller (default: 960)
---@field bytes? number bytes; in a batch (default: 10000000000)
---@field files? integer files; in a batch (default: 1500)
---@field records? integer records; in a batch (default: none)

---Makes a drain.
---It joins the group when it runs.
---@param given catalog.client.drain.given
---@return catalog.drain|nil
---@return catalog.error|nil # error of kind `config`: librdkafka is not there, or refuses a property
function client:drain(given) end

---@class (exact) catalog.client.find_dataset.given
---@field name string in full; stars are stars
---@field properties? string[] the fields that are wanted (default: name; description; schemaRef; tags; created; updated; version)
---@field sandbox? string where the data set is (default: the client's)

---Finds a data set by its name, in one call.
---@param given catalog.client.find_dataset.given
---@return catalog.dataset|nil
---@return catalog.error|nil # error: of kind `http` with status 404 when there is none of this name; of kind `config` when there are several, with `datasets`, a list of them
function client:find_dataset(given) end

---@class (exact) catalog.client.ingest.given
---@field files? (string|table)[] paths, or `{ name = ..., file = path }`
---@field dir? string the directory of the files
---@field pattern? string of the names in `dir`, such as `*.json` (default: *)
---@field recursive? boolean `true`: what is below `dir` too, by names such as `a/x.json`; links to directories are not followed (default: false)
---@field journal? string a path: what has been done is noted there, and the same call again goes on where the last one stopped; then nothing but a refusal aborts the batch
---@field shard? string|table `"3/16"` or `{ 3, 16 }`: of the files of `dir` those whose names hash to the fourth of 16 shards, in a batch with the external id `ID-3-of-16`; it implies `adopt`
---@field adopt? boolean `true`: a batch with the `external_id` that is there already is the one: it is filled, or waited for, or reported; one that has failed is replaced by one with `-2` behind the id; one of other files is an error of kind `data`. As with a journal, nothing but a refusal aborts the batch (default: false)
---@field split? boolean `true`: as many batches as the advised limits make (default: false)
---@field parallel? integer requests; in flight at a time (default: the client's)
---@field part_size? integer bytes; of a part, as of `catalog.batch:upload` (default: 67108864)
---@field part_threshold? integer bytes; that go in one request at the most, as of `catalog.batch:upload` (default: 256000000)
---@field upload_timeout? number seconds; for which an upload may stand still (default: the client's)
---@field timeout? number seconds; to wait for the service to ingest (default: none)
---@field advised_files? integer files; in a batch; more warns (default: 10000)
---@field advised_bytes? integer bytes; in a batch; more warns (default: 100000000000)
---@field max_files? integer files; in a batch; more is refused (default: 25000)
---@field max_bytes? integer bytes; in a batch; more is refused (default: 1099511627776)
---@field on_progress? function called at most ten times a second with `{ file, bytes, total, files_done, files_total, rate }`, rate in bytes a second; `bytes` are those that have left, and become fewer where some have to be sent again
---@field on_batch? function called with the id of each batch, before anything goes into it
---@field on_change? function called with a batch's status each time it is another
---@field on_warning? function called with a text (default: Lua's `warn`)
---@field dataset string|table the id of the data set, a `catalog.dataset`, or `{ name = ... }`
---@field format? string `json`, `parquet` or `csv` (default: parquet; by the service)
---@field multiline? boolean `true`: a file of JSON is one array, not lines (default: false)
---@field csv? catalog.client.ingest.given.csv how files of CSV are written
---@field external_id? string an id of your own, expected to be unique in the organisation; no guide promises that the service refuses a second batch with it
---@field replay? catalog.client.ingest.given.replay the batches that this one replaces
---@field tags? table<string, string[]> name to a list of texts
---@field error_diagnostics? boolean `true`: the service says of each bad row what is wrong (default: the service's)
---@field partial_ingestion? number percent; of the rows that may be bad (default: the service's)
---@field sandbox? string for this call and everything that is done with the batch (default: the client's)
---@field extra? table merged into the payload as it is, for fields newer than this module

---@class (exact) catalog.client.ingest.given.csv
---@field delimiter? string between two fields (default: the service's)
---@field quote? string around a field (default: the service's)
---@field escape? string before a quote that is part of a field (default: the service's)
---@field charset? string such as `UTF-8` (default: the service's)
---@field header? boolean|string|table whether the first line has the names, or the names (default: the service's)
---@field null_marker? string what stands for no value (default: the service's)

---@class (exact) catalog.client.ingest.given.replay
---@field predecessors? string[] their ids
---@field predecessors_by_external_id? string[] their external ids, which are sent with the `$` before each that the service wants
---@field reason? string why

---Ingests files: creates a batch, uploads them all, completes it, and waits.
---If an upload fails for good the batch is
---aborted, and nothing is ingested.
---@param given catalog.client.ingest.given either `files` or `dir`, and the options of the batches
---@return table|nil # the report: `id`, `status`, `files` (each `name`, `bytes`, `seconds`, `batch`), `bytes`, `seconds`, `metrics`, `errors`, `batches` (each `id`, `status`, `metrics`, `errors`, `completed`, `files`); with a journal or `adopt` `resumed` (true: it went on), and with a journal `replaced`: batches (`id`, `status`) that had ended without their files, which went into new ones. Of a shard without files `status` is `success`, and there are no batches
---@return catalog.error|nil # error
---@return table|nil # the report, as far as things went
function client:ingest(given) end

---@class (exact) catalog.client.sink.given
---@field dataset string|table the id of the data set, a `catalog.dataset`, or `{ name = ... }`
---@field spool string a directory of this sink's own; what is in it survives crashes. One on a network file system is refused
---@field roll? catalog.client.sink.given.roll when a batch is sealed: at whichever comes first
---@field file_bytes? number bytes; of a file of a batch, each of which is one request (default: 64000000)
---@field limit? catalog.client.sink.given.limit of the spool; at a limit `write` waits and `offer` says no
---@field sync_seconds? number seconds; from a write to the disk at the most; 0: each call (default: 1)
---@field record_bytes? number bytes; of a record; longer ones are rejected. The profile store refuses profiles over 100,000 bytes and events over 10,000 (default: 1000000)
---@field error_diagnostics? boolean the service says of each bad row what is wrong (default: true)
---@field partial_ingestion? number percent; of the rows of a batch that may be bad (default: 5)
---@field after_failure? string or `stop`: after a batch that failed for its data no other is made (default: continue)
---@field parallel? integer files; at a time (default: the client's)
---@field check? boolean `true`: records, or what the transform makes of them, are held against the schema of the data set, and rejected where they do not fit (default: false)
---@field transform? function `transform(record, message)` changes a copy of each record on its way to the spool: it gives nil, which drops it, a list, which makes several of it, or a record; where it raises, or gives something else, the record is rejected; `message` has the `source` and the `position` of the call, where there are any; it may not use the sink
---@field format? string the only one there is (default: json)
---@field tags? table<string, string[]> of each batch: name to a list of texts
---@field sandbox? string where the data set is (default: the client's)
---@field extra? table merged into the payload of each creation as it is
---@field on_batch? function `on_batch(report)`: a batch has ended. Callbacks run on the coroutine of whoever uses the sink next, or in a task of its loop
---@field on_rejected? function `on_rejected(record, err)`: a record was rejected
---@field on_error? function `on_error(err)`: something failed; what passes is tried again
---@field on_warning? function `on_warning(text)`: the options are not wise

---@class (exact) catalog.client.sink.given.roll
---@field seconds? number seconds; that the first record of a batch waits at the most; 960 s make 90 batches a day, the advice for a whole sandbox (default: 960)
---@field bytes? number bytes; in a batch (default: 10000000000)
---@field files? integer files; in a batch (default: 1500)
---@field records? integer records; in a batch (default: none)

---@class (exact) catalog.client.sink.given.limit
---@field bytes? number bytes; in the spool (default: 50000000000)
---@field free? number bytes; that are left free on the disk (default: 2000000000)
---@field timeout? number seconds; that a write waits for room (default: none)

---Opens a sink: records go into its spool, and from there into batches.
---It needs no network for that,
---unless the data set is given by its name, or `check` by its schema.
---@param given catalog.client.sink.given
---@return catalog.sink|nil
---@return catalog.error|nil # error of kind `config`: the spool cannot be used; `conflict`: another process has it
function client:sink(given) end

---Batches: plain tables with every field the service sent; what can be done with them is in the metatable.
---A field
---that has the name of a method is found with an underscore behind it (`wait_`).
---
---The fields are the service's, and there may be others; a handle that was not looked up has its id alone.
---@class catalog.batch
---@field id string
---@field status? string such as `loading`, `staged`, `processing`, `success`, `failed` or `aborted`
---@field created? integer milliseconds since 1970
---@field updated? integer milliseconds since 1970
---@field metrics? table such as `inputRecordCount` and `outputRecordCount`; the service may leave it out
---@field errors? table[] what was wrong, with `code` and `description`
---@field inputFormat? table the format of the files
local batch = {}

---@class (exact) catalog.batch.abort.given
---@field timeout? number seconds; for a request (default: the client's)

---Gives the batch up; nothing of it is ingested.
---@param given? catalog.batch.abort.given
---@return catalog.batch|nil # itself
---@return catalog.error|nil # error
function batch:abort(given) end

---@class (exact) catalog.batch.complete.given
---@field timeout? number seconds; for a request (default: the client's)

---Says that all files are there: the service begins to ingest them.
---May be repeated.
---@param given? catalog.batch.complete.given
---@return catalog.batch|nil # itself
---@return catalog.error|nil # error
function batch:complete(given) end

---@class (exact) catalog.batch.download.given
---@field to string the directory, made when it is not there; no file leaves it
---@field parallel? integer files; at a time (default: the client's)
---@field overwrite? boolean `true`: files that are there are replaced; otherwise one that is there and did not come by this call is an error (default: false)
---@field failed? boolean `true`: the files that a batch was sent which failed (default: false)
---@field on_progress? function called after each piece with `{ file, bytes, total, files_done, files_total }`, in a task

---Gets all files of the batch onto the disk, several at a time; once this returns they are there after a loss of the
---power, too.
---What has come is kept when it ends, however it ends, and the same call again goes on from there. Only
---files that were not whole when the machine was started anew begin again.
---@param given catalog.batch.download.given
---@return table|nil # `files`, each `name`, `bytes`, `path`; `bytes` in all
---@return catalog.error|nil # error: of kind `data` when a file cannot be written, is there already, or has a name that leads out of the directory; of kind `protocol` when one has another length than the listing says
function batch:download(given) end

---@class (exact) catalog.batch.fail.given
---@field timeout? number seconds; for a request (default: the client's)

---Marks the batch as failed.
---@param given? catalog.batch.fail.given
---@return catalog.batch|nil # itself
---@return catalog.error|nil # error
function batch:fail(given) end

---The rows that were not ingested, over all pages and files.
---@return fun():table,string # an iterator of the row as a table (`_errors` says why; empty when the line is no object), and the raw line. Whole numbers beyond +-(2^53 - 1) are rounded floats in the row, and have all their digits in the line
function batch:failed_rows() end

---@class (exact) catalog.batch.files.given
---@field failed? boolean `true`: the files that a batch was sent which failed (default: false)

---Goes through the files that the batch has become in its data set; there are none before it is ingested.
---@param given? catalog.batch.files.given
---@return fun():catalog.file # an iterator of files: `name`, `bytes` (nil where the service does not say), `id` (that of the data set's file which it is a part of)
function batch:files(given) end

---@class (exact) catalog.batch.get.given
---@field timeout? number seconds; for a request (default: the client's)

---Looks the batch up in the catalog.
---@param given? catalog.batch.get.given
---@return catalog.batch|nil # a fresh table; the one it was asked of stays as it was
---@return catalog.error|nil # error: of kind `http` with status 404 when the catalog does not know it (yet), also where what it says is an empty object
function batch:get(given) end

---The files the service read.
---@return table[]|nil # `name`, `bytes` (nil where the service does not say)
---@return catalog.error|nil # error
function batch:input_files() end

---Goes through the first records that were uploaded into the batch, as the service reads them: a look before it is
---completed.
---@param count? integer 1 to 9
---@return fun():table # an iterator of rows: tables of the names of columns and their values; what is deep in a record is named by its path (`person/name`)
function batch:preview(count) end

---What the service found wrong with the batch.
---@return table[]|nil # the service's `errors` (`code`, `description`, `recordCount`, `rows`), each with `text`, a readable line; none is an empty list
---@return catalog.error|nil # error
function batch:problems() end

---@class (exact) catalog.batch.resend.given
---@field rows? function called with each row, a table; its errors, a list of `code` and `message`; and its line as the service gave it: gives back the mended row, or its line of JSON as a text, or nil to drop it; without it all are sent as they were
---@field whole? boolean `true`: all of a batch that failed is sent again, as a replacement of it, each row through `rows`, where that is given (default: false)
---@field again? boolean `true`: also where that was done before (default: false)

---Sends the rows of the batch that failed again, as a batch of their own: what is kept in memory does not depend on
---how many there are.
---The new batch is completed, and goes on; its tag `catalog_resend_of` has the id of this one.
---@param given? catalog.batch.resend.given
---@return catalog.batch|nil # the new batch
---@return table|catalog.error # `rows`, `sent`, `dropped`: how many; of files where there is no `rows` with `whole`
function batch:resend(given) end

---@class (exact) catalog.batch.revert.given
---@field timeout? number seconds; for a request (default: the client's)

---Takes an ingested batch back: its data is deleted.
---@param given? catalog.batch.revert.given
---@return catalog.batch|nil # itself
---@return catalog.error|nil # error
function batch:revert(given) end

---@class (exact) catalog.batch.upload.source
---@field file? string a path
---@field offset? integer bytes; of the file, before what is sent of it (default: 0)
---@field length? integer bytes; of the file that are sent (default: the rest)
---@field data? string what is sent, as it is
---@field reader? function gives a chunk, a string, each time it is called, and nil at the end

---@class (exact) catalog.batch.upload.given
---@field part_size? integer bytes; of a part; at most 512,000,000 (default: 67108864; of readers 8388608)
---@field part_threshold? integer bytes; that go in one request at the most; that is the maximum, too. A file that is too large for the service, or takes too long for its gateway, goes on in parts (default: 256000000)
---@field parallel? integer requests; in flight at a time (default: the client's)
---@field timeout? number seconds; for which an upload may stand still (default: the client's)

---Uploads a file.
---@param name string in the batch; may have slashes in it
---@param source catalog.batch.upload.source one of `file`, `data` and `reader`
---@param given? catalog.batch.upload.given
---@return table|nil # `name`, `bytes`, `seconds`
---@return catalog.error|nil # error: of kind `data` when the name or the source cannot be used, or the file was changed
function batch:upload(name, source, given) end

---@class (exact) catalog.batch.wait.given
---@field timeout? number seconds; how long to wait at the most (default: none)
---@field on_change? function called with the status each time it is another

---Waits until the batch is ingested.
---@param given? catalog.batch.wait.given
---@return catalog.batch|nil # fresh, in a final state of success
---@return catalog.error|nil # error: of kind `batch`, with the service's `code` and the `batch`, when it ended in another state; of kind `timeout` when it has not ended, and goes on; that of the last look-up when none has succeeded
function batch:wait(given) end

---@class (exact) catalog.batch.writer.given
---@field part_size? integer bytes; of a part; at most 512,000,000 (default: 8388608)
---@field parallel? integer requests; in flight at a time (default: the client's)
---@field timeout? number seconds; for which an upload may stand still (default: the client's)
---@field check? boolean `true`: each record is held against the schema of the data set, and one that does not fit is left out, with an error (default: false)

---Opens a file of a batch for records.
---@param name string in the batch
---@param given? catalog.batch.writer.given memory: at most `parallel` + 1 parts
---@return catalog.writer|nil
---@return catalog.error|nil # error: of kind `data` when the name cannot be used, is being written already, or the batch is not of JSON lines
function batch:writer(name, given) end

---Records from Lua into a file of a batch, sent while more are produced.
---@class catalog.writer
local writer = {}

---Drops what was not sent; the file is not part of the batch.
function writer:cancel() end

---Sends what is left and ends the file.
---@return table|nil # `name`, `bytes`, `records`, `seconds`
---@return catalog.error|nil # error; the file is not part of the batch
function writer:close() end

---Writes a record, as a line of JSON.
---@param record table with string keys; an empty one is `{}`
---@return boolean|nil # true
---@return catalog.error|nil # error: of kind `data` when the record is no object or cannot be encoded (it is left out; those before and after it are not harmed), otherwise that of a transfer, after which the writer is of no more use
function writer:write(record) end

---Data sets: plain tables with the fields that the service sent, and `id`; what can be done with them is in the
---metatable.
---
---The fields are the service's, and there may be others; a handle that was not looked up has its id alone.
---@class catalog.dataset
---@field id string
---@field name? string
---@field description? string
---@field schemaRef? table which schema its records have
---@field tags? table name to a list of texts
---@field created? integer milliseconds since 1970
---@field updated? integer milliseconds since 1970
local dataset = {}

---@class (exact) catalog.dataset.create_batch.given
---@field format? string `json`, `parquet` or `csv` (default: parquet; by the service)
---@field multiline? boolean `true`: a file of JSON is one array, not lines (default: false)
---@field csv? catalog.dataset.create_batch.given.csv how files of CSV are written
---@field external_id? string an id of your own, expected to be unique in the organisation; no guide promises that the service refuses a second batch with it
---@field once? boolean `true`: the batch is created exactly once, whatever becomes of the answers; it gets an external id of its own unless one is given (default: false)
---@field replay? catalog.dataset.create_batch.given.replay the batches that this one replaces
---@field tags? table<string, string[]> name to a list of texts
---@field error_diagnostics? boolean `true`: the service says of each bad row what is wrong (default: the service's)
---@field partial_ingestion? number percent; of the rows that may be bad (default: the service's)
---@field sandbox? string for this call and everything that is done with the batch (default: the client's)
---@field timeout? number seconds; for a request (default: the client's)
---@field extra? table merged into the payload as it is, for fields newer than this module

---@class (exact) catalog.dataset.create_batch.given.csv
---@field delimiter? string between two fields (default: the service's)
---@field quote? string around a field (default: the service's)
---@field escape? string before a quote that is part of a field (default: the service's)
---@field charset? string such as `UTF-8` (default: the service's)
---@field header? boolean|string|table whether the first line has the names, or the names (default: the service's)
---@field null_marker? string what stands for no value (default: the service's)

---@class (exact) catalog.dataset.create_batch.given.replay
---@field predecessors? string[] their ids
---@field predecessors_by_external_id? string[] their external ids, which are sent with the `$` before each that the service wants
---@field reason? string why

---Creates a batch for the data set.
---@param given? catalog.dataset.create_batch.given
---@return catalog.batch|nil
---@return catalog.error|nil # error; `ambiguous` when the batch may exist
function dataset:create_batch(given) end

---@class (exact) catalog.dataset.get.given
---@field properties? string[] the fields that are wanted (default: all)
---@field timeout? number seconds; for a request (default: the client's)

---Looks the data set up in the catalog.
---@param given? catalog.dataset.get.given
---@return catalog.dataset|nil # a fresh table; the one it was asked of stays as it was
---@return catalog.error|nil # error: of kind `http` with status 404 when the catalog does not know it
function dataset:get(given) end

---The schema of the data set in full, as the service has it.
---@return table|nil
---@return catalog.error|nil # error: of kind `data` when the data set names none
function dataset:get_schema() end

---The batches of the data set that were the last.
---@return table|nil # `last`, `success`, `failure`: batches of which `get` fetches the rest, each nil where there is none; `status`, the state of the last
---@return catalog.error|nil # error
function dataset:last_batches() end

---Goes through the first records of the data set.
---@param count? integer 1 to 100
---@return fun():table # an iterator of rows, tables as the service sends them
function dataset:preview(count) end

---Whether what is ingested into the data set gets into profiles.
---Looks it up where its tags are not known.
---@return boolean|nil
---@return catalog.error|nil # error
function dataset:profile_enabled() end

---@class (exact) catalog.dataset.update.given
---@field name? string its name from now on
---@field description? string for people
---@field tags? table<string, string[]> name to a list of texts
---@field profile? boolean whether it has the tags that enable it for profiles
---@field upsert? boolean whether it has the tags that enable it for updates of profiles
---@field extra? table fields of the service, as they are
---@field timeout? number seconds; for a request (default: the client's)

---Changes the data set, unless somebody else has changed it since it was looked up.
---One that was not looked up (a
---handle, or one of a listing) is looked up first. Fields that are not named stay as they are, tags too.
---@param given catalog.dataset.update.given
---@return catalog.dataset|nil # as it is now: a fresh table
---@return catalog.error|nil # error: of kind `conflict` when somebody else was first, with `wanted` (the changes) and `current` (the data set as it is now)
function dataset:update(given) end

---Whether what is ingested into the data set updates profiles.
---Looks it up where its tags are not known.
---@return boolean|nil
---@return catalog.error|nil # error
function dataset:upsert_enabled() end

---The files that a batch has become.
---
---`catalog.batch:files` gives them.
---@class catalog.file
---@field name string
---@field bytes? integer where the service says it
---@field id? string of the data set's file which it is a part of
local file = {}

---@class (exact) catalog.file.download.given
---@field to string the directory, made when it is not there; the file has its name in it, and never leaves it
---@field overwrite? boolean `true`: a file that is there is replaced; otherwise that is an error (default: false)

---Gets the file onto the disk, in pieces of 64 MiB; what this returns is there after a loss of the power, too.
---What
---has come is in `NAME.ID.part` until it is whole, and the same call again goes on from there, unless the machine was
---started anew meanwhile.
---@param given catalog.file.download.given
---@return string|nil # its path
---@return catalog.error|nil # error: of kind `data` when it cannot be written, or is there already; of kind `protocol` when it has another length than the listing says
function file:download(given) end

---What is in the file, in memory: at most `max_reply` of the client's.
---@return string|nil
---@return catalog.error|nil # error: of kind `limit` when it is too large; of kind `protocol` when it has another length than the listing says
function file:read() end

---Holds records against the schema of a data set, before they are sent.
---`catalog.client:checker` makes one.
---@class catalog.checker
---@field __name any
local checker = {}

---Says what of a record does not fit.
---@param record table
---@param most? integer how many problems are told; default: all
---@return table[] # problems, none when it fits: `path` (such as `person.list[2].name`, where the first of a list is 1), `problem` (`unknown`, `required`, `type`, `enum`, `format`, `pattern`, `range`, `length`, `choice`), `message`
---@return integer # how many there are
function checker:check(record, most) end

---Says what of a line does not fit.
---Most surely fit, and are not decoded.
---@param line string one record, as JSON
---@param most? integer how many problems are told; default: all
---@return table[] # problems, as of `check`; the problem `json` where the line is none
---@return integer # how many there are
function checker:check_line(line, most) end

---Records into the platform, without end: they go to a spool on this machine's disk, and from there into few batches.
---
---
---What `write` has taken is on disk a second later, and goes to the platform now or, after a crash, at the next start.
---Each synced record ends in exactly one of a successful batch, `rejected`, `failed` or `unknown`.
---
---A *call* is what becomes durable together: its records, those of them that were
---rejected, and the position of its source.
---
---Errors that end a call, of which nothing was taken then: of kind `limit` with code `full` (there was no room in
---`limit.timeout`, or at once where a call does not wait; it may be tried again), of kind `limit` with code `too_large`
---(a call has more bytes than `limit.bytes`: it never fits), of kind `config` (the spool cannot go on: it was removed,
---or its disk does not give back what was written), of kind `cancelled` (the sink was closed or belongs to another
---process, or the task was cancelled), of kind `data` (the name of a source has not 1 to 1024 bytes of UTF-8). A
---record's own fault, of kind `data` as well, ends no call: it is rejected.
---@class catalog.sink
local sink = {}

---@class (exact) catalog.sink.close.given
---@field flush? boolean `true`: as `flush` before (default: false)
---@field timeout? number seconds; for the disk, or for the flush (default: 30; of a flush 3600)

---Closes the sink: what was written is on disk, and goes to the platform at the next start, or, flushed, is there.
---@param given? catalog.sink.close.given
---@return boolean|nil # true
---@return catalog.error|nil # error; the sink is closed all the same
function sink:close(given) end

---@class (exact) catalog.sink.flush.given
---@field timeout? number seconds; how long to wait at the most (default: 3600)

---Seals, and waits until everything written before is settled: in the platform, rejected, or in a batch that failed.
---@param given? catalog.sink.flush.given
---@return boolean|nil # true
---@return catalog.error|nil # error: of kind `timeout` when it is not settled by then; it goes on
function sink:flush(given) end

---Whether one of the limits is reached, so that a write would wait.
---@return catalog.error|nil # error of kind `limit` with code `full`; nil: there is room
function sink:limit_reached() end

---The numbers of the sink.
---@return table|nil # `records`, `bytes` (taken by this process), `rejected` (records not taken), `refused` (rows that the service has not taken), `repeated`, `dropped` (of which the transform has made nothing); `spool_bytes`, `free_bytes`; `oldest_seconds` (the age of the oldest record of which nothing is decided; nil: there is none); `batches` by state; `retries`; `blocked` (a text; nil: nothing blocks); `last_error`, and `last_error_at` (milliseconds since the epoch)
---@return catalog.error|nil # error: the sink is closed, or another process's
function sink:metrics() end

---As `write`, but never waits: for hosts that can say no.
---@param record table a JSON object
---@param source? string
---@param position? integer
---@return boolean|nil # true, as `write`
---@return catalog.error|nil # error, as `write`: of kind `limit` with code `full` where it would have to wait
function sink:offer(record, source, position) end

---Whether there is anything of which nothing is decided yet, be it that somebody wants it to be sent again.
---@return boolean
function sink:pending() end

---Lets the work go on, for hosts that have neither coroutines nor descriptors.
---@param seconds? number for how long; 0: what can be done at once
---@return boolean|nil # true
---@return catalog.error|nil # error
function sink:poll(seconds) end

---The last positions that were taken, of sources whose names begin alike.
---@param beginning string
---@return table<string, integer> # by the names
function sink:positions(beginning) end

---Ends the batch that is being filled.
---An empty one is none. It waits for a `write_lines` that goes on in another
---coroutine, which is part of that batch.
---@return boolean|nil # true
---@return catalog.error|nil # error
function sink:seal() end

---Up to where everything of a source is decided: in the platform, rejected, or in a batch that failed.
---@param source string
---@return integer|nil # nil: nothing is
function sink:settled(source) end

---Puts everything that was written on the disk.
---@return boolean|nil # true: it survives a crash of the machine
---@return catalog.error|nil # error
function sink:sync() end

---The last position of a source that is on this machine's disk: after a crash the source goes on behind it.
---@param source string
---@return integer|nil # nil: none is
function sink:synced(source) end

---Writes a record.
---It waits, or yields, only while the spool is full.
---@param record table a JSON object
---@param source? string where it comes from
---@param position? integer in its source, from 0 to 2^53; one that is not beyond the last is a repetition
---@return boolean|nil # true: it is on disk within `sync_seconds`
---@return string|catalog.error|nil # `repeated`: it was taken before; `rejected`: it is in `rejected/records.jsonl`, with the reason; `dropped`: the transform has made nothing of it
---@return catalog.error|nil # the error of kind `data` it was rejected for
function sink:write(record, source, position) end

---Writes a record that is JSON already: checked, and decoded only where that is needed.
---@param text string one JSON object on one line, with or without its newline
---@param source? string
---@param position? integer
---@return boolean|nil # true, as `write`
---@return catalog.error|nil # error, as `write`
function sink:write_line(text, source, position) end

---Writes many records, each a line of JSON.
---A bad one is rejected, and the others are taken.
---@param text string lines, the last one with or without its newline; empty ones are left out
---@param source? string
---@param position? integer covers all of the call: it is on disk as a whole or not at all
---@return integer|nil # how many were taken, those that the transform has dropped too; 0 and `repeated` when the call was taken before
---@return integer|string|catalog.error # how many were rejected
---@return table[]|nil # of the first ten of these: `line`, `reason`
function sink:write_lines(text, source, position) end

---From Kafka into batches, each record exactly once: members of a group on any number of machines share the partitions
---of some topics, fill batches from them, and note in Kafka what a batch has before it is completed.
---@class catalog.drain
local drain = {}

---Ends `run`, soon: what was filled is sealed, the group is left, and nothing is waited for beyond that.
function drain:close() end

---How it goes on, in numbers.
---@return table|nil # `records`, `bytes` (of batches, taken by this process), `rejected` (messages), `refused` (rows that the service has not taken), `dropped` (messages: by the transform, and tombstones), `batches` by state (`created`, `completing`; and how they ended: `success`, `failed`, `dropped`), `oldest_seconds` (the age of the oldest batch of which nothing is decided; nil: there is none), `batch_seconds` (that of the batch that is filled, or 0), `lag` (messages of own partitions that are in no batch yet), `partitions` (own ones), `blocked` (`{ ["topic/3"] = why }`; nil: none is), `rebalances`, `retries`, `last_error`, `last_error_at` (milliseconds since the epoch)
---@return catalog.error|nil # error: it is another process's
function drain:metrics() end

---Reads, and makes batches, until `close` is called.
---In a host's loop it yields.
---@return boolean|nil # true: it was closed; what is not in a batch that was completed is read by who goes on
---@return catalog.error|nil # error: Kafka lets this member not go on
function drain:run() end

---A function that runs beside others.
---`catalog.spawn` makes one.
---@class catalog.task
---@field __name any
local task = {}

---Waits until the task is done.
---@return any # what its function returned; or nil and an error of kind `cancelled`
function task:await() end

---Ends the task: what it waits for ends at once, with an error of kind `cancelled`, and so does each further call it
---makes.
---A batch it was filling is left to be abandoned by the service.
function task:cancel() end

---What a call returns after nil when it does not succeed: a table, and readable with `tostring`.
---No token or secret is
---in any of its fields.
---@class catalog.error
---@field kind string `config`, `data`, `network`, `timeout`, `tls`, `http`, `auth`, `limit`, `protocol`, `batch` (it ended, and not in success), `conflict` (somebody else was first, or has it) or `cancelled`
---@field message string what happened, to what, and what to do
---@field ambiguous? boolean true: it was sent, and nobody knows whether it happened; look before you try again
---@field retryable? boolean true: the same call may succeed later
---@field status? integer of the service's answer, such as 404
---@field code? string the service's, such as `401013`; of kind `limit`: `full` or `too_large`
---@field detail? string what the service said
---@field request_id? string by which the service knows the request
---@field retry_after? string what the service said of when to try again: seconds or a date
---@field method? string of the request
---@field url? string of the request
---@field attempts? integer how often it was tried
---@field first? catalog.error what went wrong first, where it was tried more than once
---@field batch? string|catalog.batch of kind `batch`: as it is now; of kind `conflict`: its id

---Adapters: how a host's event loop turns this module.
---`catalog.loop.cqueues` and `catalog.loop.luv` are two.
---
---For a host whose coroutines can only pause, `wait` alone is enough; another has `watch`, `suspend`, `resume`, and
---perhaps `current`.
---
---An adapter is a table of functions.
---@class catalog.loop.adapter
---@field watch? function `watch(fd, callback)` lets the loop call `callback` whenever the descriptor can be read, until that returns false. It may return a function that ends the watch at once; one that returns none is called once more to end it
---@field suspend? function `suspend()` lets the running coroutine wait until `resume(thread)` is called with it. It may return early
---@field resume? function `resume(thread)` lets a coroutine that was suspended go on in its turn. It is called from another coroutine, from the callback of a watch, or from outside the loop, and returns at once
---@field current? function `current()` gives nil where the loop does not run, and else a key that tells it from others of its kind; and false as a second value in a coroutine that the loop cannot suspend. Without it, whatever can yield is taken for a coroutine of the loop
---@field wait? function `wait(fd, seconds)` lets the running coroutine wait until the descriptor can be read, for so many seconds at the most. It may return early. One coroutine at a time is given the descriptor; the others are given nil, and few milliseconds

return catalog
