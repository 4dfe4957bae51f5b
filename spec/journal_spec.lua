-- The journal of an ingest: what it holds, and what of it can be relied on after a crash.
local core = require "catalog.core"
local journal = require "catalog.ingest.journal"
local journals = require "support.journals"
local service = require "support.service"
local shell = require "support.shell"
local values = require "support.values"

local DATASET <const> = service.DATASET
local with_run <const>, batches <const>, count <const> = journals.with_run, journals.batches, journals.count
local outage <const>, alive <const>, stop_in_the_middle <const> = journals.outage, journals.alive, journals.stop_in_the_middle
local without_checksums <const>, assert_whole <const> = journals.without_checksums, journals.assert_whole
local assert_error <const> = journals.assert_error

describe("a journal", function()
  it("is as good with a torn last line, or none at all", function()
    with_run(function(run)
      run.server:set_faults(outage(6))
      assert.is_nil(run.client:ingest(run.given))
      local text = shell.read(run.given.journal)
      run.server:set_faults()
      shell.write(run.given.journal, text:sub(1, -8))
      assert_whole(run, assert(run.client:ingest(run.given)))
      assert.equal(1, count(batches(run.client)))
      assert.matches("}\n$", shell.read(run.given.journal))
    end)
    with_run(function(run)
      shell.write(run.given.journal, '{"event":"run","base_')
      assert_whole(run, assert(run.client:ingest(run.given)))
    end)
  end)

  it("with any bit flipped is refused, or read as one whose last line was torn", function()
    with_run(function(run)
      local text = stop_in_the_middle(run, 8)
      local function last_start() return #text - #text:match "[^\n]*\n$" end
      local before_last, wrong = journal.read(text:sub(1, last_start())), {}
      for at = 1, #text do
        for bit = 0, 7 do
          local flipped = text:sub(1, at - 1) .. string.char(text:byte(at) ~ (1 << bit)) .. text:sub(at + 1)
          local state, err = journal.read(flipped)
          -- where the newline before the last line is none any more, the last line is that and the one before
          if at < last_start() or state == nil then
            if state ~= nil or err.kind ~= "data" then wrong[#wrong + 1] = { at, bit } end
          elseif at > last_start() and not values.same(before_last, state) then
            wrong[#wrong + 1] = { at, bit }
          end
        end
      end
      assert.same({}, wrong)
    end)
  end)

  it("that was damaged says so, also in its first line", function()
    with_run(function(run)
      local text = stop_in_the_middle(run, 8)
      for number, at in ipairs { 60, text:find("\n", 1, true) + 30 } do
        shell.write(run.given.journal, text:sub(1, at - 1) .. "#" .. text:sub(at + 1))
        assert_error("data", ("line %d is not as it was written: the file was damaged, or edited"):format(number),
          run.client:ingest(run.given))
      end
    end)
  end)

  it("with a bit flipped never leads to a success with a hole", function()
    local succeeded, refused = 0, 0
    for trial = 1, 60 do
      with_run(function(run)
        local text = stop_in_the_middle(run, 8)
        local at, bit = math.random(#text), math.random(0, 7)
        local damaged = text:sub(1, at - 1) .. string.char(text:byte(at) ~ (1 << bit)) .. text:sub(at + 1)
        shell.write(run.given.journal, damaged)
        local report, err = run.client:ingest(run.given)
        if report then
          succeeded = succeeded + 1
          assert_whole(run, report)
          assert.equal(1, #alive(run.client))
        else
          refused = refused + 1
          assert.equal("data", err.kind, ("trial %d, byte %d, bit %d: %s"):format(trial, at, bit, err))
          assert.equal(damaged, shell.read(run.given.journal))
        end
      end)
    end
    assert.equal(60, succeeded + refused)
    assert.is_true(refused > 0)
  end)

  it("of before, without checksums, is read and gone on with", function()
    with_run(function(run)
      local text = stop_in_the_middle(run, 8)
      local old = without_checksums(text):gsub('"seed":"%x*",', ""):gsub(',"seed":"%x*"', "")
      assert.is_nil(old:find("%f[^\n\0]%x%x%x%x%x%x%x%x {"))
      shell.write(run.given.journal, old)
      local report = assert(run.client:ingest(run.given))
      assert.is_true(report.resumed)
      assert_whole(run, report)
      assert.equal(1, count(batches(run.client)))
      assert.is_true(assert(run.client:ingest(run.given)).resumed) -- the new lines behind the old ones, too
    end)
  end)

  it("is not written to by a child that was forked in the middle", function()
    shell.with_directory(function(directory)
      local path = directory .. "/run.journal"
      local build = os.getenv "CATALOG_BUILD" or "build"
      local output, status = shell.run(("%s/host fork spec/scripts/writes_journal.lua %s"):format(build, path))
      assert.equal(0, status, output)
      assert.matches("child: the journal belongs to the process that opened it", output, 1, true)
      local _, lines = assert(journal.read(shell.read(path)))
      assert.equal(4, lines) -- run, ready, and the parent's two
    end)
  end)

  it("is no symbolic link", function()
    with_run(function(run)
      shell.write(run.directory .. "/theirs", "")
      shell.run(("ln -s theirs %s"):format(run.given.journal))
      assert_error("config", "it is a symbolic link, which is not followed", run.client:ingest(run.given))
      assert.equal("", shell.read(run.directory .. "/theirs"))
    end)
  end)

  it("of another call, or of files that changed, is refused and says what differs", function()
    with_run(function(run)
      run.server:set_faults(outage(6))
      assert.is_nil(run.client:ingest(run.given))
      local kept = shell.read(run.given.journal)
      local function ingest(changes)
        local given = {}
        for name, value in pairs(run.given) do given[name] = value end
        for name, value in pairs(changes) do given[name] = value end
        return run.client:ingest(given)
      end
      assert_error("data", "it is of the dataset " .. DATASET .. ", and this call is for other", ingest { dataset = "other" })
      assert_error("data", "it is of the sandbox prod, and this call is for dev", ingest { sandbox = "dev" })
      assert_error("data", "its batch has the options", ingest { tags = { a = { "b" } } })
      assert_error("data", "it has the file f4.json, which this call does not name",
        ingest { files = { table.unpack(run.given.files, 1, 3) } })
      shell.write(run.directory .. "/g.json", "{}\n")
      assert_error("data", "it does not have the file g.json",
        ingest { files = { run.directory .. "/g.json", table.unpack(run.given.files) } })
      shell.write(run.given.files[1], ('{"n":2}\n'):rep(10))
      assert_error("data", "f1.json was changed since", ingest {})
      shell.write(run.given.files[1], ('{"n":1}\n'):rep(11))
      assert_error("data", "f1.json had 80 bytes, and has 88 now (give another path, or remove it to ingest the files anew)",
        ingest {})
      assert.equal(kept, shell.read(run.given.journal))
      shell.write(run.given.journal, "these are my notes\n")
      assert_error("data", "line 1 is not one of a journal's; is it the right file?", ingest {})
      assert.equal("these are my notes\n", shell.read(run.given.journal))
    end)
  end)

  it("may lie in the directory that is ingested", function()
    with_run(function(run)
      local given = {
        dataset = DATASET, format = "json", dir = run.directory .. "/in/", journal = run.directory .. "/in/./run.journal",
      }
      shell.run(("mkdir %s/in && mv %s/*.json %s/in"):format(run.directory, run.directory, run.directory))
      for _, resumed in ipairs { false, true } do
        local report = assert(run.client:ingest(given))
        assert.equal(resumed, report.resumed)
        assert.equal(4, #report.files)
      end
    end)
  end)

  it("is never put in the place of somebody else's file", function()
    with_run(function(run)
      local path = run.given.journal
      for _, text in ipairs {
        "an old letter", '{"only":"a line"}', '{"a":1}\n{"b":2}', '{"a":1}\n', "{", '{"event":"r', ("\0"):rep(100), "1234",
        "0a1b2c3d not a journal's\n",
      } do
        shell.write(path, text)
        local report, err = run.client:ingest(run.given)
        assert.is_nil(report)
        assert.equal("data", err.kind)
        assert.matches("is it the right file? (give another path)", err.message, 1, true)
        assert.equal(text, shell.read(path))
      end
      for _, text in ipairs { "", '0a1b2c3d {"event":"run","base_url":"htt', '{"event":"run","base_url":"htt' } do
        shell.write(path, text) -- what a crash leaves of a journal that was about to begin
        assert_whole(run, assert(run.client:ingest(run.given)))
      end
    end)
  end)

  it("of an ingest whose coroutine was dropped is free again", function()
    with_run(function(run)
      local client = service.client(run.server.url, { loop = { wait = function() coroutine.yield() end } })
      assert(coroutine.resume(coroutine.create(function() client:ingest(run.given) end)))
      assert_whole(run, assert(run.client:ingest(run.given)))
    end)
  end)

  it("is one process's at a time", function()
    with_run(function(run)
      local held = assert(core.journal.open(run.given.journal))
      assert_error("config", "cannot be used: another process has it; wait for its end, or give another path",
        run.client:ingest(run.given))
      held:close()
      assert_whole(run, assert(run.client:ingest(run.given)))
    end)
  end)

  it("that cannot be written is an error before anything is created", function()
    with_run(function(run)
      run.given.journal = run.directory .. "/none/run.journal"
      assert_error("config", "none/run.journal cannot be used: No such file or directory; make its directory, or give another",
        run.client:ingest(run.given))
      run.given.journal = run.directory
      assert_error("config", "cannot be used: Is a directory", run.client:ingest(run.given))
      assert.equal("", (shell.run(("mkfifo %s/pipe"):format(run.directory))))
      for _, path in ipairs { "/dev/full", "/dev/null", run.directory .. "/pipe" } do
        run.given.journal = path
        assert_error("config", path .. " cannot be used: it is no regular file; give another path", run.client:ingest(run.given))
      end
      assert.equal(0, count(batches(run.client)))
    end)
  end)

  -- A limit on the size of files stands for a disk that is full: a write fails, and not the first one.
  it("on a full disk ends the run with an error, and the run goes on when there is room", function()
    with_run(function(run)
      local script = ([[
        local client = assert(require("catalog").client { base_url = %q, org = "ORG@AdobeOrg", api_key = "key", token = "token" })
        local report, err = client:ingest { dataset = %q, format = "json", dir = %q, pattern = "f*.json", journal = %q,
          parallel = 2, part_size = 1000, part_threshold = 2000 }
        print(report and "whole" or err)
      ]]):format(run.server.url, DATASET, run.directory, run.given.journal)
      local full = shell.lua(script, "trap '' XFSZ; ulimit -f 1;")
      assert.matches("the journal cannot be written: File too large; once it can be, the same call goes on", full, 1, true)
      local _, fields = next(batches(run.client))
      assert.equal("loading", fields and fields.status or "loading")
      assert.matches("whole", shell.lua(script))
      assert.equal(1, count(batches(run.client)))
    end)
  end)

  it("that is no journal at all is refused, and nothing is an empty one", function()
    assert.is_nil((journal.read '{"event":"run"}\n'))
    assert.is_nil((journal.read '{"event":"ready"}\n'))
    assert.is_nil((journal.read "[]\n"))
    assert.is_nil((journal.read "\n"))
    assert.same({ files = {}, groups = {} }, journal.read "")
  end)
end)
