--- `catalog revert`: takes an ingested batch back.
-- @module catalog.cli.revert
return require "catalog.cli.action" "revert"
