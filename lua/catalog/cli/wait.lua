--- `catalog wait`: waits until a batch is ingested.
-- @module catalog.cli.wait
local wait = {}

function wait.run(session)
  local batch, err = session:batch():wait { timeout = session.arguments.timeout }
  if not batch then return nil, err end
  local code, unwritten = session:show(batch, "status")
  if not code then return nil, unwritten end
  return session:judge { batch }
end

return wait
