--- Commands that do one thing to a batch, and say that it was done.
-- @module catalog.cli.action
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"

-- What a batch is afterwards. Not the catalog's word for it, which comes later.
local DONE <const> = { abort = "aborted", complete = "completed", revert = "reverted" }

local function show(session, id, method)
  if session.arguments.json then return output.json { id = id, action = method } end
  if not session.arguments.quiet then output.line(("batch %s: %s"):format(output.plain(id), DONE[method])) end
  return true
end

--- Makes such a command.
-- @function action
-- @tparam string method that of the batch: `abort`, `complete`, `revert`
-- @treturn table the command
return function(method)
  local command = {}

  function command.run(session)
    local batch = session:batch()
    local done, err = batch[method](batch)
    if done then done, err = show(session, batch.id, method) end
    if not done then return nil, err end
    return problem.OK
  end

  return command
end
