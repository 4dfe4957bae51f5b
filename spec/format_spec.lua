-- The format that files are ingested as.
local service = require "support.service"
local shell = require "support.shell"

local DATASET <const> = service.DATASET

-- Ingests files with the names and contents. Gives the format that their batch has; or nil and the error.
local function ingest(contents, more)
  return shell.with_directory(function(directory)
    local files, names = {}, {}
    for name in pairs(contents) do names[#names + 1] = name end
    table.sort(names)
    for i, name in ipairs(names) do
      files[i] = directory .. "/" .. name
      shell.write(files[i], contents[name])
    end
    return service.run({}, function(_, client)
      local given = { dataset = DATASET, files = files }
      for name, value in pairs(more or {}) do given[name] = value end
      local report, err = client:ingest(given)
      if not report and err.kind ~= "batch" then return nil, err, directory end
      assert.is_nil((more or {}).format or given.format) -- the caller's table is the caller's
      return assert(client:batch((report or { id = err.batch and err.batch.id }).id):get()).inputFormat
    end)
  end)
end

local function assert_refused(words, contents, more)
  local format, err = ingest(contents, more)
  assert.is_nil(format)
  assert.equal("data", err.kind, tostring(err))
  for _, text in ipairs(words) do assert.matches(text, err.message, 1, true) end
end

describe("the format of files", function()
  it("is what their endings say", function()
    for name, expected in pairs {
      ["a.json"] = "json", ["a.JSON"] = "json", ["a.jsonl"] = "json", ["a.b.ndjson"] = "json", ["a.csv"] = "csv",
    } do
      local text = expected == "csv" and "a,b\n1,2\n" or '{"a":1}\n'
      assert.equal(expected, assert(ingest { [name] = text }).format, name)
    end
    assert.equal("parquet", assert(ingest { ["a.parquet"] = "PAR1" }).format)
    assert.equal("json", assert(ingest { ["a.jsonl"] = "{}\n", ["b.json"] = "{}\n" }).format)
  end)

  it("is what the names say that files get, where their own say none", function()
    shell.with_directory(function(directory)
      shell.write(directory .. "/data", "{}\n")
      local files = { { name = "a.json", file = directory .. "/data" } }
      assert.equal("json", assert(ingest({}, { files = files })).format)
    end)
  end)

  it("is asked for where the endings say none, or more than one", function()
    for _, name in ipairs { "a", "a.txt", "a.json.gz", "json", "a.json~" } do
      assert_refused({ name .. " does not say its format", "give format, which is json, csv or parquet" }, { [name] = "{}\n" })
    end
    assert_refused({ "a.json is json, and ", "b.csv is csv; give format, or ingest them apart" },
      { ["a.json"] = "{}\n", ["b.csv"] = "a\n1\n" })
    assert_refused({ "b.txt does not say its format" }, { ["a.json"] = "{}\n", ["b.txt"] = "{}\n" })
  end)

  it("is what the call says, whatever the endings are", function()
    for _, more in ipairs { { multiline = true }, { extra = { inputFormat = { format = "json" } } } } do
      assert.equal("json", assert(ingest({ ["a.txt"] = "[{}]" }, more)).format)
    end
    assert.equal("csv", assert(ingest({ ["a.json"] = "a\n1\n" }, { csv = { delimiter = "," } })).format)
  end)
end)

describe("a JSON array", function()
  it("is not sent as lines", function()
    for _, text in ipairs { "[", "[]", " \r\n\t[{}]", (" "):rep(500) .. "[" } do
      assert_refused({ "b.json begins with [, ", "give multiline = true" }, { ["a.json"] = "{}\n", ["b.json"] = text })
      assert_refused({ "b.txt begins with [, " }, { ["b.txt"] = text }, { format = "json" })
    end
  end)

  it("is what a file of another format, or one that begins otherwise, is not", function()
    assert.is_truthy(ingest { ["a.csv"] = "[a],b\n1,2\n" })
    for _, text in ipairs { "{}\n", '{"a":[1]}\n', "{}\r\n{}\r\n" } do assert.is_truthy(ingest { ["a.json"] = text }) end
    assert.is_truthy(ingest({ ["a.json"] = "[{}]" }, { multiline = true }))
  end)
end)

describe("a byte-order mark", function()
  it("is no JSON, and is told with its file and line", function()
    for mark, words in pairs {
      ["\u{FEFF}"] = { "UTF-8, which is no JSON; take its first 3 bytes away (tail -c +4)" },
      ["\xFF\xFE"] = { "UTF-16, which is no JSON; convert it to UTF-8 without one (iconv -f UTF-16 -t UTF-8)" },
      ["\xFE\xFF"] = { "UTF-16," }, ["\xFF\xFE\0\0"] = { "UTF-32," }, ["\0\0\xFE\xFF"] = { "UTF-32," },
    } do
      for _, more in ipairs { {}, { format = "json" }, { multiline = true, format = "json" } } do
        table.insert(words, 1, "/b.json, line 1: it begins with a byte-order mark of UTF-")
        assert_refused(words, { ["a.json"] = "{}\n", ["b.json"] = mark .. "{}\n" }, more)
      end
    end
  end)

  it("is no matter in other formats", function()
    assert.is_truthy(ingest { ["a.csv"] = "\u{FEFF}a,b\n1,2\n" })
  end)
end)

describe("a file that is empty", function()
  it("would fail its batch, and none is made", function()
    shell.with_directory(function(directory)
      service.run({ log = directory .. "/log" }, function(_, client)
        shell.write(directory .. "/a.json", "{}\n")
        for _, name in ipairs { "b.json", "b.csv", "b.parquet", "b" } do
          shell.write(directory .. "/" .. name, "")
          local format = name == "b" and "json" or nil
          local report, err = client:ingest { dataset = DATASET, format = format, files = { directory .. "/a.json",
            directory .. "/" .. name } }
          assert.is_nil(report)
          assert.equal("data", err.kind)
          assert.matches(("%s/%s is empty, and the service fails a batch with an empty file in it"):format(directory, name),
            err.message, 1, true)
        end
        assert.equal("", shell.read(directory .. "/log"))
      end)
    end)
  end)
end)
