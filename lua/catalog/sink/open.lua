--- Puts the methods of sinks together.
-- @module catalog.sink.open
local Sink = require "catalog.sink.sink"
require "catalog.sink.metrics"
require "catalog.sink.write"
require "catalog.sink.write_lines"

return Sink
