--- `catalog wait`: waits until a batch is ingested.
-- @module catalog.cli.wait
local wait = {}

function wait.run(session)
  local batch, err = session:batch():wait { timeout = session.arguments.timeout }
  if not batch then
    local code = session:fail(err)
    session:tell_errors(err.batch)
    -- where the time was over, the error says so itself
    if err.retryable and err.kind ~= "timeout" then session:tell_batches() end
    return code
  end
  local code, unwritten = session:show(batch, "status")
  if not code then return nil, unwritten end
  return session:judge { batch }
end

return wait
