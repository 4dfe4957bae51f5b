--- `catalog create`: creates a batch.
-- @module catalog.cli.create
local create = {}

--- The options of a creation among the arguments.
-- @tparam table arguments
-- @treturn table as for `catalog.client:create_batch`
function create.options(arguments)
  return {
    dataset = arguments.dataset, format = arguments.format, multiline = arguments.multiline,
    external_id = arguments.external_id, error_diagnostics = arguments.error_diagnostics,
    partial_ingestion = arguments.partial_ingestion, sandbox = arguments.sandbox,
  }
end

--- What is wrong with them together.
-- @tparam table arguments
-- @treturn ?string
function create.check(arguments)
  if arguments.multiline and arguments.format and arguments.format ~= "json" then
    return ("--multiline is for --format json, and not for %s"):format(arguments.format)
  end
end

function create.run(session)
  session.is_creating = true
  local batch, err = session.client:create_batch(create.options(session.arguments))
  if not batch then return nil, err end
  session:note_batch(batch.id)
  return session:show(batch, "id")
end

return create
