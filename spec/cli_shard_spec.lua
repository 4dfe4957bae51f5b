-- `catalog ingest --shard`: what it says, and shards as processes that are killed.
local batches = require "support.batches"
local command = require "support.command"
local core = require "catalog.core"
local program = require "support.program"
local shard_kills = require "support.shard_kills"
local shell = require "support.shell"

local run <const> = command.run

describe("catalog ingest --shard", function()
  it("has each file in one successful batch, whoever is killed, with nothing on disk", function()
    local killed, successes, said = shard_kills.run(4)
    assert.is_true(killed >= 4)
    assert.equal(4, successes)
    for index = 0, 3 do
      assert.matches("already done on 20[^\n]*; to ingest it anew, give another %-%-external%-id\n", said[index].text)
    end
  end)

  it("is done by the scripts of the guide, and again", function()
    local page = shell.read "docs/scale.md"
    local sbatch, xargs = page:match "```sh\n(#!/bin/sh\n.-)```", page:match "```sh\n(seq .-)```"
    command.with_files(function(server, directory)
      shell.run(("mkdir -p %s/in/below %s/bin"):format(directory, directory))
      for i = 1, 40 do shell.write(("%s/in/%s%d.json"):format(directory, i > 20 and "below/" or "", i), '{"n":1}\n') end
      shell.write(directory .. "/aep.env", command.environment(server):gsub(" ", "\n"))
      shell.write(directory .. "/bin/catalog", ("#!/bin/sh\nexec env %s \"$@\"\n"):format(command.PROGRAM))
      shell.run(("chmod +x %s/bin/catalog"):format(directory))
      local before = ("HOME=%s PATH=%s/bin:$PATH; export HOME PATH; . %s/aep.env; export AEP_BASE_URL AEP_ORG AEP_API_KEY "
        .. "AEP_ACCESS_TOKEN; "):format(directory, directory, directory)
      local output, status = shell.run(before .. xargs:gsub("/data", directory .. "/in"))
      assert.equal(0, status, output)
      local ids = select(2, output:gsub("[^\n]+", ""))
      assert.is_true(ids >= 8)
      shell.write(directory .. "/backfill.sh", (sbatch:gsub("/data", directory .. "/in")))
      output, status = shell.run(before .. ("for i in $(seq 0 15); do SLURM_ARRAY_TASK_ID=$i sh %s/backfill.sh || exit; done"):
        format(directory))
      assert.equal(0, status, output)
      assert.equal(ids, select(2, output:gsub("already done on ", "")))
      assert.equal(16 - ids, select(2, output:gsub("has no files", "")))
    end)
  end)

  it("keeps its batch when it is ended by a signal, and says so", function()
    command.with_files(function(server, directory, client)
      local running <close> = program.start(server.url, ("lua/catalog/cli/main.lua ingest -q --dataset d --adopt"
        .. " --external-id b %s/a.json"):format(directory))
      local until_then = core.system.monotonic() + 20
      while #batches.statuses(client) == 0 and core.system.monotonic() < until_then do shell.run "sleep 0.01" end
      running:signal "TERM"
      local text, status = running:finish()
      assert.equal(143, status, text)
      assert.matches("catalog: the batch %w+ is kept; the same command again goes on from here\n", text)
      assert.same({ "loading" }, batches.statuses(client))
    end, { latency_ms = 300 })
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
      server:set_faults { { match = { path = "/files/" }, action = { status = 302 } } } -- not tried again
      local output, status = run(server, words)
      assert.equal(1, status, output)
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
