-- Commands on batches: what they print, and their exit codes.
local command = require "support.command"
local core = require "catalog.core"
local shell = require "support.shell"

local run, with_files = command.run, command.with_files

local function created(server) return (run(server, "create --quiet --dataset d --format json"):gsub("\n$", "")) end

describe("a batch", function()
  it("is created, filled, completed, waited for, and taken back", function()
    with_files(function(server, directory)
      local id = created(server)
      assert.matches("^%w+$", id)
      assert.same({ "a.json: 40 B\nb.json: 24 B\n", 0 }, { run(server, ("upload %s %s/a.json %s/b.json"):format(id, directory,
        directory)) })
      assert.same({ "", 0 }, { run(server, ("upload -q %s --name c/d.json %s/b.json"):format(id, directory)) })
      assert.same({ ("batch %s: completed\n"):format(id), 0 }, { run(server, "complete " .. id) })
      assert.same({ "success\n", 0 }, { run(server, "-q wait --timeout 1m " .. id) })
      assert.matches('"outputRecordCount":11', (run(server, "status " .. id)), 1, true)
      assert.same({ id = id, action = "complete" }, (core.json.decode((run(server, "--json complete " .. id)))))
      assert.same({ ("batch %s: reverted\n"):format(id), 0 }, { run(server, "revert " .. id) })
      assert.same({ "inactive\n", 0 }, { run(server, "status -q " .. id) })
      local output, status = run(server, ("upload %s %s/a.json"):format(id, directory))
      assert.equal(1, status)
      assert.matches("^catalog: PUT ", output)
    end)
  end)

  it("that is done with is told in a line, or with --quiet not at all", function()
    with_files(function(server)
      local id, other = created(server), created(server)
      assert.same({ ("batch %s: aborted\n"):format(id), 0 }, { run(server, "abort " .. id) })
      assert.same({ "", 0 }, { run(server, "-q abort " .. other) })
      assert.equal("aborted\n", (run(server, "status -q " .. other)))
      local output, status = run(server, "complete " .. id)
      assert.equal(1, status)
      assert.is_nil(output:find("completed\n", 1, true), output)
    end)
  end)

  it("takes all files that are named, or none", function()
    with_files(function(server, directory, client)
      local id = created(server)
      local files = ("upload %s %s/a.json %s"):format(id, directory, directory)
      for words, text in pairs {
        [files .. "/none.json"] = "cannot read " .. directory .. "/none.json",
        [files] = ("cannot send %s: it is a directory"):format(directory),
        [files .. "/c.csv"] = ("the ending of c.csv says csv, and the batch %s is of the format json;"):format(id),
      } do
        shell.write(directory .. "/c.csv", "a\n1\n")
        local output, status = run(server, words)
        assert.equal(1, status, output)
        assert.matches("^catalog: " .. text:gsub("%p", "%%%0"), output)
        assert.is_nil(output:find("40 B", 1, true), output)
      end
      assert.same({ "c: 4 B\n", 0 }, { run(server, ("upload --name c %s %s/c.csv"):format(id, directory)) })
      id = assert(client:create_batch { dataset = "d", format = "csv" }).id
      assert.same({ "stdin.csv: 4 B\n", 0 }, { run(server, ("upload %s - <%s/c.csv"):format(id, directory)) })
      assert.same({ "stdin.json: 4 B\n", 0 }, { run(server, ("upload %s --dataset d - <%s/c.csv"):format(id, directory)) })
    end)
  end)

  it("has its times shown as times, and how long its states lasted", function()
    with_files(function(server, directory)
      local id = created(server)
      run(server, ("upload %s %s/a.json"):format(id, directory))
      assert.matches("\n%(lasted%) +loading and staging [%d.]+ s so far\n$", (run(server, "status " .. id)))
      run(server, "complete " .. id)
      local output = run(server, "wait " .. id)
      for _, name in ipairs { "created", "started", "completed", "updated" } do
        assert.matches("\n" .. name .. " +20%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d UTC\n", "\n" .. output)
      end
      assert.matches("\n%(lasted%) +loading and staging [%d.]+ s, processing [%d.]+ s\n", output)
      assert.equal("integer", math.type(assert(core.json.decode((run(server, "status --json " .. id)))).created))
      assert.equal(id, assert(core.json.decode((run(server, "status --json -q " .. id)))).id)
      id = created(server)
      run(server, "abort " .. id)
      assert.matches("\n%(lasted%) +loading and staging [%d.]+ s\n$", (run(server, "status " .. id)))
    end, { stage_ms = 20 })
  end)

  it("of a wait that ran out of time may be waited for again", function()
    with_files(function(server, directory)
      local id = created(server)
      run(server, ("upload %s %s/a.json"):format(id, directory))
      run(server, "complete " .. id)
      local output, status = run(server, "wait --timeout 300ms " .. id)
      assert.equal(75, status, output)
      assert.matches("it goes on, and can be waited for again", output, 1, true)
    end, { stage_ms = 60000 })
  end)
end)

