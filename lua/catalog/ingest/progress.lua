--- How far an ingest is.
-- @module catalog.ingest.progress
local core = require "catalog.core"

-- Seconds between two reports, at the least.
local INTERVAL <const> = 0.1

--- Reports progress to the host: at most ten times a second, and once at the end.
-- @function progress
-- @tparam table run `given`, `bytes`, `total`, `file`, `files_done`, `files_total`; `jobs` while uploads are under way
-- @treturn function `report(last)`; last: true at the end
return function(run)
  local began, reported, last_bytes, last_files = core.system.monotonic(), -math.huge, nil, nil
  return function(last)
    local now = core.system.monotonic()
    if not run.given.on_progress or not last and now - reported < INTERVAL then return end
    local bytes = run.bytes + (run.jobs and run.jobs:sent() or 0)
    if bytes == last_bytes and run.files_done == last_files then return end
    reported, last_bytes, last_files = now, bytes, run.files_done
    run.given.on_progress {
      file = run.file, bytes = math.min(bytes, run.total), total = run.total, files_done = run.files_done,
      files_total = run.files_total, rate = bytes / math.max(now - began, 1e-6),
    }
  end
end
