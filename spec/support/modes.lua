-- Read before the specs: with CATALOG_UNIQUE_IDS=1 each emulator refuses a second batch with an external id unless the
-- spec says otherwise. All specs have to pass either way: `make test` runs them without, `make asan` with it.
if os.getenv "CATALOG_UNIQUE_IDS" == "1" then
  local emulator = require "catalog.emulator"
  local start = emulator.start
  emulator.start = function(options)
    local given = { unique_ids = true }
    for name, value in pairs(options or {}) do given[name] = value end
    return start(given)
  end
end

-- busted forgets what a file has required, so each has a scheduler of its own; the engine is the state's. What one
-- scheduler wanted of it is not for the next.
require("busted").subscribe({ "file", "end" }, function()
  local engine = require("catalog.core").engine.get()
  engine:wake(false)
  engine:set_timer(nil)
  return nil, true
end)
