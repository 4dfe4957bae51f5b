#!/usr/bin/env lua5.4
-- What the program `catalog` runs.
local fine, code = pcall(require("catalog.cli.program").run, arg)
if not fine then
  -- Ctrl-C is raised by the interpreter, as an error: where that came is of no interest
  local interrupted = tostring(code):find("interrupted!", 1, true)
  io.stderr:write("catalog: ", interrupted and "interrupted" or tostring(code), "\n")
  code = interrupted and 130 or 1
end
os.exit(code, true)
