--- What LDoc has read, as a Lua table on standard output: `ldoc --filter docs.site.dump.write`.
local pretty = require "pl.pretty"

local dump = {}

function dump.write(modules)
  for _, module in ipairs(modules) do module.sections = nil end -- they have their modules in them
  pretty.dump(modules)
end

return dump
