---@meta catalog.emulator
-- Made of the comments in the sources by `make types`: what is wrong here is wrong there.


---A local server that behaves as the service does, for demos and tests.
---@class catalog.emulator
local emulator = {}

---@class (exact) catalog.emulator.start.given
---@field port? integer on the loopback (default: any that is free)
---@field latency_ms? integer milliseconds; before each answer (default: 0)
---@field datasets? table a list of ids, or a map from ids to names, or to fields of the service, `name`, `tags`, `schemaRef`: others are refused; without it, and when it is empty, any may appear on first use (default: any)
---@field schemas? (string|table)[] JSON schemas, tables or files, each with its `$id`: rows of a data set whose `schemaRef` has that id are held against it
---@field data_dir? string batches and files are kept there, and are there again at the next start
---@field tokens? table a list, or a map from a token to the seconds it is good for (default: any)
---@field api_keys? string[] those that are known (default: any)
---@field orgs? string[] those that are known (default: any)
---@field clients? table<string, string> a map from an API key to the secret with which the identity service gives it tokens (default: any secret)
---@field catalog_lag_ms? integer milliseconds; for which the catalog does not know a new batch (default: 0)
---@field strict? boolean `true`: it refuses what RFC 9112 and Adobe's API descriptions refuse, where the default is as lenient as the guides' examples need (default: false)
---@field cert? string TLS: a PEM text or file; goes with `key`
---@field key? string TLS: a PEM text or file; goes with `cert`
---@field max_body? integer bytes; of a body that is no upload (default: 1048576)
---@field max_file? integer bytes; of an upload (default: 256000000; of a part 512000000)
---@field max_files? integer files; in a batch (default: 25000)
---@field max_bytes? integer bytes; in a batch (default: 1099511627776)
---@field stage_ms? integer milliseconds; for which a completed batch stays in each state before it is ingested (default: 0)
---@field abandon_ms? integer milliseconds; after which a batch that was not completed is abandoned (default: never)
---@field unique_ids? boolean `true`: a second batch with an external id is refused with 409; no guide promises that the service does so (default: false)
---@field log? string a file that gets a line for each request: method, target, range, status
---@field faults? table[] as of `catalog.emulator.server:set_faults`
---@field seed? integer for faults with a `rate`

---Starts an emulator, on a thread of its own, on the loopback.
---@param given? catalog.emulator.start.given
---@return catalog.emulator.server|nil
---@return catalog.error|nil # error of kind `config`
function emulator.start(given) end

---An emulator that runs.
---`<close>` stops it. `catalog.emulator.start` makes one.
---@class catalog.emulator.server
---@field url string where it is, such as `http://127.0.0.1:8080`
---@field port integer
local server = {}

---Sets what goes wrong from now on.
---@param list? table[] nil: nothing does. Each is `{ match = { method, path (a pattern), nth }, times, rate, action }`; the action is a table with one of `status` (with `headers` and `body`), `html`, `garbage`, `drop` (`"before"` anything of the body is read, or `"after"` the work), `drop_after` (so many bytes of the body), `cut` (the answer, after so many bytes), `wrong_length` (by so many), `trickle_ms` (the answer comes by the byte, so many milliseconds apart), `close` (the connection, after the answer; `"unannounced"`: which does not say so), `delay_ms`, `leave_out` (a field of the batches in the answer), `expire_tokens`
function server:set_faults(list) end

---Stops the server; again is as good as once.
---In a forked child it does nothing: the server is the parent's.
function server:stop() end

---Waits for SIGINT, SIGTERM or SIGHUP, which do not end the program then.
---A SIGHUP that is ignored stays so.
---@param ready? function called once they are waited for
function server:wait(ready) end

return emulator
