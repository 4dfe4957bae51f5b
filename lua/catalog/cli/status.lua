--- `catalog status`: what the catalog knows of a batch.
-- @module catalog.cli.status
local status = {}

function status.run(session)
  local batch, err = session:batch():get()
  if not batch then return nil, err end
  return session:show(batch, "status")
end

return status
