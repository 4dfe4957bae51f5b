--- Commands that do one thing to a batch, and print nothing.
-- @module catalog.cli.action
local problem = require "catalog.cli.problem"

--- Makes such a command.
-- @function action
-- @tparam string method that of the batch: `abort`, `complete`, `revert`
-- @treturn table the command
return function(method)
  local command = {}

  function command.run(session)
    local batch = session:batch()
    local done, err = batch[method](batch)
    if not done then return nil, err end
    return problem.OK
  end

  return command
end
