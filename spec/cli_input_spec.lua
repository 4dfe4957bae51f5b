-- Bad input: files that cannot be what they are sent as are told before anything is sent.
local command = require "support.command"
local shell = require "support.shell"

local run = command.run

-- Calls `body(server, directory, client, sent)`; `sent()` gives the requests that changed something since it was asked.
local function with_log(body)
  shell.with_directory(function(kept)
    command.with_files(function(server, directory, client)
      local seen = 0
      body(server, directory, client, function()
        local text, found = shell.read(kept .. "/log"), {}
        for line in text:sub(seen + 1):gmatch "P%u+ /[^\n]*" do found[#found + 1] = line end
        seen = #text
        return found
      end)
    end, { log = kept .. "/log" })
  end)
end

local function created(server, more)
  return (run(server, "create --quiet --dataset d --format json" .. (more or "")):gsub("\n$", ""))
end

describe("files", function()
  -- Of commands: the exit code, and what is said first.
  local function assert_said(server, directory, cases)
    for words, expected in pairs(cases) do
      local output, status = run(server, (words:gsub("FOLDER", directory)))
      local text = "catalog: " .. expected[2]:gsub("FOLDER", directory)
      assert.equal(text, output:sub(1, #text))
      assert.equal(expected[1], status, words)
    end
  end

  it("of one name are a mistake, for which two ways out are shown", function()
    with_log(function(server, directory, client, sent)
      shell.run(("cd %s && mkdir a b && echo '{}' | tee a/x.json >b/x.json"):format(directory))
      shell.write(directory .. "/stdin.json", "{}\n")
      local id = created(server)
      sent()
      local twice = { 2, "FOLDER/a/x.json and FOLDER/b/x.json would both be x.json in the batch; give --relative, by which they"
        .. " keep their directories, or send them one by one with --name; catalog " }
      assert_said(server, directory, {
        ["ingest --dataset d FOLDER/a/x.json FOLDER/b/x.json"] = twice,
        [("upload %s FOLDER/a/x.json FOLDER/b/x.json"):format(id)] = twice,
        ["ingest --dataset d --relative FOLDER/a/x.json FOLDER//a/./x.json"] =
          { 2, "FOLDER/a/x.json and FOLDER//a/./x.json would both be " },
        ["ingest --dataset d --relative ../x.json"] = { 2, "--relative: ../x.json has .. in it, which no name may have;" },
        ["ingest --dataset d --relative --name n FOLDER/a/x.json"] = { 2, "give --name or --relative, not both;" },
        ["ingest --dataset d --relative --dir FOLDER"] = { 2, "--relative is for files, and not for --dir;" },
        ["ingest --dataset d FOLDER/stdin.json - <FOLDER/a/x.json"] =
          { 1, "FOLDER/stdin.json and standard input would both be stdin.json in the batch; nothing was sent" },
      })
      assert.same({}, sent())

      local there = ("program=$PWD/lua/catalog/cli/main.lua; cd %s && %s %s $program "):format(directory,
        command.environment(server), shell.LUA)
      local report = shell.run(there .. "-q ingest --dataset d --relative a/x.json ./b/x.json")
      local names = {}
      for i, file in ipairs(assert(client:batch((report:gsub("%s", ""))):input_files())) do names[i] = file.name end
      table.sort(names)
      assert.same({ "a/x.json", "b/x.json" }, names)
      assert.same({ "a/x.json: 3 B\nb/x.json: 3 B\n", 0 }, { shell.run(("%s upload --relative %s a/x.json b/x.json")
        :format(there, id)) })
    end)
  end)

  it("that are empty, a directory, or cannot be read are told, and nothing is sent", function()
    with_log(function(server, directory, _, sent)
      local id = created(server)
      sent()
      shell.write(directory .. "/empty.json", "")
      shell.write(directory .. "/page.html", "<p>")
      shell.run(("ln -s loop.json %s/loop.json"):format(directory))
      local empty = { 1, "FOLDER/empty.json is empty, and the service fails a batch with an empty file in it; nothing was sent" }
      local folder = { 1, "cannot send FOLDER: it is a directory; name the files in it, or ingest it with --dir" }
      local unreadable = { 1, "cannot read FOLDER/loop.json: Too many levels of symbolic links" }
      assert_said(server, directory, {
        ["ingest --dataset d FOLDER/a.json FOLDER/empty.json"] = empty,
        ["ingest --dataset d --dir FOLDER --pattern 'e*'"] = empty,
        ["ingest --dataset d - FOLDER/empty.json <FOLDER/a.json"] = empty,
        [("upload %s FOLDER/a.json FOLDER/empty.json"):format(id)] = empty,
        ["ingest --dataset d --format json FOLDER/a.json FOLDER"] = folder, [("upload %s FOLDER"):format(id)] = folder,
        ["ingest --dataset d FOLDER/a.json FOLDER/loop.json"] = unreadable,
        [("upload %s FOLDER/loop.json"):format(id)] = unreadable,
        ["ingest --dataset d --format json FOLDER/a.xml"] = { 1, "cannot read FOLDER/a.xml: No such file or directory" },
        ["ingest --dataset d FOLDER/page.html"] = { 1, "the ending of FOLDER/page.html does not say its format (.json, .jsonl,"
          .. " .ndjson, .csv or .parquet would); give --format, which is json, csv or parquet" },
      })
      assert.same({}, sent())
    end)
  end)

  it("that this user may not read are told", function()
    if shell.run "id -u" ~= "0\n" then return end -- to be somebody else takes root
    with_log(function(server, directory, _, sent)
      shell.run(("chmod 755 %s && chmod 000 %s/a.json"):format(directory, directory))
      local by = "setpriv --reuid 65534 --clear-groups env "
      if select(2, shell.run(by .. "test -r lua/catalog.lua")) ~= 0 then pending "others may not read the build tree" end
      local output, status = shell.run(("%s %s %s ingest --dataset d %s/a.json"):format(command.environment(server), by,
        command.PROGRAM, directory))
      assert.same({ ("catalog: cannot read %s/a.json: Permission denied [data]\n"):format(directory), 1 }, { output, status })
      assert.same({}, sent())
    end)
  end)

  it("with a byte-order mark are told with file and line, and lines may end in CRLF", function()
    with_log(function(server, directory, _, sent)
      local id, array = created(server), created(server, " --multiline")
      sent()
      shell.write(directory .. "/bom.json", '\u{FEFF}{"n":1}\n')
      shell.write(directory .. "/array.json", '[{"n":1}]')
      local mark = ", line 1: it begins with a byte-order mark of UTF-8, which is no JSON; take its first 3 bytes away"
      local file = { 1, "FOLDER/bom.json" .. mark }
      local lines = { 1, "FOLDER/array.json begins with [, which makes it one JSON array and no lines of JSON; " }
      assert_said(server, directory, {
        ["ingest --dataset d FOLDER/a.json FOLDER/bom.json"] = file,
        [("upload %s FOLDER/bom.json"):format(id)] = file,
        [("upload %s FOLDER/bom.json"):format(array)] = file,
        ["ingest --dataset d - <FOLDER/bom.json"] = { 1, "standard input" .. mark },
        ["ingest --dataset d FOLDER/array.json"] = { 1, lines[2] .. "give --multiline [data]" },
        [("upload %s FOLDER/a.json FOLDER/array.json"):format(id)] = { 1, lines[2] .. "create a batch with --multiline [data]" },
        [("upload %s - <FOLDER/array.json"):format(id)] = { 1, "standard input begins with [, which makes it one JSON array" },
      })
      assert.same({}, sent())
      assert.same({ "array.json: 9 B\n", 0 }, { run(server, ("upload %s %s/array.json"):format(array, directory)) })
      shell.write(directory .. "/crlf.json", '{"n":1}\r\n{"n":2}\r\n')
      local output, status = run(server, ("ingest --dataset d %s/crlf.json"):format(directory))
      assert.equal(0, status, output)
      assert.matches("\n  2 of 2 records are in\n1 file, 18 B in ", output, 1, true)
    end)
  end)
end)
