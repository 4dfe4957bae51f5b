-- Which files an ingest takes, and into how many batches.
local batches = require "support.batches"
local errors = require "support.errors"
local service = require "support.service"
local shell = require "support.shell"

local DATASET <const> = service.DATASET

local with_files <const> = batches.with_files
local statuses <const> = batches.statuses
local assert_error <const> = errors.assert_refused

describe("ingest", function()
  it("takes the files of a directory that fit a pattern", function()
    with_files({ 1, 2, 3 }, function(client, _, directory)
      shell.write(directory .. "/other.txt", "x")
      os.execute("mkdir " .. directory .. "/d.json")
      local report = assert(client:ingest { dataset = DATASET, format = "json", dir = directory, pattern = "*.json" })
      assert.equal(3, #report.files)
      assert_error("data", "there is no file *.csv in " .. directory,
        client:ingest { dataset = DATASET, dir = directory, pattern = "*.csv" })
    end)
  end)

  it("says that there is nothing in a directory", function()
    with_files({}, function(client, _, directory)
      assert_error("data", "there is no file in " .. directory, client:ingest { dataset = DATASET, dir = directory })
    end)
  end)

  it("leaves out what is no file in a directory, and nothing else", function()
    shell.with_directory(function(directory)
      shell.write(directory .. "/a.json", "{}\n")
      shell.run(("cd %s && mkdir dir.json && mkfifo pipe.json"):format(directory))
      service.run({}, function(_, client)
        local given = { dataset = DATASET, format = "json", dir = directory, pattern = "*.json" }
        assert.equal(1, #assert(client:ingest(given)).files)
        shell.run(("ln -s nowhere %s/b.json"):format(directory))
        local report, err = client:ingest(given)
        assert.is_nil(report)
        assert.equal("data", err.kind)
        assert.matches("b.json", err.message, 1, true)
      end)
    end)
  end)

  it("takes what is below a directory when told to, by names relative to it", function()
    with_files({ 1 }, function(client, _, directory)
      shell.run(("cd %s && mkdir -p a/b .hidden d.json && ln -s .. a/up && ln -s ../f1.json a/link.json"):format(directory))
      for _, name in ipairs { "a/x.json", "a/b/x.json", "a/b/y.txt", ".hidden/z.json", "a/.z.json", "d.json/x.json" } do
        shell.write(directory .. "/" .. name, '{"n":1}\n')
      end
      local given = { dataset = DATASET, dir = directory .. "/", pattern = "*.json", recursive = true }
      given.journal = directory .. "/a/run.json"
      for _ = 1, 2 do
        local names = {}
        for i, file in ipairs(assert(client:ingest(given)).files) do names[i] = file.name end
        assert.same({ "a/b/x.json", "a/link.json", "a/x.json", "d.json/x.json", "f1.json" }, names)
      end
      given.journal, given.recursive = nil, false
      assert.equal(1, #assert(client:ingest(given)).files)
    end)
  end)

  it("creates nothing when a file cannot be read or two have one name", function()
    with_files({ 1 }, function(client, paths, directory)
      assert_error("data", "cannot read " .. directory .. "/none: No such file or directory",
        client:ingest { dataset = DATASET, files = { paths[1], directory .. "/none" } })
      assert_error("data", "would both be f1.json in the batch",
        client:ingest { dataset = DATASET, files = { paths[1], paths[1] } })
      assert_error("data", "ingest needs files", client:ingest { dataset = DATASET })
      assert_error("data", "files[1] is neither a path nor", client:ingest { dataset = DATASET, files = { 17 } })
      assert_error("data", "give files or dir, not both",
        client:ingest { dataset = DATASET, files = paths, dir = directory })
      for name, value in pairs { pattern = "*.json", recursive = true } do
        assert_error("data", name .. " goes with dir, and not with files",
          client:ingest { dataset = DATASET, files = paths, [name] = value })
      end
      assert.same({}, statuses(client))
    end)
  end)

  it("warns beyond what is advised, refuses what is too much, and spreads it when told to", function()
    with_files({ 1, 1, 1, 1, 1 }, function(client, paths)
      local warned = {}
      local function ingest(more)
        local given = {
          dataset = DATASET, format = "json", files = paths, on_warning = function(text) warned[#warned + 1] = text end,
        }
        for name, value in pairs(more) do given[name] = value end
        return client:ingest(given)
      end
      assert(ingest { advised_files = 4 })
      assert.same({ "5 files are more than is advised for a batch (4); split = true spreads them over several" }, warned)
      assert_error("limit", "5 files are more than a batch may have (4)", ingest { max_files = 4 })
      assert_error("limit", "40 bytes are more than a batch may have (39)", ingest { max_bytes = 39 })
      assert.equal(1, #statuses(client))
      local report = assert(ingest { advised_files = 2, max_files = 2, split = true })
      assert.equal(3, #report.batches)
      assert.same({ 2, 2, 1 }, { report.batches[1].files, report.batches[2].files, report.batches[3].files })
      assert.equal(4, #statuses(client))
    end)
  end)

  it("advises and enforces what the service does", function()
    with_files({ 1 }, function(_, paths, directory)
      local client = service.client "http://127.0.0.1:1"
      local function ingest(bytes, count)
        assert(os.execute(("truncate -s %d %s/sparse"):format(bytes - 8 * (count - 1), directory)))
        local files, warned = { directory .. "/sparse" }, {}
        for i = 2, count do files[i] = { name = tostring(i), file = paths[1] } end
        local report, err = client:ingest {
          dataset = DATASET, format = "json", files = files,
          on_warning = function(text) warned[#warned + 1] = text:match "^%d+ %l+" end,
        }
        assert.is_nil(report)
        return err.kind, warned, err.message
      end
      local refused <const> = "1099511627777 bytes are more than a batch may have (1099511627776)"
      local kind, warned, message = ingest(1099511627777, 10001)
      assert.equal("limit", kind)
      assert.matches(refused, message, 1, true)
      assert.same({ "10001 files" }, warned)
      kind, warned = ingest(1099511627776, 10000) -- it goes on to what is not there
      assert.equal("network", kind)
      assert.same({ "1099511627776 bytes" }, warned)
    end)
  end)
end)
