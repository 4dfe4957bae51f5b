--- `catalog datasets`: the data sets, or those of a name.
-- @module catalog.cli.datasets
local batches = require "catalog.cli.batches"
local output = require "catalog.cli.output"

local datasets = {}

local COLUMNS <const> = { { "dataset", 24 }, { "created", 23 }, { "profile", 7 }, { "name", 20 } }

-- What is asked for: the schemas are large.
local PROPERTIES <const> = { "name", "description", "created", "updated", "tags", "schemaRef", "version" }

local function profile_of(dataset)
  if type(dataset.tags) ~= "table" then return "-" end
  return dataset:upsert_enabled() and "upsert" or dataset:profile_enabled() and "yes" or "-"
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
  return batches.list(arguments, listing, COLUMNS, add, "id")
end

return datasets
