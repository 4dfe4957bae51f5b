-- `catalog spool`: what it shows of a spool, and what it lets a sink do.
local core = require "catalog.core"
local shell = require "support.shell"
local sinking = require "support.sinking"

local numbers = sinking.numbers

-- A record that is JSON, and that the service does not read.
local UNREADABLE <const> = '{"n":"\\ud800"}'

-- Calls `body(run)` with a spool in which a batch has failed.
local function with_failed(body)
  sinking.run(function(run)
    shell.write(run.directory .. "/bad", '{"n":1}\n' .. UNREADABLE .. "\n")
    local output, code = run:pipe("cat " .. run.directory .. "/bad", "--wait")
    assert.equal(3, code, output)
    assert.matches("catalog: 2 records in batches that failed %(%-%-allow%-failed 0%)", output)
    body(run)
  end)
end

-- Mends the record of the batch that failed.
local function mend(run) shell.run(("sed -i 's/\"..d800\"/2/' %s/failed/1/*.jsonl"):format(run.spool)) end

describe("catalog spool status", function()
  it("shows what waits, and that nobody sends it", function()
    sinking.run(function(run)
      run:pipe("printf '{\"n\":1}\\nbad\\n'", "", sinking.DOWN)
      local output, code = run:look "status SPOOL"
      assert.equal(0, code, output)
      assert.matches("\nsink +does not run\n", output)
      assert.matches("\nwaiting +1 record, 8 B in 1 file; the oldest since [%d.]+ s\n", output)
      assert.matches("-> no sink sends it: start catalog sink with this spool\n", output)
      assert.matches("\nrejected +1 record, %d+ B\n +-> .*/spool/rejected/records.jsonl has each with its reason\n", output)
    end)
  end)

  it("shows the sink that runs, and its batches, without its lock and without a token", function()
    sinking.run(function(run)
      shell.run("mkfifo " .. run.directory .. "/in")
      local started <close> = run:start("-q --roll-records 1", ("exec <>%s/in;"):format(run.directory), sinking.DOWN)
      shell.run(("printf '%s' >%s/in"):format(numbers(1, 2):gsub("\n", "\\n"), run.directory))
      local shown = run:wait_for(function()
        local output = run:look "status SPOOL"
        return output:find "batch 1" and output
      end)
      assert.is_truthy(shown:find(("runs (process %s)"):format(started.pid), 1, true), shown)
      assert.matches("\nbatch 1 +is to be created: 1 record, 8 B\n", shown)
      shown = run:wait_for(function()
        local output = run:look "status SPOOL"
        return output:find "trouble" and output
      end)
      assert.matches("\ntrouble +[%d.]+ s ago: .*127.0.0.1:1", shown)
      started:signal "TERM"
      started:finish()
      run:send()
      assert.is_nil((run:look "status SPOOL"):find "trouble")
    end)
  end)

  it("says what keeps the sink from sending, and what to do about it", function()
    sinking.run(function(run)
      shell.run(("mkfifo %s/in"):format(run.directory))
      local function shown(...)
        local texts = { ... }
        return run:wait_for(function()
          local output = run:look "status SPOOL"
          for _, text in ipairs(texts) do assert(output:find(text, 1, true)) end
          return output
        end)
      end
      local refused = { status = 400, body = '{"title":"Dataset d was not found"}' }
      run.server:set_faults { { action = refused } }
      local started <close> = run:start("--roll-seconds 1", ("exec <>%s/in;"):format(run.directory))
      shell.run(("echo '{\"n\":1}' >%s/in"):format(run.directory))
      shown("Dataset d was not found", "-> is d the right dataset, and has this user access to it in this sandbox?",
        ("catalog spool export %s >records.jsonl takes it elsewhere\n"):format(run.spool),
        "-> the sink that runs tries again, until it goes well")
      local line
      repeat line = assert(started:line()) until line:find "not found"
      assert.matches("; catalog spool status /.*/spool shows what to do$", line)
      run.server:set_faults { { action = { status = 401, body = '{"error_code":"401013"}' } } }
      shown("-> give it a token that is good: where AEP_ACCESS_TOKEN_FILE names a file")
      run.server:set_faults { { action = { status = 503 } } }
      local output = shown "answered 503"
      assert.is_nil(output:find("give it a token", 1, true))
      started:signal "TERM"
      started:finish()
      shown("-> the next start of the sink tries again", "\ndataset       d\n")
    end)
  end)

  it("says of a batch that failed why, and what can be done", function()
    with_failed(function(run)
      local output = run:look "status SPOOL"
      assert.matches("\nwaiting +nothing\n", output)
      assert.matches("\nfailed/1 +2 records, 23 B, id %w+, %d", output)
      assert.matches("INGEST%-1401%-400: The row has corrupted data", output)
      assert.matches("-> mend the files in .*/spool/failed/1, then: catalog spool retry .*/spool 1\n", output)
      shell.run(("rm -r %s/failed/1"):format(run.spool))
      assert.is_nil((run:look "status SPOOL"):find "failed")
    end)
  end)

  it("is a table of JSON, where that is asked for", function()
    with_failed(function(run)
      local shown = assert(core.json.decode((run:look "--json status SPOOL")))
      assert.same({ 2, 1, 0, "failed" }, { shown.failed[1].records, shown.failed[1].number, shown.waiting.records,
        shown.failed[1].kind })
      assert.same({}, shown.unknown)
    end)
  end)

  it("says what is no spool", function()
    sinking.run(function(run)
      for path, text in pairs { [run.directory] = "is no spool: there is no journal in it", ["/nowhere"] = "cannot be read" } do
        local output, code = run:look("status " .. path)
        assert.equal(1, code)
        assert.is_truthy(output:find(text, 1, true), output)
      end
    end)
  end)
end)

