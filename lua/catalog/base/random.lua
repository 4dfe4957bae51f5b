--- Random bytes, as text.
-- @module catalog.base.random
local core = require "catalog.core"

--- Gives random bytes of the system's in hexadecimal.
-- @function random
-- @tparam integer count of bytes, 1 or more
-- @treturn string two digits for each
return function(count)
  return ("%02x"):rep(count):format(core.system.random(count):byte(1, -1))
end
