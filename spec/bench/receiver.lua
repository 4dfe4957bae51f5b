--- A process of its own: a server that takes records by HTTP, until it is ended. What it answers is on the disk: in the
-- spool of a sink, or in a file to which each request is appended and synced.
-- Arguments: `sink` or `file`, the port, the spool or the file.
local Routes = require "catalog.serve.routes"
local Server = require "catalog.serve.server"
local answers = require "catalog.serve.answers"
local bare = require "bench.bare"
local scheduler = require "catalog.scheduler.scheduler"
local sinks = require "spec.bench.sinks"

local BODY_BYTES <const>, DATASET <const> = 64 * 1024 * 1024, "5c8c3c555033b814b69f947f"

local ways = {}

function ways.sink(path)
  local routes = Routes.new({ { dataset = DATASET, sink = sinks.open(path) } }, { body_bytes = BODY_BYTES })
  routes.state = "running"
  return routes
end

-- Nothing is looked at.
function ways.file(path)
  local file = bare.create(path)
  return {
    admit = function() end,
    answer = function(_, request)
      bare.append(file, request.body)
      return answers.json(200, { accepted = 100, rejected = 0, errors = {} })
    end,
  }
end

local place = { address = "127.0.0.1", port = math.tointeger(arg[2]) }
local routes = ways[arg[1]](arg[3])
local server <close> = assert(Server.start(place, routes, { body_bytes = BODY_BYTES }))
routes.answered = server.answered
while scheduler.sleep(3600) do end
