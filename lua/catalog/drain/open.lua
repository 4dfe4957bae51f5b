--- Puts the methods of drains together.
-- @module catalog.drain.open
local Drain = require "catalog.drain.drain"
require "catalog.drain.metrics"

return Drain
