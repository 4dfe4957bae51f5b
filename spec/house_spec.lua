-- Where specs are: a module has one of its name, and none is long.
local shell = require "support.shell"

local MOST_LINES <const> = 500

-- What has a spec of another name. Parts of the emulator have `emulator_` before theirs, and those of `catalog serve`
-- have `serve_`.
local ELSEWHERE <const> = {
  ["lua/catalog/base/limits.lua"] = "plan",
  ["lua/catalog/base/sorted.lua"] = "options",
  ["lua/catalog/batch/create.lua"] = "create_batch", ["lua/catalog/cli/main.lua"] = "program",
  ["lua/catalog/sink/retry.lua"] = "sink_retry", ["lua/catalog/sink/trouble.lua"] = "cli_spool",
  ["csrc/number.c"] = "json", ["csrc/utf8.c"] = "json", ["csrc/easy.c"] = "transfer", ["csrc/multi.c"] = "engine",
  ["csrc/poller.c"] = "engine", ["csrc/fork_guard.c"] = "host", ["csrc/signals.c"] = "cli_signals",
  ["csrc/pipe.c"] = "cli_pipes", ["csrc/service.c"] = "serve_server",
  ["csrc/fits.c"] = "check", ["csrc/fits_module.c"] = "check",
  ["csrc/pattern.c"] = "check", ["lua/catalog/serve/answers.lua"] = "serve_routes",
  ["lua/catalog/serve/httpd.lua"] = "httpd",
}
-- The specs of the program are by what people do with it.
for theme, files in pairs {
  program = "program", cli_pipes = "ingest", cli_usage = "options parse values help man",
  cli_batches = "create upload complete wait status errors abort action revert session output problem", cli_terminal = "progress",
  cli_faults = "retries", cli_completion = "completion", cli_input = "sources",
  emulator = "emulator", serve_server = "serve sinks listening",
  cli_query = "batches datasets files download preview resend table", check = "check",
  follow = "follow identity reader rotated", cli_sink = "sink intake watch sink_progress transform",
  cli_spool = "spool remedies",
} do
  for name in files:gmatch "%S+" do ELSEWHERE[("lua/catalog/cli/%s.lua"):format(name)] = theme end
end

-- What is specified as a whole: the sink, and what of the core is its spool.
for name in ("open call write write_lines changed store spool settings rejected quarantine metrics"):gmatch "%S+" do
  ELSEWHERE[("lua/catalog/sink/%s.lua"):format(name)] = "sink"
end
ELSEWHERE["lua/catalog/emulator/dataset_store.lua"] = "emulator_datasets"
ELSEWHERE["lua/catalog/emulator/schemas.lua"] = "check"
ELSEWHERE["lua/catalog/emulator/ingested.lua"] = "emulator_ingestion"
ELSEWHERE["lua/catalog/query/durable.lua"] = "sync"
for theme, files in pairs { batches = "filters pages", datasets = "dataset names tags wildcards",
  download = "exports fetch files", resend = "resend_sources",
  check = "schema schema_choices schema_leaves schema_parts schema_pattern schema_plain" } do
  for name in files:gmatch "%S+" do ELSEWHERE[("lua/catalog/query/%s.lua"):format(name)] = theme end
end
ELSEWHERE["lua/catalog/stream/platform.lua"], ELSEWHERE["lua/catalog/stream/rules.lua"] = "sink", "roller"
ELSEWHERE["lua/catalog/stream/settings.lua"] = "sink"
-- The decisions of a drain in a world of their own; the rest with a Kafka.
for theme, files in pairs {
  drain = "assignment batches filling intake intention member settling",
  drain_kafka = "consumer drain metrics open service settings uploads", drain_rejected = "rejected rows",
  drain_group = "group",
} do
  for name in files:gmatch "%S+" do ELSEWHERE[("lua/catalog/drain/%s.lua"):format(name)] = theme end
end
for name in ("drain group kafka"):gmatch "%S+" do ELSEWHERE[("lua/catalog/cli/%s.lua"):format(name)] = "cli_drain" end
for name in ("ring segment settings text"):gmatch "%S+" do ELSEWHERE[("csrc/%s.c"):format(name)] = "spool" end

local function lines_of(command)
  local list = {}
  for line in shell.run(command):gmatch "[^\n]+" do list[#list + 1] = line end
  return list
end

-- The names under which the spec of a file may be: its own, and those it begins with, as `json` is of `json_path`.
local function names_of(path)
  if ELSEWHERE[path] then return { ELSEWHERE[path] } end
  local name = path:match "([^/]+)%.%w+$"
  local folder = path:match "catalog/(emulator)/" or path:match "catalog/(serve)/"
  if folder then return { folder .. "_" .. name } end
  if path:find "^csrc/%w+/" then return { path:match "^csrc/(%w+)/" } end
  local names = { name }
  while name:find "_" do
    name = name:gsub("_[^_]*$", "")
    names[#names + 1] = name
  end
  return names
end

local function has_spec(path)
  for _, name in ipairs(names_of(path)) do
    local file = io.open(("spec/%s_spec.lua"):format(name))
    if file then return file:close() end
  end
end

describe("a spec", function()
  it("is there for each module and each file of the core, and has its name", function()
    local without = {}
    for _, path in ipairs(lines_of "find lua -name '*.lua'; find csrc -name '*.c'") do
      if not has_spec(path) then without[#without + 1] = path end
    end
    assert.same({}, without)
  end)

  it("is no longer than a reader can take in", function()
    local long = {}
    for _, path in ipairs(lines_of "find spec -name '*.lua'") do
      local count = select(2, shell.read(path):gsub("\n", ""))
      if count > MOST_LINES then long[#long + 1] = ("%s: %d lines"):format(path, count) end
    end
    assert.same({}, long)
  end)
end)
