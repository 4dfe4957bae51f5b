--- `catalog files`: the files that a batch has become.
-- @module catalog.cli.files
local batches = require "catalog.cli.batches"
local output = require "catalog.cli.output"

local files = {}

local COLUMNS <const> = { { "bytes", 14 }, { "name", 20 } }

function files.run(session)
  local arguments = session.arguments
  return batches.list(arguments, session:batch():files { failed = arguments.failed }, COLUMNS, function(shown, file)
    shown:row(file.bytes and tostring(file.bytes) or "-", output.plain(file.name))
  end, "name")
end

return files
