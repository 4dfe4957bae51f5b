-- How the emulator reads the files of a batch.
local core = require "catalog.core"
local emulated = require "support.emulated"

local request <const>, create <const>, file <const> = emulated.request, emulated.create, emulated.file
local put <const>, act <const>, look_up <const> = emulated.put, emulated.act, emulated.look_up
local with_server <const> = emulated.with_server

describe("the emulator's batches", function()
  it("count the rows of each format", function()
    with_server(function(server)
      local function metrics(format, content)
        local id = create(server, { datasetId = "d", inputFormat = format, partialIngestionPercent = 100 })
        put(server, id, "a", content)
        act(server, id, "COMPLETE")
        local batch = look_up(server, id)
        local found = batch.metrics
        return { batch.status, found.outputRecordCount, found.failedRecordCount, batch.errors and batch.errors[1].code }
      end
      assert.same({ "success", 2, 0 }, metrics({ format = "json" }, '{"a":1}\n\n{"a":2}'))
      assert.same({ "success", 1, 2, "INGEST-1211-400" }, metrics({ format = "json" }, '{"a":1}\n[1\n17\n'))
      assert.same({ "success", 1, 3, "INGEST-1211-400" }, metrics({ format = "json" }, '{}\n[]\n[{"a":1}]\n "x"\n'))
      assert.same({ "success", 2, 0 }, metrics({ format = "json", isMultiLineJson = true }, '[{"a":\n1},{}]'))
      assert.same({ "success", 2, 4, "INGEST-1211-400" }, metrics({ format = "json", isMultiLineJson = true },
        '[[], {"a":"[\\",{"}, [{},{}], {}, "{}", null]'))
      assert.same({ "success", 0, 1, "INGEST-1211-400" }, metrics({ format = "json", isMultiLineJson = true }, "{}"))
      assert.same({ "success", 0, 1, "INGEST-1211-400" }, metrics({ format = "json", isMultiLineJson = true }, '{"a":1}'))
      assert.same({ "success", 2, 1, "INGEST-1211-400" },
        metrics({ format = "csv" }, 'a,b\r\n1,"x ""y"", z\nnext"\r\n3,4\r\n5\r\n'))
      assert.same({ "success", 1, 0 }, metrics({ format = "csv", delimiter = ";", quote = "'" }, "a;b\n'1;2';3\n"))
      assert.same({ "failed", 0, 0, "118" }, metrics({ format = "csv" }, ",,\n1,2,3\n"))
      assert.same({ "success" }, metrics({ format = "parquet" }, "PAR1....PAR1"))
      assert.same({ "success", [4] = "INGEST-1211-400" }, metrics({ format = "parquet" }, "no parquet"))
      assert.same({ "failed", 0, 0, "106" }, metrics({ format = "json" }, ""))
    end)
  end)

  it("have become files of the rows that are in", function()
    with_server(function(server)
      local function become(format, content)
        local id = create(server, { datasetId = "d", inputFormat = format, partialIngestionPercent = 100 })
        put(server, id, "a", content)
        act(server, id, "COMPLETE")
        look_up(server, id)
        local path = ("/data/foundation/export/files/%s-1"):format(id)
        local _, listed = emulated.get(server, path)
        local _, text = emulated.get(server, path .. "?path=a")
        assert.equal(tostring(#text), core.json.decode(listed).data[1].length)
        return text
      end
      local json = { format = "json" }
      assert.equal('{"a": 1}\n{"b":2}\n', become(json, '{"a": 1}\n[1\n17\n\n{"b":2}'))
      assert.equal('\n{"a":1}', become(json, '\n{"a":1}')) -- all of them: the file as it came
      assert.equal("", become(json, "none\n"))
      assert.equal('{"a":1}\n', become({ format = "json", isMultiLineJson = true }, '[{"a":1},5]'))
      assert.equal("a,b\n1,2\n", become({ format = "csv" }, "a,b\r\n1,2\r\n3\r\n"))
    end)
  end)

  it("fail over the threshold, and for a large file that was not completed", function()
    with_server(function(server)
      local id = create(server, { datasetId = "d", inputFormat = { format = "json" }, partialIngestionPercent = 10 })
      put(server, id, "a", ("{}\n"):rep(8) .. "x\nx\n")
      act(server, id, "COMPLETE")
      assert.equal("failed", look_up(server, id).status)
      local open = create(server)
      put(server, open, "a", "{}\n")
      request(server, "POST", file(open, "b?action=INITIALIZE"), "")
      act(server, open, "COMPLETE")
      local batch = look_up(server, open)
      assert.equal("failed", batch.status)
      assert.equal("The file was not completed: b", batch.errors[1].description)
    end)
  end)
end)
