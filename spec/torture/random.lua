-- Random faults at a share of all requests, of all kinds, for many requests.
local catalog = require "catalog"
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local rows = require "support.rows"
local service = require "support.service"
local shell = require "support.shell"

local KINDS <const> = {
  { drop = "before" }, { drop = "after" }, { drop_after = 100 }, { cut = 30 }, { cut = -1 }, { wrong_length = 5 },
  { html = true }, { garbage = true }, { close = true }, { status = 503, body = '{"title":"On purpose"}' },
  { status = 500, body = '{"title":"On purpose"}' }, { status = 429, body = '{"title":"On purpose"}' },
}

-- Each kind at such a rate that all together make the share: a request that is spared by one may meet the next.
local function faults(share)
  local list, each = {}, 1 - (1 - share) ^ (1 / #KINDS)
  for i, action in ipairs(KINDS) do list[i] = { rate = each, action = action } end
  return list
end

-- One ingest. Gives "whole", or "gave_up" when the error says so and nothing was ingested.
local function ingest(run)
  local report, err = run.client:ingest {
    dataset = service.DATASET, format = "json", dir = run.directory .. "/files", parallel = 8, part_size = 4096,
    part_threshold = 8192, timeout = 30,
  }
  if report then
    local differs = rows.difference(("%s/data/files/%s"):format(run.directory, report.id), run.texts)
    assert(not differs, differs)
    run.ids[report.id] = true
    return "whole"
  end
  assert(err.kind ~= "batch", tostring(err)) -- the service found no fault with what it was given
  assert(math.type(err.attempts) == "integer", tostring(err))
  return "gave_up"
end

-- What became of every batch: ingested and reported, or not completed. A batch whose completion nobody answered, or that
-- was not seen to the end, is whole all the same.
local function check_batches(run)
  run.server:set_faults()
  local client, start, ids = service.client(run.server.url), 0
  repeat
    ids = assert(client:send {
      method = "GET", path = "/data/foundation/catalog/batches?limit=100&start=" .. start, read = core.json.decode,
    })
    local count = 0
    for id, fields in pairs(ids) do
      count = count + 1
      assert(fields.status ~= "failed", "a batch was completed by halves")
      if fields.status == "success" and not run.ids[id] then
        local differs = rows.difference(("%s/data/files/%s"):format(run.directory, id), run.texts)
        assert(not differs, differs)
      end
    end
    start = start + count
  until count < 100
  return start
end

--- Ingests until so many requests were made.
-- @tparam number share of requests that meet a fault
-- @tparam integer requests
-- @tparam integer tries
-- @treturn table `requests`, `retries`, `whole`, `gave_up`, `batches`
return function(share, requests, tries)
  return shell.with_directory(function(directory)
    local server <close> = assert(emulator.start { data_dir = directory .. "/data", seed = 17 })
    local result = { requests = 0, retries = 0, whole = 0, gave_up = 0 }
    local client = assert(catalog.client(service.settings(server.url, {
      retry = { tries = tries, base = 0.001, cap = 0.01 }, timeout = 5,
      on_request = function() result.requests = result.requests + 1 end,
      on_retry = function() result.retries = result.retries + 1 end,
    })))
    local run = { directory = directory, server = server, client = client, ids = {} }
    run.texts = rows.make(directory .. "/files", 36, 4)
    while result.requests < requests do
      server:set_faults(faults(share))
      local what = ingest(run)
      result[what] = result[what] + 1
    end
    result.batches = check_batches(run)
    return result
  end)
end
