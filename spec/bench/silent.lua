--- A process of its own: a server that takes requests and never answers, but for one of each group, for `/bell`, when
-- the group is there. Arguments: port, how many groups, how many requests are a group.
local bare = require "bench.bare"

local ANSWER <const> = '{"bell":{"status":"loading"}}'

bare.descriptors()
bare.silence(math.tointeger(arg[1]), math.tointeger(arg[2]), math.tointeger(arg[3]),
  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: " .. #ANSWER .. "\r\n\r\n"
  .. ANSWER)
