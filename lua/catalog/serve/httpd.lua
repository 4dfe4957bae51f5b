--- The part of the core that serves HTTP. It is built where libmicrohttpd is installed, and installed by itself.
-- @module catalog.serve.httpd
local failure = require "catalog.base.failure"

--- Loads it.
-- @function httpd
-- @tparam string what needs it, as the message calls it
-- @treturn[1] table the module `catalog.httpd`
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
return function(what)
  local found, httpd = pcall(require, "catalog.httpd")
  if found then return httpd end
  return failure("config", "%s needs catalog.httpd: install catalog-httpd (LuaRocks) or lua-catalog-httpd (Debian), or "
    .. "build with libmicrohttpd (Debian: libmicrohttpd-dev) (%s)", what, (tostring(httpd):match "^[^\n]*"))
end
