--- Names of files in a batch, and where they are.
-- @module catalog.names
local core = require "catalog.core"
local failure = require "catalog.failure"

local names = {}

-- Source: Adobe's batch ingestion guide; 414 beyond.
local LONGEST_URL <const> = 2000

--- The path of a file in a batch, encoded segment by segment.
-- @tparam table place `base_url`, `batch` and `dataset`: ids
-- @tparam string name `a.json` or `part1=a/part2=b/x.parquet`
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`
function names.path(place, name)
  if name == "" then return failure("data", "the name of the file is empty") end
  local segments = {}
  for segment in (name .. "/"):gmatch "([^/]*)/" do
    local encoded = core.url.segment(segment, "segment")
    if not encoded then
      return failure("data", "the name %q has an empty segment, or one that is . or .., which cannot be sent", name)
    end
    segments[#segments + 1] = encoded
  end
  local batch, dataset = core.url.encode(place.batch), core.url.encode(place.dataset)
  local path = ("/data/foundation/import/batches/%s/datasets/%s/files/%s"):format(batch, dataset,
    table.concat(segments, "/"))
  -- what an action adds still has to fit
  if #place.base_url + #path + #"?action=INITIALIZE" > LONGEST_URL then
    return failure("data", "the name %q makes a URL of more than %d characters", name:sub(1, 60) .. "...", LONGEST_URL)
  end
  return path
end

return names