describe("rows that were refused", function()
  it("are an exit code of their own, unless so many may be", function()
    with_files(function(server, directory)
      local words = ("ingest --dataset d --format json --partial-ingestion 50%% %s/a.json %s/bad.json"):format(directory,
        directory)
      local output, status = run(server, words)
      assert.equal(3, status, output)
      local id = assert(output:match "batch (%w+): success\n")
      assert.matches(("catalog: 1 row was refused (--allow-failed 0); catalog errors %s shows why\n"):format(id), output, 1, true)
      assert.equal(0, select(2, run(server, words .. " --allow-failed 1")))
      assert.equal(3, select(2, run(server, "wait " .. id)))
      assert.equal(0, select(2, run(server, "wait --allow-failed 1 " .. id)))
    end)
  end)
end)

describe("an ingest", function()
  it("that is done already says so, and sends nothing", function()
    with_files(function(server, directory)
      local words = ("ingest --dataset d --format json --journal %s/j %s/a.json"):format(directory, directory)
      local first, status = run(server, words)
      assert.equal(0, status, first)
      assert.is_nil(first:find "already")
      local again, done = run(server, words .. " -v")
      assert.equal(0, done, again)
      assert.matches("\nalready done on 20%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d UTC; to ingest it anew, remove %S+/j\n", again)
      assert.is_nil(again:find "PUT" or again:find "POST")
      assert.equal(first:match "batch (%w+)", again:match "batch (%w+)")
      words = ("ingest --dataset d --split --journal %s/k %s/a.json %s/b.json"):format(directory, directory, directory)
      assert.is_nil((run(server, words)):find "already")
      assert.matches("\nalready done on 20%d%d.-; to ingest it anew, remove %S+/k\n", (run(server, words)))
      assert.equal("", (run(server, words .. " -q 2>&1 >/dev/null")))
    end)
  end)

  it("is quiet where it is asked to be, and shows what is exchanged", function()
    with_files(function(server, directory)
      local words = ("ingest --dataset d --format json %s/a.json "):format(directory)
      assert.matches("^%w+\n$", (run(server, words .. "-q")))
      local output = run(server, words .. "--verbose 2>&1 >/dev/null")
      for _, step in ipairs { "POST %S+/batches 201", "PUT %S+/a.json 200", "POST %S+action=COMPLETE 200", "GET %S+ 200" } do
        assert.matches("\n" .. step .. " [%d.]+ s request %w+\n", "\n" .. output)
      end
      assert.is_nil(output:find "s3cret")
    end)
  end)

  it("takes what is below a directory, where it is told to", function()
    with_files(function(server, directory, client)
      shell.run(("mkdir -p %s/in/a/b && cp %s/a.json %s/in/a/b/x.json && cp %s/b.json %s/in/x.json"):format(directory, directory,
        directory, directory, directory))
      for option, names in pairs { [""] = "x.json", [" --recursive"] = "a/b/x.json x.json" } do
        local id = run(server, ("ingest -q --dataset d --dir %s/in%s"):format(directory, option)):gsub("%s+$", "")
        local found = {}
        for i, file in ipairs(assert(client:batch(id):input_files())) do found[i] = file.name end
        table.sort(found)
        assert.equal(names, table.concat(found, " "))
      end
    end)
  end)

  it("for which nothing was created has no result", function()
    with_files(function(server, directory)
      local output, status = run(server, ("ingest --dataset d %s/a.json --external-id x 2>&1 >/dev/null"):format(directory))
      assert.equal(0, status, output)
      for _, option in ipairs { "", "--json", "-q" } do
        output, status = run(server, ("ingest --dataset d %s/a.json --external-id x %s 2>/dev/null"):format(directory, option))
        assert.same({ "", 1 }, { output, status })
      end
    end)
  end)

  it("that fails says what became of its batch", function()
    with_files(function(server, directory)
      server:set_faults { { match = { method = "PUT" }, action = { status = 400 } } }
      local output, status = run(server, ("ingest --dataset d --format json %s/a.json"):format(directory))
      assert.equal(1, status, output)
      local id = assert(output:match "the batch (%w+) is aborted; nothing of it is ingested\n", output)
      assert.equal("aborted\n", (run(server, "-q status " .. id)))
    end)
  end)
end)

