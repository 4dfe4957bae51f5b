--- `catalog preview`: the first records of a batch, or of a data set, a line of JSON for each.
-- @module catalog.cli.preview
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"

local preview = {}

-- The service shows fewer of a batch than of a data set.
local MOST_OF_BATCH <const> = 9

--- What is wrong with the arguments, or nil.
function preview.check(arguments)
  local by_dataset = arguments.dataset or arguments.dataset_name
  if not arguments.id and not by_dataset then return "the id of a batch is missing, or --dataset" end
  if arguments.id and by_dataset then return "a batch and a dataset are two things; give one of them" end
  if arguments.id and arguments.rows > MOST_OF_BATCH then
    return ("of a batch the service shows up to %d rows"):format(MOST_OF_BATCH)
  end
end

function preview.run(session)
  local arguments = session.arguments
  local of = arguments.id and session:batch()
    or session.client:dataset(arguments.dataset, { sandbox = arguments.sandbox })
  for row in of:preview(arguments.rows) do
    local ok, err = output.json(row)
    if not ok then return nil, err end
  end
  return problem.OK
end

return preview
