--- What an ingest came to.
-- @module catalog.ingest.report
local core = require "catalog.core"

--- Makes the report.
-- @function report
-- @tparam table run `began` (seconds on the monotonic clock), `journal` or nil
-- @tparam {table,...} groups
-- @treturn table as of `catalog.client:ingest`
return function(run, groups)
  local report = { files = {}, batches = {}, bytes = 0, seconds = core.system.monotonic() - run.began }
  for i, one in ipairs(groups) do
    local shown = one.done or one.batch
    report.batches[i] = shown and {
      id = shown.id, status = shown.status, metrics = shown.metrics, errors = shown.errors, files = #one.files,
    }
    for _, item in ipairs(one.files) do
      report.files[#report.files + 1] = {
        name = item.name, bytes = item.bytes, seconds = item.seconds, batch = shown and shown.id,
      }
      report.bytes = report.bytes + (item.seconds and item.bytes or 0)
    end
  end
  local first = report.batches[1] or {}
  report.id, report.status, report.metrics, report.errors = first.id, first.status, first.metrics, first.errors
  if run.journal then report.resumed, report.replaced = run.journal.resumed, run.journal:dropped(#groups) end
  return report
end
