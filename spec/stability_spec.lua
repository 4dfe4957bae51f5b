-- What docs/stability.md says of what lies on disks. These are texts that versions have written: none is ever changed,
-- and each version that writes something else adds its own.
local core = require "catalog.core"
local intention = require "catalog.drain.intention"
local journal = require "catalog.ingest.journal"
local service = require "support.service"
local shell = require "support.shell"

-- An ingest of 1.0.0 that was ended in the middle of its second file.
local JOURNAL <const> = [[
acbb14f2 {"event":"run","seed":"aa65327765ffcf932e36b877654ed2f1","sandbox":"prod","base_url":"http://127.0.0.1:46385"]]
  .. [[,"org":"ORG@AdobeOrg"]]
  .. [[,"options":"{\"inputFormat\":{\"format\":\"json\"},\"datasetId\":\"5c8c3c555033b814b69f947f\"}"]]
  .. [[,"dataset":"5c8c3c555033b814b69f947f"}
ea81b635 {"event":"file","name":"a.json","bytes":9,"fingerprint":"1700000000.000000000 f40ac85e77834979","group":1}
9c0f7d98 {"event":"file","name":"b.json","bytes":3600,"fingerprint":"1700000000.000000000 dec780960b6f5285","group":1}
dc31e5c6 {"event":"ready"}
309f4570 {"event":"create","external_id":"catalog-aa65327765ffcf932e36b877654ed2f1-393b792f-1","group":1}
1daadbc4 {"event":"batch","id":"01M8C8E34A7VF0KF8P0MX8MAVD","group":1}
c1006b9e {"event":"done","name":"a.json"}
27135f52 {"event":"begin","name":"b.json","part_size":1000}
]]

-- A spool of 1.0.0 with three records that were never sent.
local SPOOL <const> = {
  lock = "13753\n",
  ["journal.a"] = [[
fca96115 {"journal":{"generation":1,"version":1},"dataset":"5c8c3c555033b814b69f947f",]]
    .. [["spool":{"id":"71d4d90a7cd3454e8401f934c1dfb297"},"next_segment":1}
cf457e76 {"segment/1":{"bytes":27,"records":3,"crc":"70087959","since":1795707791616,"sealed":false,"from":{}},]]
    .. [["due":0,"next_segment":2}
]],
  ["seg/0000000001.jsonl"] = '{"id":1}\n{"id":2}\n{"id":3}\n',
}

describe("what 1.0.0 has written", function()
  it("as a journal is read", function()
    local state, count, bytes = journal.read(JOURNAL)
    assert.same({ 8, #JOURNAL }, { count, bytes })
    assert.is_true(state.ready)
    assert.equal("5c8c3c555033b814b69f947f", state.run.dataset)
    assert.equal("aa65327765ffcf932e36b877654ed2f1", state.run.seed)
    assert.equal("01M8C8E34A7VF0KF8P0MX8MAVD", state.groups[1].id)
    assert.equal("catalog-aa65327765ffcf932e36b877654ed2f1-393b792f-1", state.groups[1].external_id)
    assert.is_true(state.files["a.json"].done)
    assert.same({ 3600, 1000 }, { state.files["b.json"].bytes, state.files["b.json"].part_size })
  end)

  it("as a spool is sent", function()
    shell.with_directory(function(directory)
      assert(core.fs.mkdir(directory .. "/spool"))
      assert(core.fs.mkdir(directory .. "/spool/seg"))
      for name, text in pairs(SPOOL) do shell.write(("%s/spool/%s"):format(directory, name), text) end
      service.run({ data_dir = directory .. "/data" }, function(_, client)
        local sink <close> = assert(client:sink { dataset = service.DATASET, spool = directory .. "/spool" })
        assert(sink:flush())
      end)
      assert.equal(SPOOL["seg/0000000001.jsonl"], (shell.run(("cat %s/data/files/*/*"):format(directory))))
    end)
  end)

  it("as what a drain has noted is read", function()
    local noted = '{"v":1,"batch":"01M8C8E34A7VF0KF8P0MX8MAVD","next":77,"at":1795707791616}'
    assert.same({ batch = "01M8C8E34A7VF0KF8P0MX8MAVD", next = 77 }, intention.decode(noted))
  end)
end)
