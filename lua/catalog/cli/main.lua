#!/usr/bin/env lua5.4
-- What the program `catalog` runs. Installed at PREFIX/bin it finds the module that was installed with it.
local prefix, version = (arg[0]:match "^(.*)/[^/]*$" or ".") .. "/..", _VERSION:match "%d+%.%d+"
package.path = ("%s/share/lua/%s/?.lua;%s"):format(prefix, version, package.path)
package.cpath = ("%s/lib/lua/%s/?.so;%s"):format(prefix, version, package.cpath)

local fine, code = pcall(function() return require("catalog.cli.program").main(arg) end)
if not fine then
  local said = tostring(code)
  -- the interpreter's own word for Ctrl-C, until the program has its signals
  local interrupted = said:find("interrupted!", 1, true)
  io.stderr:write("catalog: ", interrupted and "interrupted" or said:match "module '.-' not found" or said, "\n")
  code = interrupted and 130 or 1
end
os.exit(code, true)
