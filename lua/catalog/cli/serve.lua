--- `catalog serve`: records that others send by HTTP.
-- @module catalog.cli.serve
local Group = require "catalog.scheduler.group"
local core = require "catalog.core"
local listening = require "catalog.cli.listening"
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"
local scheduler = require "catalog.scheduler.scheduler"
local sinks = require "catalog.cli.sinks"

local serve = {}

-- How long a request waits for a disk that is slow before its sender is told to come again; how long the end may take,
-- for requests and for the disk; and how often sinks are looked after; in seconds.
local ROOM_TIMEOUT <const>, DRAIN_TIMEOUT <const>, CLOSE_TIMEOUT <const>, LOOK <const> = 5, 0.5, 1, 1

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
  for _, known in ipairs(arguments.dataset_name or {}) do
    local by_name = { name = known[1] }
    datasets[#datasets + 1] = { by_name, is_named(known) and known[2] or by_name }
  end
  if #datasets == 0 then return "--dataset is missing" end
  for _, dataset in ipairs(datasets) do
    if not is_named(dataset) then
      if #datasets == 1 then return nil end
      return ("where there are several datasets each has a name: --%s=NAME"):format(type(dataset[1]) == "table"
        and "dataset-name " .. dataset[1].name or "dataset " .. dataset[1])
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
    local given, err = sinks.given(session, stream.dataset, stream.spool)
    if not given then return nil, err end
    given.limit.timeout = ROOM_TIMEOUT
    local sink, refused = session.client:sink(given)
    if not sink then return nil, refused end
    stream.sink = sink
  end
  return true
end

-- Closes a sink; what fails is noted in its stream.
local function close_sink(stream)
  local ok, err = stream.sink:close { timeout = CLOSE_TIMEOUT }
  stream.lost = not ok and err or nil
end

-- Closes all of them at once: a slow disk is waited for once.
local function close_sinks(streams)
  local group = Group.new "detached"
  for _, stream in ipairs(streams) do
    if stream.sink then scheduler.begin(group:new_task(close_sink, stream)) end
  end
  group:wait()
  local lost
  for _, stream in ipairs(streams) do
    if lost and stream.lost then problem.tell(lost) end -- the last one is told by who called
    lost = stream.lost or lost
  end
  return lost
end

-- --- what goes on without requests ---

-- Lets a sink say what it has to say, also while no request comes.
local function look_after(stream)
  while scheduler.sleep(LOOK) do stream.sink:poll() end
end

local function begin_to_look(streams)
  local group = Group.new "detached"
  for _, stream in ipairs(streams) do scheduler.begin(group:new_task(look_after, stream)) end
  return setmetatable({}, { __close = function()
    group:cancel()
    group:abandon()
  end })
end

-- --- from the start to the end ---

local function tell_manager(text)
  local told, err = core.system.notify(text)
  if told == nil then problem.tell(err) end
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

-- From when the sinks are open to the signal.
local function take_requests(session, server, streams, signals)
  local _ <close> = begin_to_look(streams)
  server:open()
  tell_manager "READY=1"
  if not session.arguments.quiet then output.note("catalog: takes records at " .. server.url) end
  wait_for_end(signals, function()
    server:read_again()
    session:read_credentials()
  end)
  tell_manager "STOPPING=1"
  server:drain(DRAIN_TIMEOUT)
end

local function run(session, server, streams)
  local signals <close> = assert(core.system.catch_signals())
  local opened, err = open_sinks(session, streams)
  if opened then take_requests(session, server, streams, signals) end
  local lost = close_sinks(streams)
  if not opened or lost then return nil, err or lost end
  return problem.OK
end

function serve.run(session)
  local arguments = session.arguments
  local streams = streams_of(arguments)
  local server <close>, err = listening.start("catalog serve", arguments.listen, arguments, streams)
  if not server then return nil, err end
  return run(session, server, streams)
end

return serve
