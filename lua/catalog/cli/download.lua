--- `catalog download`: the files that a batch has become, onto the disk.
-- @module catalog.cli.download
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"

local download = {}

-- What takes progress: a note for each file that is there.
local function teller()
  local done = 0
  return function(state)
    if state.files_done == done then return end
    done = state.files_done
    output.note(("%d/%s, %s"):format(done, output.count(state.files_total, "file"), output.size(state.bytes)))
  end
end

function download.run(session)
  local arguments = session.arguments
  local report, err = session:batch():download {
    to = arguments.to, parallel = arguments.parallel, overwrite = arguments.overwrite, failed = arguments.failed,
    on_progress = not arguments.quiet and not arguments.json and teller() or nil,
  }
  if not report then return nil, err end
  for _, file in ipairs(report.files) do
    if arguments.json then
      local ok, unfit = output.json(file)
      if not ok then return nil, unfit end
    elseif not arguments.quiet then
      output.line(("%s: %s"):format(output.plain(file.path), output.size(file.bytes)))
    end
  end
  return problem.OK
end

return download
