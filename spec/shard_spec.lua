-- The files of a directory, spread over runs that know nothing of one another.
local service = require "support.service"
local shard = require "catalog.ingest.shard"
local shell = require "support.shell"

local DATASET <const> = service.DATASET

describe("a shard", function()
  it("is read from what people write", function()
    assert.same({ index = 3, count = 16 }, shard.read "3/16")
    assert.same({ index = 0, count = 1 }, shard.read { 0, 1 })
    for _, bad in ipairs { "16/16", "-1/2", "1", "1/0", "1/", "a/b", "1.5/2", "1/100001", { 1 }, { 1.5, 2 }, {}, 7, true } do
      local one, err = shard.read(bad)
      assert.is_nil(one)
      assert.equal("data", err.kind)
      assert.matches("it is such as 3/16", err.message, 1, true)
    end
  end)

  it("has each name in one place, the same on every machine, and all have about as many", function()
    for count = 1, 17 do
      local counts = {}
      for i = 0, count - 1 do counts[i] = 0 end
      for number = 1, 2000 do
        local found
        for i = 0, count - 1 do
          if shard.has({ index = i, count = count }, ("day/%06d.json"):format(number)) then
            assert.is_nil(found)
            found = i
          end
        end
        counts[found] = counts[found] + 1
      end
      for i = 0, count - 1 do
        assert.is_true(math.abs(counts[i] - 2000 / count) < 0.5 * 2000 / count, ("%d of %d"):format(counts[i], count))
      end
    end
    assert.is_true(shard.has({ index = 0xE3069283 % 16, count = 16 }, "123456789")) -- the check value of CRC-32C
  end)

  it("sends its own files, by their names below the directory, in a batch with an id of its own", function()
    shell.with_directory(function(directory)
      shell.run(("mkdir -p %s/in/below"):format(directory))
      for i = 1, 20 do
        local folder = i % 2 == 0 and "in/below" or "in"
        shell.write(("%s/%s/%d.json"):format(directory, folder, i), ('{"n":%d}\n'):format(i))
      end
      service.run({}, function(_, client)
        local seen, count = {}, 0
        for i = 0, 2 do
          local report = assert(client:ingest {
            dataset = DATASET, dir = directory .. "/in", recursive = true, shard = { i, 3 }, external_id = "b",
            tags = { source = { "crm" } },
          })
          local now = assert(client:batch(report.id):get())
          assert.equal(("b-%d-of-3"):format(i), now.externalId)
          assert.same({ "crm" }, now.tags.source)
          for _, file in ipairs(report.files) do
            assert.is_nil(seen[file.name])
            assert.is_true(shard.has({ index = i, count = 3 }, file.name))
            seen[file.name], count = true, count + 1
          end
        end
        assert.equal(20, count)
        assert.is_true(seen["below/2.json"])
      end)
    end)
  end)

  it("without files is a success, but not one of a directory that has none", function()
    shell.with_directory(function(directory)
      service.run({}, function(_, client)
        local given = { dataset = DATASET, dir = directory, external_id = "b" }
        for i = 0, 1 do
          given.shard = { i, 2 }
          local report, err = client:ingest(given)
          assert.is_nil(report)
          assert.matches("there is no file in", err.message)
        end
        shell.write(directory .. "/a.json", '{"n":1}\n')
        local sent, batches = 0, 0
        for i = 0, 1 do
          given.shard = ("%d/2"):format(i)
          local report = assert(client:ingest(given))
          assert.equal("success", report.status)
          sent, batches = sent + #report.files, batches + #report.batches
        end
        assert.same({ 1, 1 }, { sent, batches })
      end)
    end)
  end)

  it("needs a directory and an id, and goes with nothing that goes on in another way", function()
    service.run({}, function(_, client)
      local base = { dataset = DATASET, dir = "/dev", shard = "0/2", external_id = "b" }
      for text, changes in pairs {
        ["need an external_id"] = { external_id = false }, ["give dir"] = { dir = false, files = { "/dev/null" } },
        ["a journal is for one machine"] = { journal = "/dev/null/j" }, ["give more shards"] = { split = true },
        ["tags go into tags"] = { extra = { tags = {} } }, ["it is such as"] = { shard = "2/2" },
      } do
        local given = {}
        for name, value in pairs(base) do given[name] = value end
        for name, value in pairs(changes) do given[name] = value or nil end
        local report, err = client:ingest(given)
        assert.is_nil(report)
        assert.equal("data", err.kind)
        assert.matches(text, err.message, 1, true)
      end
    end)
  end)
end)
