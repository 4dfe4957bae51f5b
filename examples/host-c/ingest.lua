-- What host.c runs once, and which returns what it calls with each file, in a coroutine of its own. This is written as
-- if there were nothing else to do: where a call waits, the host goes on with the other files, and with those who talk
-- to its port.
--
-- It is given the module, the host, and the id of a dataset; its globals are the harmless ones of Lua's.
--
-- Beside each file is its journal: whatever has ended the program, it may be run again with the same files, and goes
-- on; a file that is in already is not ingested twice. To ingest it anew, delete the journal.
local catalog, host, dataset = ...

-- `assert` raises the error object as it is; the host prints it.
local client = assert(catalog.client { loop = host.loop })

local function tell(path, state)
  print(("%s: %d of %d bytes sent, %d lines answered"):format(path, state.bytes, state.total, host.answered()))
end

return function(path)
  local report = assert(client:ingest {
    dataset = dataset, format = "json", files = { path }, journal = path .. ".journal",
    on_progress = function(state) tell(path, state) end,
  })
  -- the service may leave the counts out
  local metrics = type(report.metrics) == "table" and report.metrics or {}
  local count = tonumber(metrics.outputRecordCount) or "an unknown number of"
  print(("%s: %s records are in batch %s, %d lines answered"):format(path, count, report.id, host.answered()))
end
