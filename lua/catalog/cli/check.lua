--- `catalog check`: files against the schema of a data set, before they are sent.
-- @module catalog.cli.check
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"
local sources = require "catalog.cli.sources"

local check = {}

--- What is wrong with the arguments, or nil.
function check.check(arguments) return sources.check_input(arguments.files) end

-- Where a problem is.
local function place_of(shown, one)
  local where = one.line and ("%s:%d: "):format(shown, one.line) or ("%s, record %d: "):format(shown, one.record)
  return where .. (one.path ~= "" and one.path .. ": " or "")
end

local function show(session, path, report)
  local shown = path == "-" and "standard input" or output.plain(path)
  for _, one in ipairs(report.problems) do
    if session.arguments.json then
      one.file = path
      local ok, err = output.json(one)
      if not ok then return nil, err end
    elseif not session.arguments.quiet then
      output.line(place_of(shown, one) .. output.plain(one.message))
    end
  end
  if not session.arguments.quiet then
    output.flush()
    output.note(("catalog: %s: %d of %s %s not fit%s"):format(shown, report.bad,
      output.count(report.records, "record"), report.bad == 1 and "does" or "do", report.count > #report.problems
        and (", with %s; --limit shows more"):format(output.count(report.count, "problem")) or ""))
  end
  return true
end

function check.run(session)
  local arguments, bad = session.arguments, 0
  for _, path in ipairs(arguments.files) do
    local report, err = session.client:check {
      file = path == "-" and io.stdin or path, format = arguments.format, dataset = arguments.dataset,
      sandbox = arguments.sandbox, most = arguments.limit,
    }
    if not report then return nil, err end
    local ok, unwritten = show(session, path, report)
    if not ok then return nil, unwritten end
    bad = bad + report.bad
  end
  return bad == 0 and problem.OK or problem.BATCH_FAILED
end

return check
