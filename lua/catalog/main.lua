#!/usr/bin/env lua5.4
-- What the program `catalog` runs.
local fine, code = pcall(require("catalog.cli").run, arg)
if not fine then
  io.stderr:write("catalog: ", tostring(code), "\n")
  code = 1
end
os.exit(code, true)
