--- `catalog upload`: files, standard input or pipes into a batch that is there.
-- @module catalog.cli.upload
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"
local progress = require "catalog.cli.progress"
local sources = require "catalog.cli.sources"

local upload = { check = sources.check }

local function tell(session, sent)
  if session.arguments.json then return output.json(sent) end
  if session.arguments.quiet then return true end
  output.line(("%s: %s"):format(output.plain(sent.name), output.size(sent.bytes)))
  return true
end

-- The batch, looked up, which tells its format. Of one that the catalog does not know yet nothing is known.
local function batch_of(session)
  local batch = session:batch()
  if session.arguments.dataset then return batch end
  return batch:get()
end

-- Checks that a list fits a batch, and gives its pipes names.
local function fit(session, batch, list)
  local input = type(batch.inputFormat) == "table" and type(batch.inputFormat.format) == "string" and batch.inputFormat
  local named, twice = sources.name_pipes(list, session.arguments, input and input.format or "json")
  if not named then return nil, twice end
  if not input then return true end
  return sources.check_format(batch, list, input)
end

function upload.run(session)
  local list = sources.list(session.arguments)
  local ready, unready = sources.prepare(list)
  if not ready then return nil, unready end
  local batch, err = batch_of(session)
  if not batch then return nil, err end
  local fits, unfit = fit(session, batch, list)
  if not fits then return nil, unfit end
  local count = not session.arguments.quiet and progress.counter()
  for _, item in ipairs(list) do
    local sent, failed = sources.upload(batch, item, session.arguments, count)
    if sent then sent, failed = tell(session, sent) end
    if not sent then return nil, failed end
  end
  return problem.OK
end

return upload
