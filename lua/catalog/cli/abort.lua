--- `catalog abort`: gives a batch up.
-- @module catalog.cli.abort
return require "catalog.cli.action" "abort"
