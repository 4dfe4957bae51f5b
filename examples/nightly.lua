-- A nightly job: ingests all files of a directory, and tries again what may succeed later. A batch that failed for good
-- is left to be looked at; nothing is sent twice blindly.
-- Usage: lua5.4 nightly.lua DIRECTORY DATASET; configured as in the README
local await = require "catalog.await"
local catalog = require "catalog"

local TRIES <const>, PAUSE <const> = 5, 0.5

local directory, dataset = arg[1], arg[2]
if not dataset then
  io.stderr:write "usage: lua5.4 nightly.lua DIRECTORY DATASET\n"
  os.exit(2)
end

local function log(...)
  io.stderr:write(os.date "!%Y-%m-%dT%H:%M:%SZ ", ("%s"):rep(select("#", ...)):format(...), "\n")
end

local function run(client)
  for try = 1, TRIES do
    local report, err = client:ingest {
      dataset = dataset, format = "json", dir = directory, pattern = "*.json",
      on_change = function(status) log("the batch is ", status) end,
    }
    if report then return report end
    log("try ", try, ": ", tostring(err))
    -- what was sent with an unknown outcome may have happened: a person looks first
    if not err.retryable or err.ambiguous then return nil, err end
    await.pause(PAUSE * 2 ^ try)
  end
  return nil, "given up"
end

local client, unfit = catalog.client {}
local report, err
if client then report, err = run(client) else err = unfit end
if not report then
  log("failed: ", tostring(err))
  os.exit(1)
end
log(#report.files, " files, ", report.bytes, " bytes, batch ", report.id)
