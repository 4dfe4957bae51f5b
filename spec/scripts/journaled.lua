-- Run as a program of its own, to be killed: ingests the files of a directory, with a journal.
-- journaled.lua URL DIRECTORY JOURNAL SANDBOX
local catalog = require "catalog"

local url, directory, journal, sandbox = table.unpack(arg)
local client = assert(catalog.client {
  base_url = url, org = "ORG@AdobeOrg", api_key = "key", token = "token", retry = { base = 0.01 }, sandbox = sandbox,
})
local report, err = client:ingest {
  dataset = "5c8c3c555033b814b69f947f", format = "json", dir = directory, journal = journal, parallel = 4,
  part_size = 4096, part_threshold = 8192,
}
print(report and report.id or err)
os.exit(report and 0 or 1, true)
