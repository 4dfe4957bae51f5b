--- The command line: `catalog ingest`, `create`, `status`, `wait`, `errors`, `abort`, `emulator`.
-- Exit codes: 0 done; 1 failed; 2 usage; 3 the batch failed. Credentials come from the environment only.
-- @module catalog.cli.program
local catalog = require "catalog"
local core = require "catalog.core"
local problems = require "catalog.batch.problems"

local cli = {}

local OK <const>, FAILED <const>, USAGE <const>, BATCH_FAILED <const> = 0, 1, 2, 3

local function load_argparse()
  local found, argparse = pcall(require, "argparse")
  if found then return argparse end
  io.stderr:write("catalog: the command line needs argparse (Debian: lua-argparse; LuaRocks: argparse)\n")
end

local function whole(text)
  return math.tointeger(tonumber(text)), ("'%s' is no whole number"):format(text)
end

local function number(text)
  return tonumber(text), ("'%s' is no number"):format(text)
end

-- A data set of the emulator's: its id and its name.
local function known_dataset(text)
  local id, name = text:match "^([^=]+)=(.+)$"
  if not id and not text:find "^[^=]+$" then return nil, ("'%s' is neither ID nor ID=NAME"):format(text) end
  return { id or text, name or text }
end

local function batch_command(parser, name, summary)
  local command = parser:command(name, summary)
  command:argument("id", "The id of the batch.")
  return command
end

local function creation_options(command)
  command:option("--dataset", "The id of the dataset."):count(1)
  command:option("--format", "The format of the files."):choices { "json", "parquet", "csv" }
  command:flag("--multiline", "JSON files are one array each, not a record a line.")
  command:option("--external-id", "An id of your own, unique in the organisation.")
  command:flag("--error-diagnostics", "Ask the service to say which rows are bad.")
  command:option("--partial-ingestion", "The percentage of rows that may be bad."):convert(number)
end

local function make_parser(argparse)
  local parser = argparse("catalog", "Gets data into Adobe Experience Platform.")
    :epilog("Configured by AEP_ORG, AEP_API_KEY and AEP_ACCESS_TOKEN (or AEP_CLIENT_SECRET and AEP_SCOPES);"
      .. " AEP_SANDBOX, AEP_BASE_URL and AEP_IMS_URL where they are not the usual ones. AEP_LOG=1 shows each request."
      .. " Exit codes: 0 done, 1 failed, 2 usage, 3 the batch failed.")
  parser:flag("--version", "Print the version."):action(function()
    print(catalog._VERSION)
    os.exit(OK)
  end)
  parser:flag("--json", "Print tables as JSON.")
  parser:option("--sandbox", "The sandbox, instead of AEP_SANDBOX.")
  parser:command_target "command"
  local ingest = parser:command("ingest", "Create a batch, upload files, complete it, and wait.")
  creation_options(ingest)
  ingest:argument("files", "The files to send."):args "*"
  ingest:option("--dir", "A directory, instead of files.")
  ingest:option("--pattern", "Which files of the directory, such as '*.json'.")
  ingest:option("--parallel", "How many requests are in flight."):convert(whole)
  ingest:option("--part-size", "The size of the parts of large files, in bytes."):convert(whole)
  ingest:option("--part-threshold", "Files of more bytes go in parts."):convert(whole)
  ingest:option("--timeout", "How many seconds to wait for the service to ingest."):convert(number)
  ingest:option("--journal", "A file that notes what has been done: the same command again goes on from there.")
  ingest:flag("--split", "Use several batches where one would be too large.")
  creation_options(parser:command("create", "Create a batch."))
  batch_command(parser, "status", "Show what the catalog knows of a batch.")
  local wait = batch_command(parser, "wait", "Wait until a batch is ingested.")
  wait:option("--timeout", "How many seconds to wait."):convert(number)
  batch_command(parser, "errors", "Show what the service found wrong with a batch, and the rows it refused.")
  batch_command(parser, "abort", "Give a batch up.")
  local emulator = parser:command("emulator", "Run a local emulator of the service until Ctrl-C.")
  emulator:option("--port", "The port."):convert(whole):default "8080"
  emulator:option("--data-dir", "Where batches and files are kept.")
  emulator:option("--dataset", "A data set that is known; may be repeated. Without it any is."):argname("<id[=name]>")
    :count("*"):convert(known_dataset)
  return parser
end

local function complain(err)
  io.stderr:write("catalog: ", tostring(err), "\n")
  return err.kind == "batch" and BATCH_FAILED or FAILED
end

local function plain(value)
  if type(value) == "string" then return core.failure.line(value) end
  return core.json.encode(value) or tostring(value)
end

-- Prints a value as JSON. Gives the exit code: a number too large for JSON can be read, and not written.
local function show_json(value)
  local text, err = core.json.encode(value)
  if not text then return complain(err) end
  print(text)
  return OK
end

-- Prints a table as lines of names and values, or as JSON. Gives the exit code.
local function show(arguments, fields)
  if arguments.json then return show_json(fields) end
  local names = {}
  for name in pairs(fields) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do print(("%-16s %s"):format(plain(name), plain(fields[name]))) end
  return OK
end

local function of_size(bytes)
  local units = { "B", "kB", "MB", "GB", "TB" }
  local unit = 1
  while bytes >= 1000 and unit < #units do bytes, unit = bytes / 1000, unit + 1 end
  return ("%.3g %s"):format(bytes, units[unit])
end

