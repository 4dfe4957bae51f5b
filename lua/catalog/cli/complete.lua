--- `catalog complete`: says that all files are there.
-- @module catalog.cli.complete
return require "catalog.cli.action" "complete"
