--- `catalog check`: files against the schema of a data set, before they are sent.
-- @module catalog.cli.check
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"

local check = {}

local function show(session, path, report)
  for _, one in ipairs(report.problems) do
    if session.arguments.json then
      one.file = path
      local ok, err = output.json(one)
      if not ok then return nil, err end
    elseif not session.arguments.quiet then
      local where = one.path ~= "" and one.path .. ": " or ""
      output.line(("%s:%d: %s%s"):format(output.plain(path), one.line, where, output.plain(one.message)))
    end
  end
  if not session.arguments.quiet then
    output.flush()
    output.note(("catalog: %s: %d of %s do not fit%s"):format(output.plain(path), report.bad,
      output.count(report.records, "record"), report.count > #report.problems
        and (", with %s; --limit shows more"):format(output.count(report.count, "problem")) or ""))
  end
  return true
end

function check.run(session)
  local arguments, bad = session.arguments, 0
  for _, path in ipairs(arguments.files) do
    local report, err = session.client:check {
      file = path, dataset = arguments.dataset, sandbox = arguments.sandbox, most = arguments.limit,
    }
    if not report then return nil, err end
    local ok, unwritten = show(session, path, report)
    if not ok then return nil, unwritten end
    bad = bad + report.bad
  end
  return bad == 0 and problem.OK or problem.BATCH_FAILED
end

return check
