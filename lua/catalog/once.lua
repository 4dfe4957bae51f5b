--- Creating a batch exactly once. Creating is not idempotent: when the answer is lost, trying again blindly would leave
-- an orphan. An external id of our own makes it so: the service takes each only once, and the catalog can be asked.
-- @module catalog.once
local await = require "catalog.await"
local core = require "catalog.core"
local failure = require "catalog.failure"
local retry = require "catalog.retry"

-- Pauses between look-ups, in seconds, while it is open whether the batch exists; after them it is created again, with
-- the same id. The catalog lags behind: once the id was refused as taken, it is only a matter of time.
local OPEN <const> = { 0.05, 0.25, 1 }
local FIRST_PAUSE <const>, LONGEST_PAUSE <const>, GROWTH <const> = 0.1, 10, 1.6

local once = {}

local OURS <const> = "catalog-"

--- An external id nobody else has.
-- @treturn string
function once.new_id()
  return OURS .. core.system.random(16):gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)
end

-- Whether the service refused the external id as taken.
local function taken(err)
  local said = (err.detail or err.message or ""):lower()
  return err.status == 409 or err.status == 400 and said:find("externalid", 1, true) ~= nil
end

local function read_first(body, external_id)
  local found, err = core.json.decode(body)
  if err then return nil, err end
  if type(found) ~= "table" then return failure("protocol", "the reply is no object") end
  local id, fields = next(found)
  if not id then return {} end
  if type(fields) ~= "table" or (fields.externalId or external_id) ~= external_id then
    return failure("protocol", "the reply is not what the external id was asked for")
  end
  fields.id = fields.id or id
  return fields
end

-- The batch with the external id; an empty table when the catalog knows none (yet); or nil and an error.
local function look(client, given, external_id, ends)
  return client:send {
    method = "GET", ends = ends, sandbox = given.sandbox, timeout = given.timeout, repeatable = true,
    read = function(body) return read_first(body, external_id) end,
    path = "/data/foundation/catalog/batches?limit=1&externalId=" .. core.url.encode(external_id),
  }
end

-- Looks until the batch is there, or the pauses are used up; first when what the service asked for is over.
local function find(client, given, external_id, pauses, asked, ends)
  for pause in pauses do
    local paused, stopped = await.pause(math.max(pause, asked), client.loop, client)
    asked = 0
    if not paused then return nil, stopped end
    local fields, err = look(client, given, external_id, ends)
    if not fields then return nil, err end
    if fields.id then return fields end
  end
  return nil
end

local function some_pauses()
  local i = 0
  return function()
    i = i + 1
    return OPEN[i]
  end
end

local function pauses_until(ends)
  local pause = FIRST_PAUSE / GROWTH
  return function()
    pause = math.min(LONGEST_PAUSE, pause * GROWTH)
    return core.engine.now() + pause < ends and pause or nil
  end
end

local function with_id(given)
  local options = {}
  for name, value in pairs(given) do options[name] = value end
  options.external_id = once.id_of(given) or once.new_id()
  return options
end

--- The external id that the caller of a creation gave.
-- @tparam table given the options of the creation
-- @treturn ?string
function once.id_of(given)
  local extra = given.extra and given.extra.externalId -- it is merged into the payload last
  return type(extra) == "string" and extra or given.external_id
end

--- Looks for a batch that has an external id before anything is sent. One that was made here, nobody has.
-- @tparam catalog.client client
-- @tparam table options of the creation, with `external_id`
-- @tparam ?number ends when the call has to be over, as of `client:ends`
-- @treturn[1] ?string the id of the batch; nil when there is none
-- @treturn[2] nil
-- @treturn[2] table error
function once.owner(client, options, ends)
  if options.external_id:sub(1, #OURS) == OURS then return nil end
  local fields, err = look(client, options, options.external_id, ends)
  if not fields then return nil, err end
  return fields.id
end

--- The error of an external id that another batch has.
-- @tparam string external_id
-- @tparam string owner the id of that batch
-- @treturn nil
-- @treturn table error of kind `batch`
function once.is_owned(external_id, owner)
  return failure("batch", "the external id %s is that of the batch %s, which was there before; nothing was created",
    external_id, owner)
end

--- Creates a batch, whatever becomes of the answers.
-- @tparam catalog.client client
-- @tparam table given the options of the creation
-- @tparam function create makes one creation, given the client, options, and when it has to be over: gives its fields,
--   or nil and an error
-- @tparam ?boolean begun true: a creation with this external id may have been sent before
-- @treturn[1] table the fields of the batch
-- @treturn[2] nil
-- @treturn[2] table error; still `ambiguous` when not even the catalog could be asked
function once.create(client, given, create, begun)
  local options, ends = with_id(given), client:ends()
  local owner, unknown
  if not begun then owner, unknown = once.owner(client, options, ends) end
  if unknown then return nil, unknown end
  local open = begun -- a creation was sent, and its answer is not known
  local fields, err
  for _ = 1, math.max(client.policy.tries, 2) do
    fields, err = create(client, options, ends)
    if fields then return fields end
    local exists = open and taken(err)
    if not exists and not err.ambiguous then
      err.ambiguous = open or nil -- the one before may still turn up
      return nil, err
    end
    open = true
    local pauses, asked = exists and pauses_until(ends) or some_pauses(), retry.asked(err)
    if core.engine.now() + asked > ends then
      err.ambiguous = true
      return retry.too_late(err, asked)
    end
    local found, unasked = find(client, given, options.external_id, pauses, asked, ends)
    if found and found.id == owner then return once.is_owned(options.external_id, owner) end
    if found then return found end
    if unasked or exists then break end
  end
  err.ambiguous = true
  return nil, err
end

return once
