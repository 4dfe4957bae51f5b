-- What the program reads as it comes: standard input, and pipes.
local command = require "support.command"
local core = require "catalog.core"
local shell = require "support.shell"

local run, pipe, with_files = command.run, command.pipe, command.with_files

-- An emulator that keeps what it is sent where we can read it.
local function with_kept(body)
  shell.with_directory(function(kept)
    with_files(body, { data_dir = kept .. "/data", log = kept .. "/log" })
  end)
end

local function files_of(client, output)
  local batch = client:batch(assert(core.json.decode(output)).id)
  return assert(batch:input_files())
end

describe("standard input", function()
  it("is sent as it is, in parts where it is long", function()
    with_kept(function(server, directory, client)
      local output, status = pipe(server, "yes '{\"n\":1}' | head -n 300000",
        "--json ingest --dataset d --part-size 256KiB --timeout 1m - 2>/dev/null")
      assert.equal(0, status, output)
      local report = assert(core.json.decode(output))
      assert.equal(300000, report.metrics.outputRecordCount)
      assert.equal(2400000, report.bytes)
      assert.same({ { name = "stdin.json", bytes = 2400000 } }, files_of(client, output))
      assert.equal(0, select(2, run(server, ("--json ingest --dataset d --name x/y.json - <%s/a.json"):format(directory))))
    end)
  end)

  it("may have a line longer than a part, carriage returns and no last newline", function()
    with_kept(function(server, _, client)
      local output, status = pipe(server, [[printf '{"n":1}\r\n{"s":"'; head -c 3000000 /dev/zero | tr '\0' x; printf '"}']],
        "--json ingest --dataset d --part-size 1MiB - 2>/dev/null")
      assert.equal(0, status, output)
      assert.equal(2, assert(core.json.decode(output)).metrics.outputRecordCount)
      assert.equal(3000000 + 17, files_of(client, output)[1].bytes)
    end)
  end)

  it("may have a line of a gigabyte, which is in memory only in parts", function()
    with_kept(function(server, directory, client)
      local batch = assert(client:create_batch { dataset = "d", format = "json" })
      -- what it prints last is how much memory it had at most
      shell.write(directory .. "/measured.lua", [[
        local code = require("catalog.cli.program").main(arg)
        print(code, io.open("/proc/self/status"):read("a"):match "VmHWM:%s*(%d+) kB")]])
      local output = shell.run(([[{ printf '{"s":"'; head -c 1G /dev/zero | tr '\0' x; printf '"}\n'; } |
        %s %s %s/measured.lua upload %s -]]):format(command.environment(server), shell.LUA, directory, batch.id))
      assert.equal("stdin.json: 1.07 GB", output:match "^[^\n]*")
      local kilobytes = tonumber(output:match "\n0\t(%d+)\n")
      -- a sanitizer keeps what was freed for a while
      assert.is_true(kilobytes < (shell.PRELOAD == "" and 300000 or 900000), output)
    end)
  end)

  it("that is empty, closed or a directory is an error, and nothing is sent", function()
    shell.with_directory(function(kept)
      with_files(function(server)
        for input, text in pairs {
          ["</dev/null"] = "standard input is empty; nothing was sent",
          ["</"] = "standard input cannot be read: Is a directory",
        } do
          local output, status = run(server, "ingest --dataset d - " .. input)
          assert.equal(1, status, output)
          assert.matches("catalog: " .. text, output, 1, true)
        end
        local output, status = run(server, "ingest --dataset d - <&-")
        assert.equal(2, status, output)
        assert.matches("catalog: standard input (-) is closed", output, 1, true)
        assert.equal("", (shell.read(kept .. "/log")))
      end, { log = kept .. "/log" })
    end)
  end)

  it("that is a terminal is refused", function()
    if shell.run "command -v script" == "" then pending "script (util-linux) is not there" end
    local output = shell.run(("script -qec '%s ingest --dataset d -; echo code $?' /dev/null </dev/null"):format(
      command.PROGRAM))
    assert.matches("standard input %(%-%) is a terminal; .-\ncode 2", (output:gsub("\r", "")))
  end)

  it("goes beside files, and into a batch that is there", function()
    with_kept(function(server, directory, client)
      local output, status = pipe(server, "echo '{}'", ("--json ingest --dataset d %s/a.json - 2>/dev/null"):format(directory))
      assert.equal(0, status, output)
      assert.equal(2, #files_of(client, output))
      local id = run(server, "-q create --dataset d --format json"):gsub("%s", "")
      output, status = pipe(server, "echo '{}'", ("upload %s - %s/b.json"):format(id, directory))
      assert.same({ "stdin.json: 3 B\nb.json: 24 B\n", 0 }, { output, status })
      output, status = run(server, ("upload %s --name n.json - </dev/null"):format(id))
      assert.equal(1, status, output)
      assert.matches("standard input is empty", output, 1, true)
    end)
  end)

  it("that is slow does not let what was sent stand still", function()
    with_kept(function(server)
      local output, status = pipe(server,
        "for i in 1 2 3 4 5; do head -c 5000 /dev/zero | tr '\\0' ' '; echo '{}'; sleep 0.3; done",
        "-v ingest --dataset d --part-size 4000 -")
      assert.equal(0, status, output)
      -- a part is there long before the next: it was not left until the end
      for seconds in output:gmatch "PATCH %S+ 200 ([%d.]+) s" do assert.is_true(tonumber(seconds) < 0.25, output) end
      assert.matches("PATCH", output, 1, true)
    end)
  end)

  it("that fails in the middle leaves no batch behind", function()
    with_kept(function(server)
      server:set_faults { { match = { method = "PATCH" }, action = { status = 400 } } }
      local output, status = pipe(server, "yes '{}' | head -c 100000", "ingest --dataset d --part-size 1K -")
      assert.equal(1, status, output)
      local id = assert(output:match "the batch (%w+) is aborted; nothing of it is ingested\n", output)
      assert.equal("aborted\n", (run(server, "-q status " .. id)))
    end)
  end)
end)

describe("what comes through a pipe", function()
  -- Tells what an ingest came to in the names of the batch's files and their format; or what it said.
  local function sent(server, client, first, words)
    local output, status = pipe(server, first, "--json ingest --dataset d " .. words)
    if status ~= 0 then return output, status end
    local report = output:match "{.*}"
    return files_of(client, report)[1].name, assert(client:batch(core.json.decode(report).id):get()).inputFormat.format
  end

  it("is of the format that an ending says, or of JSON", function()
    with_kept(function(server, directory, client)
      assert.same({ "x.csv", "csv" }, { sent(server, client, "printf 'a,b\\n1,2\\n'", "--name x.csv -") })
      assert.same({ "stdin.csv", "csv" }, { sent(server, client, "printf 'a,b\\n1,2\\n'", "--format csv -") })
      assert.same({ "people", "json" }, { sent(server, client, "echo '{}'", "--name people -") })
      shell.run("mkfifo " .. directory .. "/p.csv")
      assert.same({ "p.csv", "csv" },
        { sent(server, client, (": & printf 'a,b\\n1,2\\n' >%s/p.csv"):format(directory), directory .. "/p.csv") })
    end)
  end)

  it("is looked at, with the files beside it, before anything is sent", function()
    shell.with_directory(function(kept)
      with_files(function(server, directory, client)
        shell.write(directory .. "/c.csv", "a\n1\n")
        shell.write(directory .. "/array.json", "[{}]")
        for words, said in pairs {
          ["- %s/c.csv"] = "catalog: the files are of more than one format: standard input is json, and %s/c.csv is csv; give"
            .. " --format, or ingest them apart",
          ["- %s/none.json"] = "catalog: cannot read %s/none.json: No such file or directory",
          ["- %s"] = "catalog: cannot send %s: it is a directory",
          ["- %s/array.json"] = "catalog: %s/array.json begins with [",
        } do
          local output, status = sent(server, client, "echo '{}'", words:format(directory))
          assert.equal(1, status, output)
          assert.matches(said:format(directory), output, 1, true)
        end
        local output, status = sent(server, client, "echo '[{}]'", "-")
        assert.equal(1, status)
        assert.matches("standard input begins with [, which makes it one JSON array and no lines of JSON; give --multiline",
          output, 1, true)
        assert.equal("", (shell.read(kept .. "/log")))
      end, { log = kept .. "/log" })
    end)
  end)
end)

describe("a pipe that has a name", function()
  it("is read, as <(...) and as a file", function()
    with_kept(function(server, directory, client)
      local words = ("bash -c '%s --json ingest --dataset d <(cat %s/a.json) <(cat %s/b.json) 2>/dev/null'"):format(
        command.PROGRAM, directory, directory)
      local output, status = shell.run(command.environment(server) .. words)
      assert.equal(0, status, output)
      assert.equal(8, assert(core.json.decode(output)).metrics.outputRecordCount)
      for _, file in ipairs(files_of(client, output)) do assert.matches("^%d+%.json$", file.name) end
      shell.run("mkfifo " .. directory .. "/people.csv")
      output, status = shell.run(("printf 'a,b\\n1,2\\n' >%s/people.csv & "):format(directory) .. command.environment(server)
        .. ("%s --json ingest --dataset d --format csv %s/people.csv 2>/dev/null"):format(command.PROGRAM, directory))
      assert.equal(0, status, output)
      assert.equal("people.csv", files_of(client, output)[1].name)
    end)
  end)

  it("that ends within a line is sent as it is, and the service refuses that row", function()
    with_files(function(server, directory)
      shell.run("mkfifo " .. directory .. "/pipe")
      local half <const> = "--partial-ingestion 50"
      for more, expected in pairs { [""] = 3, [half] = 3, [half .. " --allow-failed 1"] = 0 } do
        local output, status = shell.run(([[printf '{"n":1}\n{"n":' >%s/pipe & %s %s ingest --dataset d %s %s/pipe]]):format(
          directory, command.environment(server), command.PROGRAM, more, directory))
        assert.equal(expected, status, output)
        assert.matches(more == "" and "0 of 2 records are in" or "1 of 2 records are in", output, 1, true)
      end
    end)
  end)

  it("that ends before it has anything is an error", function()
    with_files(function(server, directory)
      shell.run("mkfifo " .. directory .. "/pipe")
      local output, status = shell.run((": >%s/pipe & "):format(directory) .. command.environment(server)
        .. ("%s ingest --dataset d %s/pipe"):format(command.PROGRAM, directory))
      assert.equal(1, status, output)
      assert.matches("/pipe is empty; nothing was sent", output, 1, true)
    end)
  end)
end)
