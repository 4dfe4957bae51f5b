-- Does something so many times, for others to count what that takes: counted.lua WAY COUNT [what the way takes]
require("spec.bench.ways")[arg[1]](table.unpack(arg, 3))(math.tointeger(arg[2]))
