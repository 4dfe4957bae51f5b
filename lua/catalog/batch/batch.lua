--- Batches: plain tables with every field the service sent; what can be done with them is in the metatable. A field
-- that has the name of a method is found with an underscore behind it (`wait_`).
-- @classmod catalog.batch
local core = require "catalog.core"
local entry = require "catalog.batch.entry"
local failure = require "catalog.base.failure"
local options = require "catalog.base.options"
local paths = require "catalog.batch.paths"
local scheduler = require "catalog.scheduler.scheduler"

local batch = {}

--- The fields are the service's, and there may be others; a handle that was not looked up has its id alone.
-- @table catalog.batch
-- @tfield string id
-- @tfield ?string status such as `loading`, `staged`, `processing`, `success`, `failed` or `aborted`
-- @tfield ?integer created milliseconds since 1970
-- @tfield ?integer updated milliseconds since 1970
-- @tfield ?table metrics such as `inputRecordCount` and `outputRecordCount`; the service may leave it out
-- @tfield ?{table,...} errors what was wrong, with `code` and `description`
-- @tfield ?table inputFormat the format of the files

-- The methods. None may have the name of a field the service knows; should it learn of one, that field gets out of the
-- way (`typed`). Other files add theirs.
local methods = {}

-- What we know of a batch and the service does not send: kept beside the tables, which show the service's fields only.
local states = setmetatable({}, { __mode = "k" })

-- How long leaving a block may take to abort the batch in it, in seconds.
local ABORT_TIMEOUT <const> = 10

--- What is known of a batch besides its fields.
-- @local
-- @tparam catalog.batch self
-- @treturn table `dataset` (see `batch.dataset`); `created_here` (boolean); `process`, as of `scheduler.process`;
--   `final_action` (the one that was tried last: `COMPLETE`, `ABORT`, ...); `writing` (a set of the names that are
--   being written; nil: none ever was); `others` (what `once.abort_others` needs, where an answer to its creation was
--   lost)
-- @treturn table what it has in common with others: `client` and `sandbox`
function batch.state(self)
  local state, kind = states[self], getmetatable(self)
  if not state then
    state = { dataset = kind.dataset, created_here = kind.created_here, process = kind.process }
    states[self] = state
  end
  return state, kind
end

--- The id of the data set of a batch, as far as it is known without the catalog's entry of the batch.
-- @local
-- @tparam catalog.batch self
-- @treturn[1] ?string nil: it is not
-- @treturn[2] nil
-- @treturn[2] table error: it was given by its name, which cannot be looked up
function batch.dataset(self)
  local state, kind = batch.state(self)
  if type(state.dataset) == "table" then
    local id, err = kind.client:dataset_id(state.dataset, kind.sandbox)
    if not id then return nil, err end
    state.dataset = id
  end
  return state.dataset
end

--- Reads an answer that says no more than that it is one.
-- @local
-- @tparam string body nothing, or JSON; a page of somebody's on the way is no answer. Source: Adobe's guide shows empty
--   bodies, the description of its API objects
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `protocol`
function batch.accept(body)
  if body == "" then return true end
  local _, err = core.json.decode(body)
  if err and body:find "%S" then return nil, err end
  return true
end

