--- `catalog upload`: files, standard input or pipes into a batch that is there.
-- @module catalog.cli.upload
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"
local sources = require "catalog.cli.sources"

local upload = { check = sources.check }

local function tell(session, sent)
  if session.arguments.json then return output.json(sent) end
  if session.arguments.quiet then return true end
  output.line(("%s: %s"):format(output.plain(sent.name), output.size(sent.bytes)))
  return true
end

function upload.run(session)
  local list = sources.list(session.arguments)
  local batch, ready, err = session:batch(), sources.open_all(list)
  if not ready then return nil, err end
  for _, item in ipairs(list) do
    local sent, failed = sources.upload(batch, item, session.arguments)
    if sent then sent, failed = tell(session, sent) end
    if not sent then return nil, failed end
  end
  return problem.OK
end

return upload
