-- Downloads a batch into a directory, and says after each piece how much has come.
local catalog = require "catalog"

assert(catalog.batch("b"):download { to = arg[1], on_progress = function(progress)
  print(progress.bytes)
  io.stdout:flush()
end })