--- The request of an action on a batch, which is about to be tried. Source: Adobe's batch ingestion guide.
-- @local
-- @tparam catalog.batch self
-- @tparam string action `COMPLETE`, `ABORT`, `FAIL`, `REVERT`
-- @tparam ?number timeout seconds
-- @treturn[1] table for `client:send`
-- @treturn[1] catalog.client
-- @treturn[1] table as of `batch.state`
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`: the id cannot be that of a batch
function batch.action(self, action, timeout)
  local state, kind = batch.state(self)
  local path, err = paths.action(self.id, action)
  if not path then return nil, err end
  state.final_action = action
  return {
    method = "POST", path = path, body = "", sandbox = kind.sandbox, timeout = timeout, deadline = nil,
    repeatable = true, read = batch.accept, process = state.process,
  }, kind.client, state
end

-- One attempt, without the pauses of others.
local function leave_now(self)
  local request, client = batch.action(self, "ABORT", ABORT_TIMEOUT)
  if not request then return end
  request.repeatable = nil
  request.once = true
  request.deadline = core.system.monotonic() + ABORT_TIMEOUT -- the fetching of a token included
  client:send(request)
end

-- `local batch <close>`: left before it was completed, it is aborted; one attempt, whose failure hides no other.
local function leave(self)
  local state = batch.state(self)
  if state.created_here and not state.final_action then
    pcall(leave_now, self)
  end
end

local function describe(self)
  local status = type(self.status) == "string" and self.status or "not looked up"
  return core.failure.line(("batch %s (%s)"):format(self.id, status))
end

local function new_type(client, sandbox)
  return {
    __name = "catalog.batch", __index = methods, __tostring = describe, __close = leave, client = client,
    sandbox = sandbox,
  }
end

-- The metatable of batches of a client and a sandbox; what a method needs to know of them is in it, so that
-- `pairs(batch)` shows the service's fields and nothing else.
local function type_of(client, sandbox)
  local known = client.batch_types[sandbox]
  if not known then
    known = new_type(client, sandbox)
    known.created = setmetatable({}, { __mode = "v" }) -- dataset -> the metatable of those that are created for it
    client.batch_types[sandbox] = known
  end
  return known
end

-- That of batches that this process creates for a dataset: most are never asked for what is known of them.
local function created_type_of(client, sandbox, dataset)
  local types = type_of(client, sandbox).created
  local known = types[dataset]
  if not known or known.process ~= client.process then
    known = new_type(client, sandbox)
    known.dataset, known.created_here, known.process = dataset, true, client.process
    types[dataset] = known
  end
  return known
end

-- Renames the fields that hide methods: `complete` becomes `complete_`.
local function uncover_methods(fields)
  local hiding = {}
  for name in pairs(fields) do
    if methods[name] then hiding[#hiding + 1] = name end
  end
  for _, name in ipairs(hiding) do fields[name .. "_"], fields[name] = fields[name], nil end
end

-- Makes the fields of a reply a batch. Every creation asks whether a field has the name of a method, which it would
-- hide, and a loop over the methods costs more.
local function typed(fields, kind)
  local hides_none = fields.complete == nil and fields.abort == nil and fields.fail == nil and fields.revert == nil
    and fields.problems == nil and fields.wait == nil and fields.input_files == nil and fields.failed_rows == nil
    and fields.upload == nil and fields.writer == nil and fields.get == nil and fields.files == nil
    and fields.download == nil and fields.preview == nil and fields.resend == nil
  if not hides_none then uncover_methods(fields) end
  return setmetatable(fields, kind)
end

--- Checks a time that was given.
-- @local
-- @tparam ?number timeout seconds
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function batch.check_timeout(timeout)
  local positive = timeout == nil or timeout > 0 -- NaN is not
  if not positive then
    return failure("config", "timeout must be more than 0")
  end
  return true
end

--- Makes the fields of a new batch a batch. A field that has the name of a method gets an underscore behind its name.
-- @local
-- @tparam catalog.client client
-- @tparam table given the options it was created with
-- @tparam table fields what the service sent
-- @treturn catalog.batch the same table
function batch.created(client, given, fields)
  return typed(fields, created_type_of(client, given.sandbox or client.sandbox, given.dataset))
end

--- A handle for a batch that exists.
-- @local
-- @tparam catalog.client client
-- @tparam string id
-- @tparam ?string sandbox the client's when nil
-- @tparam ?string|table dataset its id, or `{ name = ... }`, when it is known
-- @treturn catalog.batch
function batch.attach(client, id, sandbox, dataset)
  local attached = setmetatable({ id = id }, type_of(client, sandbox or client.sandbox))
  local state = batch.state(attached)
  state.dataset, state.process = dataset, scheduler.process()
  return attached
end

--- What makes batches of the entries of a listing, as those of the process that asks for it.
-- @local
-- @tparam catalog.client client
-- @tparam ?string sandbox the client's when nil
-- @treturn function makes the fields of an entry, `id` among them, a batch: the same table
function batch.listed(client, sandbox)
  local kind = new_type(client, sandbox or client.sandbox)
  kind.process = scheduler.process()
  return function(fields) return typed(fields, kind) end
end

-- Reads the catalog's answer to a look-up: an object with the batch under its id.
local function look_up(id, body)
  local found, err = core.json.decode(body)
  if err then return nil, err end
  if type(found) ~= "table" then return failure("protocol", "the reply is no object") end
  local known = found[id]
  if next(found) == nil or known == core.json.null then
    local _, unknown = failure("http", "the catalog does not know the batch %s", id)
    unknown.status = 404 -- what it answers otherwise
    return nil, unknown
  end
  local fields, unfit = entry.read(id, known)
  if not fields then return nil, unfit end
  if fields.status ~= nil and type(fields.status) ~= "string" then
    return failure("protocol", "the reply has a status of the batch %s that is no text", id)
  end
  return fields
end

--- Looks the batch up in the catalog.
-- @function catalog.batch:get
-- @tparam ?table given
-- @tparam[opt=the client's,unit=seconds] number given.timeout for a request
-- @treturn[1] catalog.batch a fresh table; the one it was asked of stays as it was
-- @treturn[2] nil
-- @treturn[2] table error: of kind `http` with status 404 when the catalog does not know it (yet), also where what it
--   says is an empty object
-- @raise an option is unknown or has a wrong type
function methods:get(given)
  local checked = options.check(given, { timeout = "number" }, "get", 2)
  local ok, wrong = batch.check_timeout(checked.timeout)
  if not ok then return nil, wrong end
  return batch.fetch(self, checked.timeout)
end

--- Looks a batch up in the catalog, as part of a call.
-- @local
-- @tparam catalog.batch self
-- @tparam ?number timeout seconds for a request
-- @tparam ?number deadline when the call has to be over, as of `client:deadline`
-- @treturn[1] catalog.batch a fresh table
-- @treturn[2] nil
-- @treturn[2] table error, as of `get`
function batch.fetch(self, timeout, deadline)
  local state, kind = batch.state(self)
  local path, err = paths.catalog(self.id)
  if not path then return nil, err end
  local fields, failed = kind.client:send {
    method = "GET", repeatable = true, path = path, sandbox = kind.sandbox, timeout = timeout, deadline = deadline,
    process = state.process, read = function(body) return look_up(self.id, body) end,
  }
  if not fields then return nil, failed end
  states[fields] = state
  return typed(fields, kind)
end

--- The names of the methods.
-- @local
batch.methods = methods

return batch
