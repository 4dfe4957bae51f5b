--- What an ingest came to.
-- @module catalog.ingest.report
local core = require "catalog.core"

--- Makes the report.
-- @function report
-- @tparam table run `began` (seconds on the monotonic clock), `groups`, `journal` or nil
-- @treturn table as of `catalog.client:ingest`
return function(run)
  local files, batches, bytes = {}, {}, 0
  for i, one in ipairs(run.groups) do
    local shown = one.done or one.batch
    local id = shown and shown.id
    batches[i] = shown and {
      id = id, status = shown.status, metrics = shown.metrics, errors = shown.errors, completed = shown.completed,
      files = #one.files,
    }
    for _, item in ipairs(one.files) do
      files[#files + 1] = { name = item.name, bytes = item.bytes, seconds = item.seconds, batch = id }
      if item.seconds then bytes = bytes + item.bytes end
    end
  end
  local first = batches[1] or {}
  local report = {
    id = first.id, status = first.status, metrics = first.metrics, errors = first.errors, files = files,
    batches = batches, bytes = bytes, seconds = core.system.monotonic() - run.began,
  }
  report.resumed = run.resumed
  if #run.groups == 0 then report.status = "success" end -- a shard without files
  if run.journal then report.resumed, report.replaced = run.journal.resumed, run.journal:dropped(#run.groups) end
  return report
end
