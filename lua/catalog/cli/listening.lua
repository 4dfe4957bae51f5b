--- The HTTP server of a command: `catalog serve` takes records by it, `catalog sink` and `catalog drain` show their
-- numbers.
-- @module catalog.cli.listening
local Routes = require "catalog.serve.routes"
local Server = require "catalog.serve.server"
local Token = require "catalog.serve.token"
local load_httpd = require "catalog.serve.httpd"
local problem = require "catalog.cli.problem"

local Listening = {}
Listening.__index = Listening

local listening = {}

-- A body of a server that takes none may have so many bytes before the connection is closed.
local NO_BODY <const> = 65536

local function token_of(arguments)
  if not arguments.listen_token_file then return nil end
  return Token.new(arguments.listen_token_file)
end

--- Starts a server. It says that it starts until `state` is `running`.
-- @tparam string what needs it, as messages call it
-- @tparam table place where to listen
-- @tparam table arguments `listen_token_file`; and `body_bytes` where records are taken
-- @tparam {table,...} streams as of `catalog.serve.routes`
-- @treturn[1] table `state` (as of `catalog.serve.routes`), `url`
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function listening.start(what, place, arguments, streams)
  local httpd, missing = load_httpd(what)
  if not httpd then return nil, missing end
  local token, unread = token_of(arguments)
  if unread then return nil, unread end
  local routes = Routes.new(streams, {
    token = token, explain = problem.translate, codings = httpd.codings, body_bytes = arguments.body_bytes,
    reads_only = not arguments.body_bytes,
  })
  local server, err = Server.start(place, routes, {
    name = what, body_bytes = arguments.body_bytes or NO_BODY, beyond = token ~= nil,
  })
  if not server then return nil, err end
  routes.answered = server.answered
  return setmetatable({ routes = routes, server = server, token = token, url = server.url }, Listening)
end

--- What is wrong with the options of `--metrics-listen` together, or nil.
-- @tparam table arguments
-- @treturn ?string
function listening.fault_of_metrics(arguments)
  if arguments.listen_token_file and not arguments.metrics_listen then
    return "--listen-token-file is for --metrics-listen"
  end
end

--- Starts what shows the numbers of a stream, where somebody wants that.
-- @tparam table arguments `command`, `metrics_listen`, `listen_token_file`
-- @tparam table stream as of `catalog.serve.routes`
-- @treturn[1] table|boolean as of `start`; false: nobody does
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function listening.start_metrics(arguments, stream)
  if not arguments.metrics_listen then return false end
  return listening.start(("catalog %s --metrics-listen"):format(arguments.command), arguments.metrics_listen,
    { listen_token_file = arguments.listen_token_file }, { stream })
end

--- Begins to take requests.
function Listening:open() self.routes.state = "running" end

--- Takes no more, and answers what is there.
-- @tparam number seconds how long at the most
function Listening:drain(seconds)
  self.routes.state = "ending"
  self.server:drain(seconds)
end

--- Reads the token again; says so where it cannot.
function Listening:read_again()
  local ok, err = true, nil
  if self.token then ok, err = self.token:read() end
  if not ok then problem.tell(err) end
end

--- Ends it.
function Listening:close() self.server:close() end
Listening.__close = Listening.close

return listening
