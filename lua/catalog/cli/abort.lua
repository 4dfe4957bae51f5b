--- `catalog abort`: gives a batch up.
-- @module catalog.cli.abort
local problem = require "catalog.cli.problem"

local abort = {}

function abort.run(session)
  local done, err = session:batch():abort()
  if not done then return nil, err end
  return problem.OK
end

return abort
