local catalog = require "catalog"
local command = require "support.command"
local core = require "catalog.core"

local run, with_files = command.run, command.with_files

describe("the program", function()
  it("ingests files and prints a report", function()
    with_files(function(server, directory)
      local output, status = run(server, ("--json ingest --dataset d --format json %s/a.json %s/b.json 2>/dev/null"):format(
        directory, directory))
      assert.equal(0, status, output)
      local report = assert(core.json.decode(output))
      assert.equal("success", report.status)
      assert.equal(8, report.metrics.outputRecordCount)
      assert.equal(2, #report.files)
      local plain, fine = run(server, ("ingest --dataset d --format json --dir %s --pattern '[ab].json'"):format(directory))
      assert.equal(1, fine)
      assert.matches("there is no file [ab].json", plain, 1, true)
      plain, fine = run(server, ("ingest --dataset d --format json --dir %s --pattern '?.json'"):format(directory))
      assert.equal(0, fine, plain)
      assert.matches("2/2 files, 64 B of 64 B\n", plain, 1, true)
      assert.matches("\nbatch %w+: success\n  8 of 8 records are in\n2 files, 64 B in [%d.]+ seconds\n$", plain)
    end)
  end)

  it("does without the service's counts", function()
    with_files(function(server, directory)
      server:set_faults { { action = { leave_out = "metrics" } } }
      local output, status = run(server, ("ingest --dataset d --format json %s/a.json"):format(directory))
      assert.equal(0, status, output)
      assert.matches("\nbatch %w+: success\n1 file, 40 B in [%d.]+ seconds\n$", output)
    end)
  end)

  it("creates, shows, aborts and waits for batches", function()
    with_files(function(server)
      local created = assert(core.json.decode((run(server, "--json create --dataset d --format json"))))
      assert.equal("loading", created.status)
      assert.matches("\nstatus +loading\n", (run(server, "status " .. created.id)))
      assert.equal(0, select(2, run(server, "abort " .. created.id)))
      local output, status = run(server, "wait " .. created.id)
      assert.equal(3, status)
      assert.matches("ended as aborted", output, 1, true)
      local unknown, code = run(server, "status nobody")
      assert.equal(1, code)
      assert.matches("^catalog: GET .*404", unknown)
    end)
  end)

  it("exits with 3 when the batch fails, and shows the bad rows", function()
    with_files(function(server, directory)
      local output, status = run(server, ("--json ingest --dataset d --format json --error-diagnostics %s/bad.json 2>/dev/null")
        :format(directory))
      assert.equal(3, status)
      local report = assert(core.json.decode(output))
      assert.equal("failed", report.status)
      local rows, code = run(server, "errors " .. report.id)
      assert.equal(0, code)
      assert.matches("INGEST-1212-400: ", rows, 1, true)
      assert.matches('"_corrupt_record":"not json"', rows, 1, true)
      local words = ("ingest --dataset d --format json --journal %s/run.journal %s/bad.json"):format(directory, directory)
      for _ = 1, 2 do -- again it is the same
        local said
        said, code = run(server, words)
        assert.equal(3, code)
        assert.matches(("the journal has nothing more to go on with; to ingest all anew, remove %s/run.journal\n"):format(
          directory), said, 1, true)
      end
    end)
  end)

  it("exits with 2 when it is called wrongly, and says how", function()
    with_files(function(server)
      for words, text in pairs {
        ["ingst"] = "Did you mean 'ingest'?", ["create"] = "--dataset", ["status"] = "missing argument",
        ["create --dataset d --format xml"] = "must be one of", [""] = "command",
        ["ingest --dataset d --parallel many x"] = "is no whole number",
      } do
        local output, status = run(server, words)
        assert.equal(2, status, words)
        assert.matches(text, output, 1, true)
        assert.is_nil(output:find("traceback", 1, true))
      end
    end)
  end)

  it("says what is missing in the environment, and shows no secret", function()
    with_files(function(server)
      local output, status = run(server, "create --dataset d", "AEP_ORG=")
      assert.equal(1, status)
      assert.matches("catalog: org is missing", output, 1, true)
      local wrong = run(server, "create --dataset d", "AEP_LOG=1")
      assert.is_nil(wrong:find("s3cret", 1, true))
    end)
  end)

  it("prints its version and help", function()
    with_files(function(server)
      assert.equal(catalog._VERSION .. "\n", (run(server, "--version")))
      assert.matches("Exit codes: 0 done, 1 failed, 2 usage, 3 the batch failed", (run(server, "--help")), 1, true)
    end)
  end)
end)