-- A report as a few lines a person reads.
local function summarise(report)
  for _, one in ipairs(report.batches) do
    print(("batch %s: %s"):format(plain(one.id), plain(one.status or "no status")))
    local metrics = type(one.metrics) == "table" and one.metrics or {}
    local read, ingested = metrics.inputRecordCount, metrics.outputRecordCount -- the service may leave them out
    if math.type(ingested) == "integer" then
      print(("  %d of %s records are in"):format(ingested, math.type(read) == "integer" and read or "?"))
    end
    for _, problem in ipairs(problems.list(one.errors)) do print("  " .. problem.text) end
  end
  print(("%d files, %s in %.1f seconds"):format(#report.files, of_size(report.bytes), report.seconds))
end

-- Gives the exit code.
local function show_report(arguments, report)
  if arguments.json then return show_json(report) end
  summarise(report)
  return OK
end

local function creation_of(arguments)
  return {
    dataset = arguments.dataset, format = arguments.format, multiline = arguments.multiline,
    external_id = arguments.external_id, error_diagnostics = arguments.error_diagnostics,
    partial_ingestion = arguments.partial_ingestion, sandbox = arguments.sandbox,
  }
end

local BAR <const> = 30

-- A bar that is drawn over itself on a terminal; elsewhere a line for each file that is done.
local function progress_printer()
  local terminal, done = core.system.isatty(2), 0
  return function(state)
    if terminal then
      local filled = state.total > 0 and math.floor(BAR * state.bytes / state.total) or BAR
      io.stderr:write(("\r[%s%s] %d/%d files, %s of %s, %s/s \27[K"):format(("#"):rep(filled), ("."):rep(BAR - filled),
        state.files_done, state.files_total, of_size(state.bytes), of_size(state.total), of_size(state.rate)))
      if state.files_done == state.files_total then io.stderr:write "\n" end
    elseif state.files_done > done then
      done = state.files_done
      io.stderr:write(("%d/%d files, %s of %s\n"):format(done, state.files_total, of_size(state.bytes),
        of_size(state.total)))
    end
  end
end

local commands = {}

function commands.ingest(client, arguments)
  local given = creation_of(arguments)
  for _, name in ipairs {
    "dir", "pattern", "parallel", "part_size", "part_threshold", "timeout", "split", "journal",
  } do
    given[name] = arguments[name]
  end
  if #arguments.files > 0 then given.files = arguments.files end
  given.on_progress = progress_printer()
  given.on_change = function(status) io.stderr:write("the batch is ", plain(status), "\n") end
  given.on_warning = function(text) io.stderr:write("catalog: ", text, "\n") end
  local report, err, partial = client:ingest(given)
  if not report then
    if partial then show_report(arguments, partial) end
    local code = complain(err)
    if partial and given.journal then
      local over = err.kind == "batch" and "the journal has nothing more to go on with; without it all is ingested anew"
      io.stderr:write(over or "the same command again goes on from here", "\n")
    end
    return code
  end
  return show_report(arguments, report)
end

function commands.create(client, arguments)
  local batch, err = client:create_batch(creation_of(arguments))
  if not batch then return complain(err) end
  return show(arguments, batch)
end

function commands.status(client, arguments)
  local batch, err = client:batch(arguments.id, { sandbox = arguments.sandbox }):get()
  if not batch then return complain(err) end
  return show(arguments, batch)
end

function commands.wait(client, arguments)
  local batch, err = client:batch(arguments.id, { sandbox = arguments.sandbox }):wait { timeout = arguments.timeout }
  if not batch then return complain(err) end
  return show(arguments, batch)
end

function commands.errors(client, arguments)
  local batch = client:batch(arguments.id, { sandbox = arguments.sandbox })
  local found, err = batch:problems()
  if not found then return complain(err) end
  for _, problem in ipairs(found) do print(arguments.json and core.json.encode(problem) or problem.text) end
  local fine, failed = pcall(function()
    for _, line in batch:failed_rows() do print(line) end
  end)
  if not fine then return complain(failed) end
  return OK
end

function commands.abort(client, arguments)
  local ok, err = client:batch(arguments.id, { sandbox = arguments.sandbox }):abort()
  if not ok then return complain(err) end
  return OK
end

local function print_datasets(known)
  for _, dataset in ipairs(known) do print(("  data set %s: %s"):format(dataset[1], dataset[2])) end
end

local function run_emulator(arguments)
  local emulator = require "catalog.emulator"
  local datasets = {}
  for _, known in ipairs(arguments.dataset) do datasets[known[1]] = known[2] end
  local server, err = emulator.start { port = arguments.port, data_dir = arguments.data_dir, datasets = datasets }
  if not server then return complain(err) end
  server:wait(function()
    print("The emulator listens on " .. server.url .. " until Ctrl-C. In another terminal:")
    print(("  export AEP_BASE_URL=%s AEP_IMS_URL=%s"):format(server.url, server.url))
    print("  export AEP_ORG=DEMO@AdobeOrg AEP_API_KEY=demo-key AEP_ACCESS_TOKEN=demo-token")
    print_datasets(arguments.dataset)
    io.stdout:flush()
  end)
  server:stop()
  return OK
end

--- Runs a command.
-- @tparam {string,...} words the arguments, without the program's name
-- @treturn integer the exit code
function cli.run(words)
  local argparse = load_argparse()
  if not argparse then return FAILED end
  local fine, arguments = make_parser(argparse):pparse(words)
  if not fine then
    io.stderr:write("catalog: ", tostring(arguments), "; catalog --help shows how\n")
    return USAGE
  end
  if arguments.command == "emulator" then return run_emulator(arguments) end
  local client, err = catalog.client {}
  if not client then return complain(err) end
  return commands[arguments.command](client, arguments)
end

return cli
