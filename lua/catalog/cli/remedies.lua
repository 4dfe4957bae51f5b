--- What to do about what keeps a sink from sending, or from taking records.
-- @module catalog.cli.remedies

local remedies = {}

local CHECK_NETWORK <const> = "the sink sends when the service can be reached again: AEP_BASE_URL, and a proxy where"
  .. " there is one, are those of the environment that the sink was started in"
local NEW_TOKEN <const> = "give it a token that is good: where AEP_ACCESS_TOKEN_FILE names a file, replace what is in"
  .. " that, which is read again; else start the sink again with a new AEP_ACCESS_TOKEN"

local REMEDIES <const> = {
  network = CHECK_NETWORK, timeout = CHECK_NETWORK, tls = CHECK_NETWORK, auth = NEW_TOKEN,
}

-- The service will not have it as it is.
local REFUSED <const> = "is %s the right dataset, and has this user access to it in this sandbox? What waits is for"
  .. " that one: catalog spool export %s >records.jsonl takes it elsewhere"

-- Statuses that pass by themselves.
local PASSING <const> = { [408] = true, [425] = true, [429] = true }

--- What to do about an error of a sink.
-- @tparam table err `kind`, and `status` where the service has answered
-- @tparam string dataset what the sink sends to
-- @tparam string folder of the spool
-- @treturn ?string nil: nothing but to wait, or the error says it
function remedies.of(err, dataset, folder)
  local status = math.type(err.status) == "integer" and err.status or 0
  if err.kind == "http" and status >= 400 and status < 500 and not PASSING[status] then
    return REFUSED:format(dataset, folder)
  end
  return REMEDIES[err.kind]
end

return remedies
