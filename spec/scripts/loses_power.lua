-- Loses the power so many times, with these seeds. Usage: COUNT SEED
local losses = require "support.losses"

local count, seed = math.tointeger(tonumber(arg[1])), math.tointeger(tonumber(arg[2]))
print(("ok %d losses, %d records"):format(count, losses.run(count, seed)))
