--- The paths of the service's API, encoded segment by segment: the one place that makes them. An id that a server would
-- take as a step in the path (`..`), and an empty one, are refused. Source: Adobe's guides to batch ingestion and data
-- access.
-- @module catalog.batch.paths
local core = require "catalog.core"
local failure = require "catalog.base.failure"

local IMPORT <const> = "/data/foundation/import/batches"
local CATALOG <const> = "/data/foundation/catalog/batches"
local EXPORT <const> = "/data/foundation/export/batches"

-- 414 beyond.
local LONGEST_URL <const> = 2000

local paths = {
  --- Where batches are created.
  CREATION = IMPORT,
}

-- The path with a batch's id at its end.
local function of_batch(base, id)
  local segment, err = core.url.segment(id, "batch id")
  if not segment then return nil, err end
  return base .. "/" .. segment
end

--- Where an action on a batch is asked for.
-- @tparam string id of the batch
-- @tparam string action `COMPLETE`, `ABORT`, `FAIL`, `REVERT`
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`
function paths.action(id, action)
  local path, err = of_batch(IMPORT, id)
  if not path then return nil, err end
  return path .. "?action=" .. action
end

--- Where a batch is looked up.
-- @tparam string id of the batch
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`
function paths.catalog(id) return of_batch(CATALOG, id) end

--- Where batches are looked for by their external id; as many as a listing may have, since nobody promises that there
-- is one at most.
-- @tparam string external_id
-- @treturn string
function paths.external(external_id)
  return CATALOG .. "?limit=100&externalId=" .. core.url.encode(external_id)
end

--- Where the service says what it read of a batch, and which rows it refused.
-- @tparam string id of the batch
-- @tparam string path `row_errors`, `input_files`, or a file of them
-- @tparam[opt=""] string query what follows in the query
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`
function paths.export(id, path, query)
  local base, err = of_batch(EXPORT, id)
  if not base then return nil, err end
  return base .. "/meta?path=" .. core.url.encode(path) .. (query or "")
end

--- Where the files of a batch are.
-- @tparam string id of the batch
-- @tparam string dataset its id
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`
function paths.files(id, dataset)
  local base, err = of_batch(IMPORT, id)
  if not base then return nil, err end
  local segment, unfit = core.url.segment(dataset, "dataset id")
  if not segment then return nil, unfit end
  return base .. "/datasets/" .. segment .. "/files"
end

--- Where a file of a batch is.
-- @tparam table target `base_url`, `files`, as of the function `files`
-- @tparam string name `a.json` or `part1=a/part2=b/x.parquet`
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`
function paths.file(target, name)
  local encoded = core.url.path(name)
  if not encoded then
    return failure("data", name == "" and "the name of the file is empty"
      or 'the name "%s" has an empty segment, or one that is . or .., which cannot be sent', name)
  end
  local path = target.files .. "/" .. encoded
  -- what an action adds still has to fit
  if #target.base_url + #path + #"?action=INITIALIZE" > LONGEST_URL then
    return failure("data", 'the name "%s..." makes a URL of more than %d characters', name:sub(1, 60), LONGEST_URL)
  end
  return path
end

return paths
