-- For HAProxy (haproxy.cfg beside this file): a POST of JSON lines is answered 200 once they are on disk,
--
--   {"accepted":2,"rejected":1,"errors":[{"line":2,"reason":"..."}]}
--
-- and 503 where they are not, whole: then they are to be sent again. HAProxy cannot watch a descriptor for us, but its
-- coroutines can pause, and that is enough (`wait`): all other requests go on.
local catalog = require "catalog"
local cjson = require "cjson"

-- How long a pause is, in milliseconds: as long a message of the service, or the disk's, may lie unread.
local PAUSE <const> = 2

-- How long a request waits for room in a spool that is full, in seconds.
local PATIENCE <const> = 10

local loop <const> = { wait = function() core.msleep(PAUSE) end }

local sink

local function complain(err) core.Warning(tostring(err)) end

local function open()
  local client, unfit = catalog.client { loop = loop }
  if not client then return nil, unfit end
  return client:sink {
    dataset = os.getenv "DATASET", spool = os.getenv "SPOOL", limit = { timeout = PATIENCE },
    on_error = complain, on_warning = complain,
  }
end

-- Not while this file is loaded: with a master process (-W) HAProxy forks after that, and a sink stays where it was
-- opened. The task gives the sink its turns, for as long as HAProxy lives.
core.register_task(function()
  local err
  sink, err = open()
  while sink and not err do
    local ok, failed = sink:poll(1)
    err = not ok and failed
  end
  core.Alert("catalog: no records are taken: " .. tostring(err))
  sink = nil
end)

local function answer(applet, status, value)
  local text = cjson.encode(value) .. "\n"
  applet:set_status(status)
  applet:add_header("Content-Type", "application/json")
  applet:add_header("Content-Length", #text)
  if status == 503 then applet:add_header("Retry-After", PATIENCE) end
  applet:start_response()
  applet:send(text)
end

-- What was written and is on disk, or nil and an error.
local function take(text)
  local open_sink = sink
  if not open_sink then return nil, "the spool is not open" end
  local accepted, rejected, errors = open_sink:write_lines(text)
  if not accepted then return nil, rejected end
  local ok, err = open_sink:sync()
  if not ok then return nil, err end
  return { accepted = accepted, rejected = rejected, errors = #errors > 0 and errors or nil }
end

core.register_service("records", "http", function(applet)
  local taken, err = take(applet:receive())
  if taken then return answer(applet, 200, taken) end
  answer(applet, 503, { error = tostring(err) })
end)
