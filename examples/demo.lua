-- What `make demo` runs: an ingest against the local emulator, from generated records to the rows that failed.
local catalog = require "catalog"
local core = require "catalog.core"
local emulator = require "catalog.emulator"

local RECORDS <const>, BAD <const> = 5000, 7

-- A file of profile records, a line each; some lines are cut short.
local function write_profiles(path, first, last)
  local file <close> = assert(io.open(path, "wb"))
  for i = first, last do
    local line = assert(core.json.encode {
      _id = ("profile-%05d"):format(i), loyalty = { points = i * 17, tier = i % 3 == 0 and "gold" or "silver" },
      personalEmail = { address = ("customer%05d@example.com"):format(i) }, consents = { email = i % 2 == 0 },
    })
    assert(file:write(i % (RECORDS // BAD) == 0 and line:sub(1, 40) or line, "\n"))
  end
end

local function bar(state)
  local filled = math.floor(30 * state.bytes / state.total)
  local drawn = ("[%s%s] %d of %d files, %d of %d bytes"):format(("#"):rep(filled), ("."):rep(30 - filled),
    state.files_done, state.files_total, state.bytes, state.total)
  local again = core.system.isatty(1) and "\r" or nil
  if again or state.files_done == state.files_total then io.write(again or "", drawn, again and "\27[K" or "\n") end
  if again and state.files_done == state.files_total then print() end
end

local directory = assert(core.fs.temporary())
local server = assert(emulator.start { tokens = { "demo-token" }, latency_ms = 20, stage_ms = 200 })
print("the emulator listens on " .. server.url)

local settings = { base_url = server.url, org = "DEMO@AdobeOrg", api_key = "demo-key", token = "demo-token" }
local client = assert(catalog.client(settings))

-- step by step: create, and look up
local batch = assert(client:create_batch { dataset = "5c8c3c555033b814b69f947f" })
print("created " .. tostring(batch) .. ":")
for name, value in pairs(batch) do
  print(("  %-14s %s"):format(name, type(value) == "table" and core.json.encode(value) or value))
end
print("looked up: " .. tostring(assert(batch:get())))
assert(batch:abort())

-- all at once; the second file is large enough, by the measure given here, to go in parts
write_profiles(directory .. "/new.json", 1, 500)
write_profiles(directory .. "/all.json", 501, RECORDS)
local report = assert(client:ingest {
  dataset = "5c8c3c555033b814b69f947f", format = "json", error_diagnostics = true, partial_ingestion = 5,
  files = { directory .. "/new.json", directory .. "/all.json" }, part_threshold = 100000, part_size = 65536,
  on_progress = bar, on_change = function(status) print("the batch is " .. status) end,
})
local metrics = type(report.metrics) == "table" and report.metrics or {} -- the platform may leave them out
print(("%s of %s records are in, in %.1f seconds"):format(tonumber(metrics.outputRecordCount) or "?",
  tonumber(metrics.inputRecordCount) or "?", report.seconds))
for _, file in ipairs(report.files) do print(("  %-10s %7d bytes"):format(file.name, file.bytes)) end
for _, problem in ipairs(assert(client:batch(report.id):problems())) do print("  " .. problem.text) end
print "the rows that are not:"
for row, line in client:batch(report.id):failed_rows() do
  local first = row._errors and row._errors[1] or {}
  print(("  %s: %s (%s)"):format(row._filename or "?", row._corrupt_record or line, first.code or "no code"))
end

settings.token = "a-wrong-token"
local refused, err = assert(catalog.client(settings)):create_batch { dataset = "5c8c3c555033b814b69f947f" }
print("with a wrong token: " .. tostring(refused) .. ", " .. tostring(err))

server:stop()
core.fs.remove(directory)
