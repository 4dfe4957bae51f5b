--- Sinks, as the options of a command say.
-- @module catalog.cli.sinks
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"

local sinks = {}

-- Those of the options that have a place of their own in the table of a sink.
local GROUPS <const> = { roll = { "seconds", "bytes", "files", "records" }, limit = { "bytes", "free" } }
local PLAIN <const> = {
  "file_bytes", "sync_seconds", "record_bytes", "partial_ingestion", "after_failure", "parallel",
}

local function tell_batch(report)
  output.note(("catalog: batch %s: %s, %s"):format(output.plain(report.id or "?"), output.plain(report.status),
    output.count(report.records, "record")))
end

-- What fails is told once, until something else does.
local function new_teller()
  local told
  return function(err)
    local text = problem.text(err, true)
    if text ~= told then output.note("catalog: " .. text) end
    told = text
  end
end

--- The table of `client:sink`.
-- @tparam table session
-- @tparam string dataset its id
-- @tparam string spool the directory
-- @treturn table
function sinks.given(session, dataset, spool)
  local arguments = session.arguments
  local given = { dataset = dataset, spool = spool, sandbox = arguments.sandbox, on_error = new_teller() }
  given.on_warning = function(text) output.note("catalog: " .. problem.translate(text)) end
  if not arguments.quiet then given.on_batch = tell_batch end
  for _, name in ipairs(PLAIN) do given[name] = arguments[name] end
  for group, names in pairs(GROUPS) do
    local fields = {}
    for _, name in ipairs(names) do fields[name] = arguments[group .. "_" .. name] end
    given[group] = fields
  end
  return given
end

return sinks