describe("a message", function()
  it("says what to do where the emulator's port is another's", function()
    with_files(function(server)
      local port = server.url:match "%d+$"
      local output, status = run(server, "emulator --port " .. port)
      assert.equal(1, status)
      assert.matches(("catalog: cannot listen on port %s: Address already in use; give another --port"):format(port),
        output, 1, true)
    end)
  end)

  it("has no Lua in it", function()
    local problem = require "catalog.cli.problem"
    for text, shown in pairs {
      ["2 files are more than a batch may have (1); split = true spreads them over several"] =
        "2 files are more than a batch may have (1); --split spreads them over several",
      ["a part_size of 5"] = "a --part-size of 5", ["create it with format = 'json'"] = "create it with --format json",
      ["cannot read /data/part_size.json"] = "cannot read /data/part_size.json",
      ["the batch b names no dataset; give it: client:batch(id, { dataset = ... })"] =
        "the batch b names no dataset; give it with --dataset",
      ["base_url is not a URL"] = "AEP_BASE_URL is not a URL",
      ["a.json begins with [; give multiline = true [data]"] = "a.json begins with [; give --multiline [data]",
      ["the ending of a says nothing; give format, which is json"] = "the ending of a says nothing; give --format, which is json",
      ["use https (or say insecure = true)"] = "use https",
      ["no way to the proxy; check proxy, and whether it runs"] = "no way to the proxy; check the proxy, and whether it runs",
      ["proxy cannot be used: its scheme"] = "--proxy cannot be used: its scheme",
      ["cannot send d: it is a directory"] = "cannot send d: it is a directory; name the files in it, or ingest it with --dir",
      ["the batch b was still loading; it goes on once it is completed"] =
        "the batch b was still loading; it goes on once it is completed (catalog complete b)",
    } do assert.equal(shown, problem.translate(text)) end
    with_files(function(server)
      local output, status = run(server, "create --dataset d", "AEP_ORG=")
      assert.same({ "catalog: org is missing: set AEP_ORG in the environment [config]\n", 1 }, { output, status })
      output = run(server, "create --dataset d", "AEP_ACCESS_TOKEN=")
      assert.equal("catalog: no credentials: set AEP_ACCESS_TOKEN or AEP_ACCESS_TOKEN_FILE, or AEP_CLIENT_SECRET or"
        .. " AEP_CLIENT_SECRET_FILE and AEP_SCOPES [config]\n", output)
      output = run(server, "create --dataset d", "AEP_BASE_URL=nowhere")
      assert.matches("^catalog: AEP_BASE_URL is not a URL such as", output)
    end)
  end)
end)

describe("standard output", function()
  it("that is full is a failure, and a reader who has left is none", function()
    with_files(function(server)
      local id = created(server)
      local output, status = run(server, ("status %s >/dev/full"):format(id))
      assert.equal(1, status)
      assert.equal("catalog: standard output cannot be written: No space left on device\n", output)
      assert.equal(1, select(2, run(server, "--help >/dev/full")))
      output, status = run(server, ("status %s | :"):format(id))
      assert.same({ "", 0 }, { output, status })
      output = shell.run(("bash -c '%s %s --help | sleep 0; echo ${PIPESTATUS[0]}' 2>&1"):format(command.environment(server),
        command.PROGRAM))
      assert.is_true(output == "141\n" or output == "0\n", output) -- as soon as the reader leaves
    end)
  end)

  it("that cannot be written does not hide which batch there is now", function()
    with_files(function(server, directory)
      local output, status = run(server, "create -q --dataset d >/dev/full")
      assert.equal(1, status)
      local id = assert(output:match("^catalog: standard output cannot be written: No space left on device\n"
        .. "catalog: the batch (%w+) was created; catalog status %1 shows it\n$"), output)
      assert.equal("loading\n", (run(server, "status -q " .. id)))
      output, status = run(server, ("ingest -q --dataset d %s/a.json >/dev/full"):format(directory))
      assert.equal(1, status)
      assert.matches("catalog: the batch %w+ is completed, and goes on; catalog wait %w+ waits for it\n$", output)
    end)
  end)

  it("or standard error that is closed is no other's", function()
    shell.with_directory(function(kept)
      with_files(function(server)
        local id = created(server)
        local output, status = run(server, ("status -q %s >&-"):format(id))
        assert.same({ "catalog: standard output cannot be written: Bad file descriptor\n", 1 }, { output, status })
        output, status = shell.run(("%s %s -q wait %s 2>&- >&- <&- & pid=$!; until [ $(grep -c '^GET' %s/log) -gt 1 ]; do"
          .. " kill -0 $pid || break; sleep 0.02; done; readlink /proc/$pid/fd/1 /proc/$pid/fd/2; kill $pid; wait $pid"):format(
          command.environment(server), command.PROGRAM, id, kept))
        assert.same({ "/dev/null\n/dev/null\n", 143 }, { output, status })
      end, { log = kept .. "/log" })
    end)
  end)
end)
