--- `catalog datasets`: the data sets, or those of a name.
-- @module catalog.cli.datasets
local batches = require "catalog.cli.batches"
local core = require "catalog.core"
local output = require "catalog.cli.output"

local datasets = {}

local COLUMNS <const> = { { "dataset", 24 }, { "created", 23 }, { "profile", 7 }, { "name", 20 } }

-- What is asked for: the schemas are large.
local PROPERTIES <const> = { "name", "description", "created", "updated", "tags", "schemaRef", "version" }

local function profile_of(dataset)
  if type(dataset.tags) ~= "table" then return "-" end
  return dataset:upsert_enabled() and "upsert" or dataset:profile_enabled() and "yes" or "-"
end

-- --- the names that shells complete: those of the last listing of all ---

local function cache_path()
  local home = os.getenv "HOME"
  local cache = os.getenv "XDG_CACHE_HOME" or home and home .. "/.cache"
  if not cache or cache == "" then return nil end
  if not core.fs.mkdir(cache) or not core.fs.mkdir(cache .. "/catalog") then return nil end
  return cache .. "/catalog/datasets"
end

-- Goes through a listing and keeps the names. It is of no weight: where they cannot be kept, nothing is said.
local function noted(listing)
  local path = cache_path()
  local file = path and io.open(path .. ".new", "wb")
  if not file then return listing end
  return function()
    local dataset = listing()
    if dataset then
      local name = type(dataset.name) == "string" and output.plain(dataset.name) or ""
      if name == dataset.name and name ~= "" then file:write(name, "\n") end
    elseif file then
      if file:close() then os.rename(path .. ".new", path) end
      file = nil
    end
    return dataset
  end
end

local function add(shown, dataset)
  shown:row(output.plain(dataset.id), output.moment(dataset.created) or "-", profile_of(dataset),
    output.plain(dataset.name or "-"))
end

function datasets.run(session)
  local arguments = session.arguments
  local listing = session.client:datasets {
    name = arguments.name, tags = arguments.tags, properties = PROPERTIES, sandbox = arguments.sandbox,
  }
  if not (arguments.name or arguments.tags or arguments.limit) then listing = noted(listing) end
  return batches.list(arguments, listing, COLUMNS, add, "id")
end

return datasets
