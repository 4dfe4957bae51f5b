--- The part of the core that serves HTTP. It is built where libmicrohttpd is installed.
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
  return failure("config", "%s was not built: install libmicrohttpd (Debian: libmicrohttpd-dev) and build again (%s)",
    what, (tostring(httpd):match "^[^\n]*"))
end
