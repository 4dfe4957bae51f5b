--- `catalog errors`: what the service found wrong with a batch, and the rows it refused.
-- @module catalog.cli.errors
local core = require "catalog.core"
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"

local errors = {}

local function print_problems(session, found)
  for _, one in ipairs(found) do
    output.line(session.arguments.json and core.json.encode(one) or one.text)
  end
end

function errors.run(session)
  local batch = session:batch()
  if not session.arguments.rows then
    local found, err = batch:problems()
    if not found then return nil, err end
    print_problems(session, found)
  end
  for _, line in batch:failed_rows() do output.line(line) end
  return problem.OK
end

return errors
