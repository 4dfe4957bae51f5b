--- `catalog revert`: takes an ingested batch back.
-- @module catalog.cli.revert
local problem = require "catalog.cli.problem"

local revert = {}

function revert.run(session)
  local done, err = session:batch():revert()
  if not done then return nil, err end
  return problem.OK
end

return revert
