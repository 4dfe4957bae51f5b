-- For the C host: fetches a token, creates a batch that is to happen once, and ingests a file with a journal, at the
-- server whose URL it is given. What an ingest that failed has left in the journal, the next goes on with.
return function(url, path)
  local catalog = require "catalog"
  pin(package.searchpath("cjson", package.cpath))
  local scheduler = require "catalog.scheduler.scheduler"
  local sleep = scheduler.sleep
  scheduler.sleep = function(seconds, ...) return sleep(math.min(seconds, 0.001), ...) end -- this catalog does not lag
  local journal = path .. ".journal"

  return function()
    do
      local client <close> = assert(catalog.client {
        base_url = url, ims_url = url, org = "ORG@AdobeOrg", api_key = "key", client_secret = "secret", scopes = "a",
        timeout = 20, retry = { tries = 2, base = 0.001 },
      })
      assert(client:create_batch { dataset = "d", once = true })
      local report = assert(client:ingest {
        dataset = "d", format = "json", files = { { name = "f", file = path } }, journal = journal,
        part_size = 12, part_threshold = 12, parallel = 1,
      })
      assert(report.status == "success" and report.metrics.outputRecordCount == 3, report.status)
    end
    os.remove(journal)
    collectgarbage()
    return true
  end
end
