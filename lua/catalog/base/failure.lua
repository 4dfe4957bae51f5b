--- How a call says that it did not succeed.
-- @module catalog.base.failure
local core = require "catalog.core"

--- Gives what such a call returns.
-- @function failure
-- @tparam string kind `config`, `data`, ... as in the guide (troubleshooting.md)
-- @tparam string format of the message, as in `string.format`
-- @param ... what goes into it
-- @treturn nil
-- @treturn table error
return function(kind, format, ...)
  return nil, core.failure.new { kind = kind, message = format:format(...) }
end