describe("catalog spool retry", function()
  it("sends a batch that was mended at the next start", function()
    with_failed(function(run)
      mend(run)
      local output, code = run:look "retry SPOOL 1"
      assert.equal(0, code, output)
      assert.matches("batch 1 is sent again at the next start of the sink", output)
      assert.matches("-> is sent again at the next start of the sink\n", (run:look "status SPOOL"))
      shell.run(("rm -r %s/data/files/*"):format(run.directory)) -- of the batch that failed
      run:send()
      assert.equal(numbers(1, 2), run:sent())
      assert.equal("", (shell.run("ls " .. run.spool .. "/failed")))
      assert.is_nil((run:look "status SPOOL"):find "failed")
    end)
  end)

  it("lets a sink that runs do it", function()
    with_failed(function(run)
      mend(run)
      shell.run("mkfifo " .. run.directory .. "/in")
      local started <close> = run:start("-q", ("exec <>%s/in;"):format(run.directory))
      shell.run(("rm -r %s/data/files/*"):format(run.directory))
      assert.matches("batch 1 is sent again within 10 seconds, by the sink that runs", (run:look "retry SPOOL 1"))
      run:wait_for(function() return run:sent() == numbers(1, 2) end)
      started:signal "TERM"
      assert.equal(0, select(2, started:finish()))
    end)
  end)

  it("says which batches there are not", function()
    with_failed(function(run)
      local output, code = run:look "retry SPOOL 7"
      assert.equal(1, code)
      assert.matches("has no batch 7 that failed, or that is unknown", output)
      assert.equal(2, select(2, run:look "retry SPOOL"))
      assert.equal(2, select(2, run:look "status SPOOL 1"))
    end)
  end)
end)

describe("catalog spool export", function()
  it("prints the records of a batch, or of all that waits", function()
    with_failed(function(run)
      run:pipe(("printf '%s'"):format(numbers(3, 4):gsub("\n", "\\n")), "", sinking.DOWN)
      assert.equal(numbers(3, 4), (run:look "export SPOOL"))
      assert.equal(numbers(3, 4), (run:look "export SPOOL 2"))
      assert.equal(shell.read(run.directory .. "/bad"), (run:look "export SPOOL 1"))
      assert.equal(1, select(2, run:look "export SPOOL 3"))
    end)
  end)
end)
