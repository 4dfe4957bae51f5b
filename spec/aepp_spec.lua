-- The emulator as the service of Adobe's Python package aepp, which `make aepp` fetches.
local core = require "catalog.core"
local service = require "support.service"
local shell = require "support.shell"

local PYTHON <const> = "build/aepp/bin/python"

-- A failed batch as the service shows it whose rows a mapping set could not map.
local MAPPER <const> = [[{"b1":{"created":1552694873602,"status":"failed","sandboxId":"s1",
  "relatedObjects":[{"type":"dataSet","id":"d1"}],"tags":{"flowId":["f1"]},"metrics":{"invalidRecordsMapper":7},
  "errors":[{"code":"DPMAP-MAPPER-3107-13","description":"Cannot map to destination path person.age. ]]
  .. [[The expected data type was: INTEGER, the actual data type was: STRING. ]]
  .. [[sourceField: age destinationField: person.age"}]}}]]

-- Has aepp do one of the works of the script.
local function aepp(server, words)
  local text, status = shell.run(("env -u http_proxy -u https_proxy -u all_proxy %s spec/scripts/calls_aepp.py %s %s")
    :format(PYTHON, server.url, words)) -- a proxy that is none would be used by it
  assert.equal(0, status, text)
  return assert(core.json.decode(text:match "([^\n]*)\n$"))
end

local function ingest(dataset, text)
  local batch = assert(dataset:create_batch { format = "json" })
  assert(batch:upload("a.json", { data = text }))
  assert(batch:complete())
  batch:wait()
  return batch.id
end

describe("the emulator", function()
  it("does for aepp what the service does", function()
    if not io.open "build/aepp/fetched" then return pending "needs aepp: make aepp" end
    service.run({}, function(server, client)
      local made = aepp(server, "create 'Made by aepp'")
      assert.same({ "@/dataSets/" .. made.id }, made.enabled)
      local dataset = assert(client:find_dataset { name = "Made by aepp" })
      assert.same({ made.id, true, true }, { dataset.id, dataset:profile_enabled(), dataset:upsert_enabled() })
      local good, bad = ingest(dataset, '{"n":1}\n'), ingest(dataset, "no json\n")
      local seen = aepp(server, ("look %s %s"):format(dataset.id, good))
      local last = seen.last[dataset.id]
      assert.same({ bad, good, bad }, { last.lastBatchId, last.lastSuccessfulBatchId, last.lastFailedBatchId })
      assert.same({ "Made by aepp" }, seen.listed)
      assert.same({ true, "made_by_aepp" }, { seen.infos[1].profileEnabled, seen.infos[1].qs_table })
      assert.same({ dataset.id, { "INGEST-1211-400" } }, { seen.failed[bad].dataSetId, seen.failed[bad].errorCode })
      assert.same({ 1, { "a.json" }, '{"n":1}\n' }, { #seen.files, seen.names, seen.content })
      assert.same({ { n = 1 } }, seen.preview)
      assert.same({}, seen.mapper)
      server:set_faults { {
        match = { method = "GET", path = "/catalog/batches%?" },
        action = { status = 200, headers = { ["content-type"] = "application/json" }, body = MAPPER },
      } }
      local found = aepp(server, "mapper")
      assert.same({ "b1", "d1", 7, "DPMAP-MAPPER-3107-13", "person.age", "INTEGER", "STRING" }, { found[1].batchId,
        found[1].datasetId, found[1].invalidRecordsMapper, found[1].errorCode, found[1].destinationPath,
        found[1].expectedType, found[1].actualType })
    end)
  end)
end)
