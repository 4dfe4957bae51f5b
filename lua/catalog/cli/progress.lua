--- How far an ingest is, for people.
-- @module catalog.cli.progress
local core = require "catalog.core"
local output = require "catalog.cli.output"

local progress = {}

local BAR <const> = 30

local function draw(state)
  local filled = state.total > 0 and math.floor(BAR * state.bytes / state.total) or BAR
  output.draw(("[%s%s] %d/%s, %s of %s, %s/s "):format(("#"):rep(filled), ("."):rep(BAR - filled),
    state.files_done, output.count(state.files_total, "file"), output.size(state.bytes), output.size(state.total),
    output.size(state.rate)))
  if state.files_done == state.files_total then output.keep() end
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

-- How often a count is drawn, seconds.
local TICK <const> = 0.1

--- Makes what is told how much of pipes has been read, whose end nobody knows: a count on a terminal.
-- @treturn ?function of a number of bytes, or of nothing at the end; nil: there is no terminal
function progress.counter()
  if not core.system.isatty(2) then return nil end
  local bytes, drawn = 0, 0
  return function(more)
    bytes = bytes + (more or 0)
    local now = core.system.monotonic()
    if more and now - drawn < TICK then return end
    drawn = now
    output.draw(output.size(bytes) .. " read ")
    if not more then output.keep() end
  end
end

return progress
