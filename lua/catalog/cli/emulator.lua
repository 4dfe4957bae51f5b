--- `catalog emulator`: the service, on this machine.
-- @module catalog.cli.emulator
local failure = require "catalog.base.failure"
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"

local emulator = { offline = true }

local function tell_use(server, datasets)
  output.line("The emulator listens on " .. server.url .. " until Ctrl-C. In another terminal:")
  output.line(("  export AEP_BASE_URL=%s AEP_IMS_URL=%s"):format(server.url, server.url))
  output.line "  export AEP_ORG=DEMO@AdobeOrg AEP_API_KEY=demo-key AEP_ACCESS_TOKEN=demo-token"
  for _, dataset in ipairs(datasets) do output.line(("  data set %s: %s"):format(dataset[1], dataset[2])) end
  output.flush()
end

-- It is installed by itself.
local function load_emulator()
  local found, module = pcall(require, "catalog.emulator")
  if found then return module end
  return failure("config", "the emulator is not there: install catalog-emulator (LuaRocks) or lua-catalog-emulator "
    .. "(Debian) (%s)", (tostring(module):match "^[^\n]*"))
end

function emulator.run(session)
  local service, missing = load_emulator()
  if not service then return nil, missing end
  local arguments, datasets = session.arguments, {}
  for _, known in ipairs(arguments.dataset) do datasets[known[1]] = known[2] end
  local server <close>, err = service.start {
    port = arguments.port, data_dir = arguments.data_dir, datasets = datasets,
  }
  if not server then return nil, err end
  server:wait(function() tell_use(server, arguments.dataset) end)
  return problem.OK
end

return emulator
