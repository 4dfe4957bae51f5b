--- `catalog emulator`: the service, on this machine.
-- @module catalog.cli.emulator
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"

local emulator = { offline = true }

-- The largest schema, bytes.
local MOST <const> = 16777216

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

-- The schema of a file, by its id.
local function reference_of(path)
  local text, err = core.file.read(path, MOST)
  if not text then return nil, err end
  local schema, unfit = core.json.decode(text)
  if type(schema) == "table" and type(schema["$id"]) == "string" then
    return { id = schema["$id"], contentType = "application/vnd.adobe.xed+json;version=1" }
  end
  return failure("config", "%s: it is no JSON schema with an $id%s", path, unfit and " (" .. unfit.message .. ")" or "")
end

function emulator.run(session)
  local service, missing = load_emulator()
  if not service then return nil, missing end
  local arguments, datasets, reference, unfit = session.arguments, {}, nil, nil
  if arguments.schema then reference, unfit = reference_of(arguments.schema) end
  if unfit then return nil, unfit end
  for _, known in ipairs(arguments.dataset) do datasets[known[1]] = { name = known[2], schemaRef = reference } end
  local server <close>, err = service.start {
    port = arguments.port, data_dir = arguments.data_dir, datasets = datasets,
    schemas = arguments.schema and { arguments.schema } or nil,
  }
  if not server then return nil, err end
  server:wait(function() tell_use(server, arguments.dataset) end)
  return problem.OK
end

return emulator
