-- What host.c calls: a sink where no call may wait. `offer` never does, `poll` does the work that is due, and what the
-- host has to hold it is told by a `false`.
--
-- The number of a line is its position: after a crash the lines that are on disk are passed over, so nothing is twice.
local catalog = require "catalog"

local SOURCE <const> = "input"

-- For how long a second the host may be held up while files are sent, in seconds: it is the share of its time that they
-- have.
local SHARE <const> = 0.2

local hooks, sink = {}, nil

local function complain(err) io.stderr:write(tostring(err), "\n") end

function hooks.init(dataset, spool)
  sink = assert(catalog.sink { dataset = dataset, spool = spool, on_error = complain, on_warning = complain })
  return sink:synced(SOURCE) or 0
end

function hooks.process(event)
  local taken, err = sink:offer(event, SOURCE, event.number)
  if not taken and err.code ~= "full" then error(err, 0) end -- it cannot go on
  return taken
end

function hooks.timer() assert(sink:poll(SHARE)) end

function hooks.shutdown() assert(sink:close()) end

return hooks
