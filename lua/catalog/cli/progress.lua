--- How far an ingest is, for people.
-- @module catalog.cli.progress
local core = require "catalog.core"
local output = require "catalog.cli.output"

local progress = {}

local BAR <const> = 30

local function draw(state)
  local filled = state.total > 0 and math.floor(BAR * state.bytes / state.total) or BAR
  io.stderr:write(("\r[%s%s] %d/%s, %s of %s, %s/s \27[K"):format(("#"):rep(filled), ("."):rep(BAR - filled),
    state.files_done, output.count(state.files_total, "file"), output.size(state.bytes), output.size(state.total),
    output.size(state.rate)))
  if state.files_done == state.files_total then io.stderr:write "\n" end
end

--- Makes what `on_progress` of an ingest takes: a bar that is drawn over itself on a terminal; elsewhere a line where
-- more files are done.
-- @treturn function
function progress.printer()
  if core.system.isatty(2) then return draw end
  local done = 0
  return function(state)
    if state.files_done == done then return end
    done = state.files_done
    output.note(("%d/%s, %s of %s"):format(done, output.count(state.files_total, "file"), output.size(state.bytes),
      output.size(state.total)))
  end
end

return progress
