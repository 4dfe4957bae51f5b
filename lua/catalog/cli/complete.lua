--- `catalog complete`: says that all files are there.
-- @module catalog.cli.complete
local problem = require "catalog.cli.problem"

local complete = {}

function complete.run(session)
  local done, err = session:batch():complete()
  if not done then return nil, err end
  return problem.OK
end

return complete
