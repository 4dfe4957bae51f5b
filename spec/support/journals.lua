-- Ingests with a journal that stop, and go on.
local assert = require "luassert"
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local hurry = require "support.hurry"
local service = require "support.service"
local shell = require "support.shell"

local journals = {}

local DATASET <const> = service.DATASET
local PARTS <const> = { part_size = 1000, part_threshold = 2000 }

--- A directory with files of rows, an emulator that keeps a log, and the options of an ingest with a journal. Pauses pass
-- faster.
function journals.with_run(body, options)
  shell.with_directory(function(directory)
    local given = {
      dataset = DATASET, format = "json", files = {}, journal = directory .. "/run.journal", parallel = 2,
      part_size = PARTS.part_size, part_threshold = PARTS.part_threshold,
    }
    for i, rows in ipairs { 10, 1000, 20, 700 } do -- 80, 8000, 160, 5600 bytes
      given.files[i] = ("%s/f%d.json"):format(directory, i)
      shell.write(given.files[i], ('{"n":1}\n'):rep(rows))
    end
    local settings = { data_dir = directory .. "/data", log = directory .. "/log" }
    for name, value in pairs(options or {}) do settings[name] = value end
    local server <close> = assert(emulator.start(settings))
    hurry.during(function()
      body { directory = directory, given = given, server = server, client = service.client(server.url) }
    end)
  end)
end

--- How often each request was done: "METHOD name range" -> count.
function journals.requests(run)
  local seen = {}
  for line in io.lines(run.directory .. "/log") do
    local method, target, range, status = line:match "^(%S+) (%S+) (%S.*) (%d+)$"
    local key = ("%s %s %s"):format(method, target:match "files/(.*)$" or target, range):gsub(" %-$", "")
    if status:find "^2" then seen[key] = (seen[key] or 0) + 1 end
  end
  return seen
end

function journals.batches(client)
  return assert(client:send {
    method = "GET", path = "/data/foundation/catalog/batches?limit=100", read = core.json.decode,
  })
end

function journals.count(map)
  local number = 0
  for _ in pairs(map) do number = number + 1 end
  return number
end

--- Everything about files, and every action, is refused for the moment, from the nth request about a file on.
function journals.outage(from)
  local list = {}
  for i = 1, from - 1 do list[i] = { match = { path = "/files/" }, times = 1, action = {} } end
  local refusal = { status = 503, body = '{"title":"Unavailable"}' }
  list[from] = { match = { path = "/files/" }, action = refusal }
  list[from + 1] = { match = { path = "action=" }, action = refusal }
  return list
end

--- The batches that were not aborted.
function journals.alive(client)
  local list = {}
  for id, fields in pairs(journals.batches(client)) do
    if fields.status ~= "aborted" then list[#list + 1] = id end
  end
  return list
end

--- An ingest that stops in the middle: gives the text of its journal.
function journals.stop_in_the_middle(run, from)
  run.server:set_faults(journals.outage(from))
  assert.is_nil(run.client:ingest(run.given))
  run.server:set_faults()
  return shell.read(run.given.journal)
end

--- The lines of a journal as they were before there were checksums.
function journals.without_checksums(text)
  return (text:gsub("%f[^\n\0]%x%x%x%x%x%x%x%x {", "{"))
end

function journals.assert_whole(run, report)
  assert.equal("success", report.status)
  for _, path in ipairs(run.given.files) do
    local name = path:match "[^/]*$"
    assert.equal(shell.read(path), shell.read(("%s/data/files/%s/%s"):format(run.directory, report.id, name)), name)
  end
end

function journals.assert_error(kind, text, report, err)
  assert.is_nil(report)
  assert.equal(kind, err.kind, tostring(err))
  assert.matches(text, err.message, 1, true)
  return err
end

return journals
