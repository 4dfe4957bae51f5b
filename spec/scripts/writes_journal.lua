-- For the C host: writes a line to the journal at a path each time it is called. A forked child has to be refused.
return function(path)
  local journal = require "catalog.ingest.journal"
  local run = { base_url = "u", org = "o", sandbox = "s", dataset = "d", options = "{}" }
  local opened
  return function()
    opened = opened or assert(journal.open(path, run, { { files = {} } }))
    return opened:note("refused", { group = 1 })
  end
end
