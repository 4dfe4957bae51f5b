--- `catalog resend`: the rows of a batch that failed, mended and sent again.
-- @module catalog.cli.resend
local core = require "catalog.core"
local output = require "catalog.cli.output"
local transform = require "catalog.cli.transform"

local resend = {}

-- Calls the function; what it raises is a fault of its own, with the row that it was given.
local function guarded(mend, path)
  local count = 0
  return mend and function(...)
    count = count + 1
    local fine, result = pcall(mend, ...)
    if fine then return result end
    if type(result) == "table" then error(result, 0) end -- a signal
    error(core.failure.new { kind = "data", message = ("%s failed at the row %d: %s"):format(path, count, result) }, 0)
  end
end

local function tell(session, report)
  if session.arguments.quiet or session.arguments.json then return end
  output.note(("catalog: %s failed; %d sent again, %d dropped"):format(output.count(report.rows, "row"), report.sent,
    report.dropped))
end

function resend.run(session)
  local arguments = session.arguments
  local mend, unfit = transform.load(arguments.transform)
  if unfit then return nil, unfit end
  local batch, report = session:batch():resend {
    rows = guarded(mend, arguments.transform), whole = arguments.whole, again = arguments.again,
  }
  if not batch then return nil, report end
  session:note_batch(batch.id)
  tell(session, report)
  local err
  if not arguments.no_wait then batch, err = batch:wait { timeout = arguments.timeout } end
  if not batch then return nil, err end
  local code, unwritten = session:show(batch, "id")
  if not code or arguments.no_wait then return code, unwritten end
  return session:judge { batch }
end

function resend.check(arguments)
  if arguments.no_wait and arguments.timeout then return "--no-wait and --timeout say two things; give one of them" end
end

return resend
