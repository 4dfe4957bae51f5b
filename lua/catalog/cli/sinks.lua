--- Sinks, as the options of a command say.
-- @module catalog.cli.sinks
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"
local transform = require "catalog.cli.transform"

local sinks = {}

-- Those of the options that have a place of their own in the table of a sink.
local GROUPS <const> = { roll = { "seconds", "bytes", "files", "records" }, limit = { "bytes", "free" } }
local PLAIN <const> = {
  "file_bytes", "sync_seconds", "record_bytes", "partial_ingestion", "after_failure", "parallel",
  "check",
}

local function tell_batch(report)
  local records = report.records and output.count(report.records, "record") or "begun by another member"
  output.note(("catalog: batch %s: %s, %s"):format(output.plain(report.id or "?"), output.plain(report.status),
    records))
end

-- What says what to do about an error itself.
local CLEAR <const> = { limit = true, config = true }

-- What fails is told once, until something else does; of a spool, where it is said what to do.
local function new_teller(spool)
  local told
  return function(err)
    local text = problem.text(err, true)
    if text ~= told then
      local hint = spool and not CLEAR[err.kind] and ("; catalog spool status %s shows what to do"):format(spool) or ""
      output.note("catalog: " .. text .. hint)
    end
    told = text
  end
end

-- A group of options as a table.
local function fields_of(arguments, group)
  local fields = {}
  for _, name in ipairs(GROUPS[group]) do fields[name] = arguments[group .. "_" .. name] end
  return fields
end

--- What the tables of a sink and of a drain have in common: when a batch is sent, what changes records, who is told.
-- @tparam table session
-- @tparam string dataset its id
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function sinks.common(session, dataset)
  local arguments = session.arguments
  local change, err = transform.load(arguments.transform)
  if err then return nil, err end
  return {
    transform = change, dataset = dataset, sandbox = arguments.sandbox, roll = fields_of(arguments, "roll"),
    on_error = new_teller(),
    on_warning = function(text) output.note("catalog: " .. problem.translate(text)) end,
    on_batch = not arguments.quiet and tell_batch or nil,
  }
end

--- The table of `client:sink`.
-- @tparam table session
-- @tparam string dataset its id
-- @tparam string spool the directory
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function sinks.given(session, dataset, spool)
  local given, err = sinks.common(session, dataset)
  if not given then return nil, err end
  given.spool, given.limit = spool, fields_of(session.arguments, "limit")
  given.on_error = new_teller(output.plain(spool))
  for _, name in ipairs(PLAIN) do given[name] = session.arguments[name] end
  return given
end

return sinks
