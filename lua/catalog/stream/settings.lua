--- What the options of streams have in common: defaults, numbers with a range, and a warning of many batches.
-- @module catalog.stream.settings
local failure = require "catalog.base.failure"

local settings = {}

local DAY <const> = 86400

--- How many batches a day the profile store takes. Source: Adobe's guardrails, "about 90 batches a day".
settings.ADVISED_A_DAY = 90

--- Options and those that were left out.
-- @tparam ?table given
-- @tparam table defaults
-- @treturn table
function settings.with_defaults(given, defaults)
  local all = {}
  for name, value in pairs(defaults) do all[name] = value end
  for name, value in pairs(given or {}) do all[name] = value end
  return all
end

--- Makes whole numbers of what may be written as 10e9.
-- @tparam table options
-- @tparam {string,...} names
function settings.to_integers(options, names)
  for _, name in ipairs(names) do options[name] = options[name] and (math.tointeger(options[name]) or options[name]) end
end

--- Checks numbers.
-- @tparam {table,...} ranges each the name of an option, its value, the least and the most
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function settings.check_ranges(ranges)
  for _, range in ipairs(ranges) do
    local name, value, least, most = table.unpack(range)
    local fits = value >= least and value <= most -- NaN does not
    if not fits then return failure("config", "%s is %s; it is from %s to %s", name, value, least, most) end
  end
  return true
end

--- Warns of a `roll.seconds` that may make more batches than the platform takes.
-- @tparam table options `roll`, `on_warning`
function settings.warn_of_many_batches(options)
  local a_day = DAY / options.roll.seconds
  if a_day <= settings.ADVISED_A_DAY or not options.on_warning then return end
  options.on_warning(("roll.seconds = %g is up to %.0f batches a day; the profile store takes about %d a day and "
    .. "sandbox, and all of its streams share them"):format(options.roll.seconds, a_day, settings.ADVISED_A_DAY))
end

--- Warns of a token that cannot be renewed: one from the environment ends while a stream goes on.
-- @tparam catalog.client client
-- @tparam table options `on_warning`
function settings.warn_of_fixed_token(client, options)
  if not options.on_warning or not client.credentials.fixed then return end
  options.on_warning("the access token is fixed and ends within a day: give AEP_ACCESS_TOKEN_FILE, or "
    .. "AEP_CLIENT_SECRET and AEP_SCOPES, from which there are new ones")
end

--- Checks `after_failure`.
-- @tparam string value
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function settings.check_after_failure(value)
  if value == "continue" or value == "stop" then return true end
  return failure("config", 'after_failure is "%s"; it is "continue" or "stop"', value)
end

return settings
