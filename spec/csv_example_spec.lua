-- examples/csv_to_json.lua: what RFC 4180 says is what is ingested, and nothing else is.
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local shell = require "support.shell"

-- Runs the example on a text. Gives what it printed, its exit code, the records that are in the batch, and what the
-- emulator was asked for, a line each; and the records as they are.
local function run(text, words, options)
  return shell.with_directory(function(directory)
    local path = directory .. "/in.csv"
    shell.write(path, text)
    local log = directory .. "/log"
    local settings = { data_dir = directory .. "/data", log = log }
    for name, value in pairs(options or {}) do settings[name] = value end
    local server <close> = assert(emulator.start(settings))
    local output, code = shell.run(("AEP_BASE_URL=%s AEP_ORG=o AEP_API_KEY=k AEP_ACCESS_TOKEN=t %s"
      .. " examples/csv_to_json.lua %s d %s"):format(server.url, shell.LUA, path, words or ""))
    local records, asked = {}, shell.run(("cat %s 2>/dev/null"):format(log))
    local id = code == 0 and output:match "in batch (%w+)"
    local rows = id and shell.read(("%s/data/files/%s/rows.json"):format(directory, id)) or ""
    for line in rows:gmatch "[^\n]+" do records[#records + 1] = core.json.decode(line) end
    return output, code, records, asked, rows
  end)
end

-- What is read: a name, the text, the records, and where wanted the types.
local READ <const> = {
  { "values are strings as they stand", "a,b,c\n01234,0x10,1e3\n true,-0,NaN\n",
    { { a = "01234", b = "0x10", c = "1e3" }, { a = " true", b = "-0", c = "NaN" } } },
  { "lines may end in CR LF", "a,b\r\n1,2\r\n3,4\r\n", { { a = "1", b = "2" }, { a = "3", b = "4" } } },
  { "ends may be mixed", 'a,b\n"1",2\r\n3,"4"\n', { { a = "1", b = "2" }, { a = "3", b = "4" } } },
  { "the last line may lack its end", "a,b\n1,2", { { a = "1", b = "2" } } },
  { "a quoted field may be the last thing", 'a,b\n1,"2"', { { a = "1", b = "2" } } },
  { "a comma may be the last thing", "a,b\n1,", { { a = "1", b = "" } } },
  { "quotes may hold commas", 'a,b\n"1,5",",,"\n', { { a = "1,5", b = ",," } } },
  { "doubled quotes are one", 'a,b\n"say ""hi""",""""\n"""",""""""\n',
    { { a = 'say "hi"', b = '"' }, { a = '"', b = '""' } } },
  { "quotes may hold ends of lines", 'a,b\n"1\n2","3\r\n4"\n5,"\n"\n', { { a = "1\n2", b = "3\r\n4" }, { a = "5", b = "\n" } } },
  { "a carriage return may be quoted", 'a\n"1\r2"\n', { { a = "1\r2" } } },
  { "empty fields are empty strings", 'a,b,c\n,,\n"",,""\n', { { a = "", b = "", c = "" }, { a = "", b = "", c = "" } } },
  { "an empty line of one column is an empty value", "a\n\n1\n", { { a = "" }, { a = "1" } } },
  { "blanks belong to the field", "a, b\n 1 ,2 \n", { { a = " 1 ", [" b"] = "2 " } } },
  { "a byte order mark is none of the first name", "\u{FEFF}a,b\n1,2\n", { { a = "1", b = "2" } } },
  { "a byte order mark may be followed by a quote", '\u{FEFF}"a",b\n1,2\n', { { a = "1", b = "2" } } },
  { "only the first is a mark", "a\n\u{FEFF}1\n", { { a = "\u{FEFF}1" } } },
  { "names may be quoted", '"a,""b""","c\nd"\n1,2\n', { { ['a,"b"'] = "1", ["c\nd"] = "2" } } },
  { "UTF-8 is kept", "é,b\nü,\u{10FFFF}\n", { { ["é"] = "ü", b = "\u{10FFFF}" } } },
  { "other control characters are kept", "a\n\0\1\t\127\n", { { a = "\0\1\t\127" } } },
  { "types are given by request", "i,n,b,s\n-42,1.5,true,7\n007,10,FALSE,x\n+1,-2e3,True,\n",
    { { i = -42, n = 1.5, b = true, s = "7" }, { i = 7, n = 10, b = false, s = "x" }, { i = 1, n = -2000.0, b = true, s = "" } },
    "i=integer,n=number,b=boolean,s=string" },
  { "an empty value of a type is left out", 'i,n,b,s\n,,"",\n1,2,true,x\n',
    { { s = "" }, { i = 1, n = 2, b = true, s = "x" } }, "i=integer,n=number,b=boolean" },
}

-- What is refused: the text, what is said, and where wanted the types.
local REFUSED <const> = {
  { "", "is empty: there is no header" },
  { "\u{FEFF}", "is empty: there is no header" },
  { "a,b\n", "has a header and no rows" },
  { "a,,c\n1,2,3\n", "line 1: column 2 has no name" },
  { "\n1\n", "line 1: column 1 has no name" },
  { "a,b,a\n1,2,3\n", "line 1: two columns are named 'a'" },
  { "a,b\n1,2\n3\n", "line 3: 1 fields, and the header has 2" },
  { "a,b\n1,2\n3,4,5\n", "line 3: 3 fields, and the header has 2" },
  { "a,b\n1,2\n\n", "line 3: 1 fields, and the header has 2" },
  { 'a,b\n"1\n2\r\n3",4\n5\n', "line 5: 1 fields, and the header has 2" },
  { 'a,b\n"1\n2",3,4\n', "line 2: 3 fields, and the header has 2" },
  { 'a,b\n1,2"\n', "line 2: a quote within a field that does not begin with one" },
  { 'a,b\n1, "2"\n', "line 2: a quote within a field that does not begin with one" },
  { 'a,b\n"1" ,2\n', "line 2: text behind a closing quote" },
  { 'a,b\n"1"x,2\n', "line 2: text behind a closing quote" },
  { 'a,b\n"1\n2\n3"4,5\n', "line 4: text behind a closing quote" },
  { 'a,b\n1,2\n3,"4\n5,6\n', "line 3: a quote is opened in this row, and never closed" },
  { 'a,b\n1,"', "line 2: a quote is opened in this row, and never closed" },
  { "a,b\r1,2\r", "line 1: a carriage return without a newline" },
  { 'a,b\n1,"2"\r3,4\n', "line 2: a carriage return without a newline" },
  { "a,b\n1,2\n3,\xFF\n", "line 3: .*UTF%-8" },
  { "\xFF\xFEa\0\n\0001\0\n\0", "line 2: .*UTF%-8" }, -- UTF-16
  { 'a\n"' .. ("x\n"):rep(2100000), "line 2: a row of more than 4194304 bytes; is a quote missing" },
  { "a\nx\n", "there is no column 'b', of which %-%-types speaks", "b=integer" },
  { "a,b\n1,2\n3,0x10\n", "line 3, column 'b': '0x10' is no integer", "a=integer,b=integer" },
  { "a\n1.0\n", "line 2, column 'a': '1.0' is no integer", "a=integer" },
  { "a\n 1\n", "line 2, column 'a': ' 1' is no integer", "a=integer" },
  { "a\n9223372036854775808\n", "line 2, column 'a': '9223372036854775808' is no integer", "a=integer" },
  { "a\n1\n-\n", "line 3, column 'a': '%-' is no integer", "a=integer" },
  { "a\n0x1p4\n", "line 2, column 'a': '0x1p4' is no number", "a=number" },
  { "a\ninf\n", "line 2, column 'a': 'inf' is no number", "a=number" },
  { "a\nnan\n", "line 2, column 'a': 'nan' is no number", "a=number" },
  { "a\n1e999\n", "line 2, column 'a': '1e999' is no number", "a=number" },
  { 'a\n"1,5"\n', "line 2, column 'a': '1,5' is no number", "a=number" },
  { "a\nyes\n", "line 2, column 'a': 'yes' is no boolean", "a=boolean" },
  { 'a\n"x\27\n' .. ("y"):rep(100) .. '"\n', "line 2, column 'a': 'x%?%?y+%.%.%.' is no boolean", "a=boolean" },
}

local function types(given) return given and "--types " .. shell.quote(given) or "" end

describe("the example csv_to_json.lua", function()
  for _, case in ipairs(READ) do
    local name, text, records, given = table.unpack(case)
    it("reads: " .. name, function()
      local output, code, found = run(text, types(given))
      assert.matches(("^%d rows in batch %%w+\n$"):format(#records), output)
      assert.equal(0, code)
      assert.same(records, found)
    end)
  end

  for _, case in ipairs(REFUSED) do
    local text, said, given = table.unpack(case)
    it("refuses: " .. said, function()
      local output, code, _, asked = run(text, types(given))
      assert.matches(said .. ".*\nnothing was ingested\n$", output)
      assert.equal(1, code)
      -- either there was no batch, or it was given up
      assert.is_nil(asked:find("/batches/%w+%?action=COMPLETE"))
      local _, created = asked:gsub("POST /data/foundation/import/batches %- 201", "")
      local _, aborted = asked:gsub("action=ABORT", "")
      assert.equal(created, aborted)
      if said:find "^line 1" then assert.equal(0, created) end
    end)
  end

  it("writes integers exactly, and text as text", function()
    local _, _, _, _, rows = run("i,n,s\n9223372036854775807,,1\n-9223372036854775808,,\n,0.1,\n", "--types i=integer,n=number")
    local fields = {}
    for field in rows:gmatch '"%l":[^,}\n]+' do fields[#fields + 1] = field end
    table.sort(fields)
    assert.same({ '"i":-9223372036854775808', '"i":9223372036854775807', '"n":0.1', '"s":""', '"s":""', '"s":"1"' }, fields)
  end)

  it("reads the same wherever its pieces of the file end", function()
    for shift = -6, 2 do
      local long = ("x"):rep(65536 - #'a,b\r\n"",""' + shift)
      local output, code, found = run(('a,b\r\n"%s","""\r\n,"\r\n3,4\r\n'):format(long))
      assert.equal(0, code, output)
      assert.same({ { a = long, b = '"\r\n,' }, { a = "3", b = "4" } }, found)
    end
  end)

  it("reads what Python reads", function()
    shell.with_directory(function(directory)
      shell.write(directory .. "/make.py", ([[
import csv, json, random
random.seed(4180)
pieces = ['"', '""', ',', '\n', '\r\n', '\r', ' ', '', 'x', 'é', '\u2028', '01', '0x10', '\t', "'", ';', '\\', 'word ' * 9]
for number, (quoting, end) in enumerate((q, e) for q in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL) for e in ('\n', '\r\n')):
    path = '%s/%%d' %% number
    with open(path + '.csv', 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, quoting=quoting, lineterminator=end)
        writer.writerow(['id', 'a,"b"', 'c\nd', ' e'])
        # with QUOTE_MINIMAL a carriage return alone is not quoted, which is no CSV
        usable = [p for p in pieces if p != '\r' or quoting == csv.QUOTE_ALL]
        for i in range(3000):
            writer.writerow([i] + [''.join(random.choices(usable, k=random.randrange(6))) for _ in range(3)])
    with open(path + '.csv', newline='', encoding='utf-8') as file, open(path + '.json', 'w') as out:
        for row in csv.DictReader(file, strict=True): out.write(json.dumps(row) + '\n')
]]):format(directory))
      assert.equal("", (shell.run(("python3 %s/make.py"):format(directory))))
      for number = 0, 3 do
        local output, code, found = run(shell.read(("%s/%d.csv"):format(directory, number)))
        assert.equal(0, code, output)
        local count = 0
        for line in io.lines(("%s/%d.json"):format(directory, number)) do
          count = count + 1
          assert.same(core.json.decode(line), found[count])
        end
        assert.equal(3000, count)
        assert.equal(3000, #found)
      end
    end)
  end)

  it("holds no more of a large file in memory than of a small one", function()
    shell.with_directory(function(directory)
      local file <close> = assert(io.open(directory .. "/large.csv", "w"))
      file:write "id,text\n"
      for i = 1, 500000 do
        file:write(i, ',"a ""text"", and more of it, so that it is about a hundred bytes in all ', i, '"\n')
      end
      file:close()
      local server <close> = assert(emulator.start {})
      local limit = os.getenv "LD_PRELOAD" and "" or "ulimit -v 262144;" -- a sanitizer takes terabytes of addresses
      local output, code = shell.run(("%s AEP_BASE_URL=%s AEP_ORG=o AEP_API_KEY=k AEP_ACCESS_TOKEN=t %s"
        .. " examples/csv_to_json.lua %s/large.csv d"):format(limit, server.url, shell.LUA, directory))
      assert.matches("^500000 rows in batch", output)
      assert.equal(0, code)
    end)
  end)

  it("ingests nothing of a file that changes, is none, or is not there", function()
    shell.with_directory(function(directory)
      local server <close> = assert(emulator.start { latency_ms = 300, log = directory .. "/log" })
      local function start(path)
        return shell.start(("AEP_BASE_URL=%s AEP_ORG=o AEP_API_KEY=k AEP_ACCESS_TOKEN=t %s examples/csv_to_json.lua %s d")
          :format(server.url, shell.LUA, path))
      end
      local path = directory .. "/in.csv"
      shell.write(path, "a\n1\n")
      local finish = start(path)
      -- it has been read by now, and its batch is being made
      while not shell.run(("cat %s/log 2>/dev/null"):format(directory)):find("POST", 1, true) do shell.run "sleep 0.02" end
      shell.run(("echo 2 >>%s"):format(path))
      local output, code = finish()
      assert.matches("was changed while it was read\nnothing was ingested\n$", output)
      assert.equal(1, code)
      assert.matches("action=ABORT", shell.read(directory .. "/log"), 1, true)
      for name, said in pairs { [""] = "it is a directory", none = "No such file or directory" } do
        output, code = start(directory .. "/" .. name)()
        assert.matches(said .. ".*\nnothing was ingested\n$", output)
        assert.equal(1, code)
      end
      shell.run(("mkfifo %s/pipe"):format(directory))
      output, code = start(directory .. "/pipe")()
      assert.matches("it is a pipe", output, 1, true)
      assert.equal(1, code)
    end)
  end)

  local COMPLETE <const> = { method = "POST", path = "/batches/%w+%?action=COMPLETE" }

  it("tells by its exit code whether the rows are in", function()
    local output, code, _, asked = run("a\n1\n", "",
      { faults = { { match = COMPLETE, action = { status = 400, body = '{"title":"Not this one"}' } } } })
    assert.matches("Not this one.*\nnothing was ingested\n$", output)
    assert.equal(1, code)
    assert.matches("action=ABORT", asked, 1, true)

    output, code = run("a\n1\n", "", { faults = { { match = { path = "/catalog/batches/" }, action = { status = 403 } } } })
    assert.matches("\nwhether it was ingested is not known: look at the batch", output, 1, true)
    assert.matches("batch %w+: ", output)
    assert.equal(3, code)
  end)

  it("gives its batch up at Ctrl-C", function()
    shell.with_directory(function(directory)
      shell.write(directory .. "/in.csv", "a\n" .. ("x\n"):rep(10))
      local server <close> = assert(emulator.start {
        log = directory .. "/log", faults = { { match = { method = "PUT" }, action = { delay_ms = 3000 } } },
      })
      local finish = shell.start(("AEP_BASE_URL=%s AEP_ORG=o AEP_API_KEY=k AEP_ACCESS_TOKEN=t timeout --foreground -s INT 1"
        .. " env %s examples/csv_to_json.lua %s/in.csv d"):format(server.url, shell.LUA, directory))
      local output = finish()
      assert.matches("interrupted!\nnothing was ingested\n$", output)
      assert.matches("action=ABORT", shell.read(directory .. "/log"), 1, true)
    end)
  end)

  it("says how it is used", function()
    for _, words in ipairs { "", "x", "x d --types", "x d --types a=int", "x d --types a", "x d y", "x d --type a=integer" } do
      local output, code = shell.run(shell.LUA .. " examples/csv_to_json.lua " .. words)
      assert.matches("usage: lua5.4 csv_to_json.lua FILE.csv DATASET [--types", output, 1, true)
      assert.equal(2, code)
    end
  end)
end)
