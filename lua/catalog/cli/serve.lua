--- `catalog serve`: records that others send by HTTP.
-- @module catalog.cli.serve
local Routes = require "catalog.serve.routes"
local Server = require "catalog.serve.server"
local Token = require "catalog.serve.token"
local core = require "catalog.core"
local load_httpd = require "catalog.serve.httpd"
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"
local scheduler = require "catalog.scheduler.scheduler"
local sinks = require "catalog.cli.sinks"

local serve = {}

-- How long a request waits for room in the spool before its sender is told to come again; and how long the end may
-- take, for requests and for the disk, in seconds.
local ROOM_TIMEOUT <const>, DRAIN_TIMEOUT <const>, CLOSE_TIMEOUT <const> = 5, 0.5, 1

local RESERVED <const> = { health = true, ready = true, metrics = true }

-- --- which sinks ---

local function is_named(dataset) return dataset[1] ~= dataset[2] end

local function fault_of(name, seen)
  if seen[name] then return ("two datasets have the name '%s'"):format(name) end
  if RESERVED[name] then return ("/%s has a meaning of its own: give the dataset another name"):format(name) end
  if name:find "^[%w_-][%w._-]*$" then return nil end
  return ("the name '%s' has more than letters, digits, - . and _"):format(name)
end

--- What is wrong with the arguments, or nil.
function serve.check(arguments)
  local datasets, seen = arguments.dataset, {}
  if #datasets == 0 then return "--dataset is missing" end
  for _, dataset in ipairs(datasets) do
    if not is_named(dataset) then
      if #datasets == 1 then return nil end
      return ("where there are several datasets each has a name: --dataset %s=NAME"):format(dataset[1])
    end
    local fault = fault_of(dataset[2], seen)
    if fault then return fault end
    seen[dataset[2]] = true
  end
end

-- Each stream has a spool of its own; where it has a name, that is a directory in the one that is given.
local function streams_of(arguments)
  local streams = {}
  for i, dataset in ipairs(arguments.dataset) do
    local name = is_named(dataset) and dataset[2] or nil
    streams[i] = { dataset = dataset[1], name = name, spool = arguments.spool .. (name and "/" .. name or "") }
  end
  return streams
end

local function open_sinks(session, streams)
  if streams[1].name then
    local ok, err = core.fs.mkdir(session.arguments.spool)
    if not ok then return nil, err end
  end
  for _, stream in ipairs(streams) do
    local given = sinks.given(session, stream.dataset, stream.spool)
    given.limit.timeout = ROOM_TIMEOUT
    local sink, err = session.client:sink(given)
    if not sink then return nil, err end
    stream.sink = sink
  end
  return true
end

local function close_sinks(streams)
  local first
  for _, stream in ipairs(streams) do
    local ok, err = true, nil
    if stream.sink then ok, err = stream.sink:close { timeout = CLOSE_TIMEOUT } end
    first = first or not ok and err or nil
  end
  return first
end

-- --- from the start to the end ---

local function tell_manager(text)
  local told, err = core.system.notify(text)
  if told == nil then problem.tell(err) end
end

local function read_again(session, token)
  local ok, err = true, nil
  if token then ok, err = token:read() end
  if not ok then problem.tell(err) end
  session:read_credentials()
end

-- Waits for a signal that ends the program.
local function wait_for_end(signals, on_hangup)
  local listener <close> = core.listener.new(signals:fd())
  while true do
    local name = signals:take()
    if name == "SIGHUP" then
      on_hangup()
    elseif name then
      return name
    else
      assert(listener:start())
      scheduler.transfer(listener)
    end
  end
end

local function run(session, server, routes, token)
  local streams, signals <close> = routes.streams, assert(core.system.catch_signals())
  local opened, err = open_sinks(session, streams)
  if opened then
    routes.state = "running"
    tell_manager "READY=1"
    if not session.arguments.quiet then output.note("catalog: takes records at " .. server.url) end
    wait_for_end(signals, function() read_again(session, token) end)
    routes.state = "ending"
    tell_manager "STOPPING=1"
    server:drain(DRAIN_TIMEOUT)
  end
  local lost = close_sinks(streams)
  if not opened or lost then return nil, err or lost end
  return problem.OK
end

local function token_of(arguments)
  if not arguments.listen_token_file then return nil end
  return Token.new(arguments.listen_token_file)
end

function serve.run(session)
  local arguments = session.arguments
  local httpd, missing = load_httpd "catalog serve"
  if not httpd then return nil, missing end
  local token, unread = token_of(arguments)
  if unread then return nil, unread end
  local routes = Routes.new(streams_of(arguments), {
    token = token, body_bytes = arguments.body_bytes, codings = httpd.codings,
  })
  local server <close>, err = Server.start(arguments.listen, routes, {
    body_bytes = arguments.body_bytes, beyond = token ~= nil,
  })
  if not server then return nil, err end
  routes.answered = server.answered
  return run(session, server, routes, token)
end

return serve
