-- `catalog ingest --shard`: what it says, and shards as processes that are killed.
local command = require "support.command"
local shard_kills = require "support.shard_kills"
local shell = require "support.shell"

local run <const> = command.run

describe("catalog ingest --shard", function()
  it("has each file in one successful batch, whoever is killed, with nothing on disk", function()
    local killed, batches, said = shard_kills.run(4)
    assert.is_true(killed >= 4)
    assert.equal(4, batches)
    for index = 0, 3 do
      assert.matches("already done on 20[^\n]*; to ingest it anew, give another %-%-external%-id\n", said[index].text)
    end
  end)

  it("says that a shard has no files, which is a success", function()
    command.with_files(function(server, directory)
      shell.run(("mkdir %s/in && cp %s/a.json %s/in"):format(directory, directory, directory))
      local empty = 0
      for index = 0, 1 do
        local output, status = run(server, ("ingest --dataset d --dir %s/in --external-id b --shard %d/2"):format(directory,
          index))
        assert.equal(0, status, output)
        if output:find(("the shard %d/2 has no files; nothing was sent"):format(index), 1, true) then empty = empty + 1 end
      end
      assert.equal(1, empty)
    end)
  end)

  it("says what the same command would do, and what is to be done where the files are others", function()
    command.with_files(function(server, directory)
      local words = ("ingest --dataset d --adopt --external-id b %s/a.json %s/bad.json"):format(directory, directory)
      server:set_faults { { match = { path = "/files/" }, action = { status = 503 } } }
      local output, status = run(server, words)
      assert.equal(75, status, output)
      assert.matches("the same command again goes on from here\n", output)
      server:set_faults {}
      output, status = run(server, words)
      assert.equal(3, status, output)
      assert.matches("the same command again sends the files anew, into a batch that takes the place of this one\n", output)
      shell.write(directory .. "/bad.json", '{"n":3}\n')
      assert.equal(0, select(2, run(server, words)))
      shell.write(directory .. "/bad.json", '{"n":33}\n')
      output, status = run(server, words)
      assert.equal(1, status, output)
      assert.matches("is of other files [^\n]*; give another external id to ingest these, too ", output)
    end)
  end)
end)
