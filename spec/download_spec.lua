-- Downloads: the files of a batch, onto the disk and nowhere else.
local batches = require "support.batches"
local command = require "support.command"
local core = require "catalog.core"
local disk = require "support.disk"
local power = require "support.power"
local program = require "support.program"
local raw = require "support.raw"
local service = require "support.service"
local shell = require "support.shell"

local ROW <const> = '{"n":1}\n'

-- A batch that has become files, by their names.
local function ingested(client, texts)
  local batch = batches.create(client)
  for name, text in pairs(texts) do assert(batch:upload(name, { data = text })) end
  assert(batch:complete())
  return assert(batch:wait())
end

-- Calls `body(batch, directory, client)` with a batch that has become files.
local function with_files(texts, body)
  shell.with_directory(function(directory)
    service.run({}, function(_, client) body(ingested(client, texts), directory, client) end)
  end)
end

-- A server with a batch of one file, of a name and a length, and then some answers.
local function one_file(name, length, ...)
  local listing = ('{"data":[{"dataSetFileId":"f-1"}]}')
  local inside = assert(core.json.encode { data = { { name = name, length = tostring(length) } } })
  return raw.start { { { send = raw.answer("200 OK", listing) }, { send = raw.answer("200 OK", inside) }, ... } }
end

local function part(text, range)
  return { send = raw.answer("206 Partial Content", text, range and ("content-range: bytes %s\r\n"):format(range) or "") }
end

local function files_in(directory)
  local names = {}
  for name in shell.run(("cd %s && find . -type f | sort"):format(directory)):gmatch "%./([^\n]+)" do names[#names + 1] = name end
  return names
end

describe("the files of a batch", function()
  it("are gone through with name and length, and read", function()
    with_files({ ["a.json"] = ROW, ["p=1/b.json"] = ROW:rep(3) }, function(batch, _, client)
      local seen = {}
      for file in batch:files() do seen[file.name] = { file.bytes, file:read() } end
      assert.same({ ["a.json"] = { 8, ROW }, ["p=1/b.json"] = { 24, ROW:rep(3) } }, seen)
      assert.equal("file a.json (8 bytes)", tostring(batch:files()()))
      for _ in batches.create(client):files() do error "there is none before it is ingested" end
    end)
  end)

  it("are gone through over pages", function()
    local texts = {}
    for i = 1, 130 do texts[("f%03d"):format(i)] = ROW end
    with_files(texts, function(batch)
      local names = {}
      for file in batch:files() do names[#names + 1] = file.name end
      assert.equal(130, #names)
      assert.equal("f130", names[130])
    end)
  end)

  it("are those that were sent, of a batch that failed", function()
    service.run({}, function(_, client)
      local batch = batches.completed(client, "no json\n")
      assert.equal("batch", select(2, batch:wait()).kind)
      local file = batch:files { failed = true }()
      assert.same({ "a", "no json\n" }, { file.name, file:read() })
      shell.with_directory(function(directory)
        assert.equal(8, assert(batch:download { to = directory, failed = true }).bytes)
        assert.equal("no json\n", shell.read(directory .. "/a"))
      end)
    end)
  end)

  it("raise what goes wrong in the loop", function()
    local server <close> = raw.start { { { send = raw.answer("403 Forbidden", '{"title":"Forbidden"}') } } }
    local fine, err = pcall(service.client(server.url):batch("b"):files())
    assert.same({ false, "auth" }, { fine, err.kind })
    fine, err = pcall(service.client(server.url):batch(".."):files())
    assert.same({ false, "data" }, { fine, err.kind })
  end)

  it("that have another length than was said are not read", function()
    local server <close> = one_file("a", 9, { send = raw.answer("200 OK", "12345678") })
    local text, err = service.client(server.url):batch("b"):files()():read()
    assert.same({ nil, "protocol" }, { text, err.kind })
    assert.matches("has 8 bytes, and not 9", err.message, 1, true)
  end)
end)

describe("a download", function()
  it("has every file of a batch, and nothing else", function()
    with_files({ ["a.json"] = ROW, ["p=1/q=2/b.json"] = ROW:rep(100000), ["p=1/c d.json"] = ROW }, function(batch, directory)
      local told = {}
      local report = assert(batch:download { to = directory .. "/out/", parallel = 2, on_progress = function(progress)
        told = progress
      end })
      assert.equal(800016, report.bytes)
      assert.equal(3, #report.files)
      assert.same({ "a.json", "p=1/c d.json", "p=1/q=2/b.json" }, files_in(directory .. "/out"))
      assert.equal(ROW:rep(100000), shell.read(directory .. "/out/p=1/q=2/b.json"))
      assert.same({ 800016, 800016, 3, 3 }, { told.bytes, told.total, told.files_done, told.files_total })
    end)
  end)

  it("of one file goes where it is told to", function()
    with_files({ ["a.json"] = ROW }, function(batch, directory)
      assert.equal(directory .. "/out/a.json", assert(batch:files()():download { to = directory .. "/out" }))
      assert.equal(ROW, shell.read(directory .. "/out/a.json"))
      assert(batch:download { to = directory .. "/of/this/day//" })
      assert.equal(ROW, shell.read(directory .. "/of/this/day/a.json"))
    end)
  end)

  it("replaces nothing unless it is told to", function()
    with_files({ ["a.json"] = ROW, ["b.json"] = ROW }, function(batch, directory)
      shell.write(directory .. "/a.json", "mine....")
      local report, err = batch:download { to = directory }
      assert.same({ nil, "data" }, { report, err.kind })
      assert.matches("a.json is there already; overwrite = true replaces it", err.message, 1, true)
      assert.equal("mine....", shell.read(directory .. "/a.json"))
      assert(batch:download { to = directory, overwrite = true })
      assert.equal(ROW, shell.read(directory .. "/a.json"))
      assert.equal("data", select(2, batch:download { to = directory }).kind)
    end)
  end)

  it("replaces nothing that somebody puts there meanwhile", function()
    shell.with_directory(function(directory)
      local server <close> = one_file("a", 6, part("abc", "0-2/6"), part("def", "3-5/6"))
      local report, err = service.client(server.url):batch("b"):download { to = directory, on_progress = function()
        shell.write(directory .. "/a", "mine")
      end }
      assert.same({ nil, "data" }, { report, err.kind })
      assert.matches("a is there already; overwrite = true replaces it", err.message, 1, true)
      assert.equal("mine", shell.read(directory .. "/a"))
      assert.equal("abcdef", shell.read(directory .. "/a.f-1.part"))
    end)
  end)

  it("goes on where it was broken off, and asks for nothing twice", function()
    local texts = { a = batches.bytes(300000), b = batches.bytes(200000), c = batches.bytes(100000) }
    shell.with_directory(function(directory) service.run({ log = directory .. "/log" }, function(server, client)
      local batch = batches.create(client) -- whose files are no JSON
      for name, text in pairs(texts) do assert(batch:upload(name, { data = text })) end
      assert(batch:complete())
      assert.equal("batch", select(2, batch:wait()).kind)
      local function log() return shell.read(directory .. "/log") end
      server:set_faults { { match = { method = "GET", path = "path=c$" }, action = { status = 403 } } }
      local report, err = batch:download { to = directory .. "/out", parallel = 1, failed = true }
      assert.same({ nil, "auth" }, { report, err.kind })
      os.remove(directory .. "/out/b") -- as if it had been broken off in the middle of it
      shell.write(("%s/out/b.%s.part"):format(directory, batch.id), texts.b:sub(1, 150000))
      server:set_faults {}
      local before = #log()
      assert(batch:download { to = directory .. "/out", failed = true })
      local asked = log():sub(before + 1)
      assert.is_nil(asked:find "path=a ")
      for name, text in pairs(texts) do assert.equal(text, shell.read(directory .. "/out/" .. name)) end
      assert.same({ "a", "b", "c" }, files_in(directory .. "/out"))
    end) end)
  end)

  it("goes on after kill -9 behind what had come", function()
    shell.with_directory(function(directory)
      local first <close> = one_file("a", 6, part("abc", "0-2/6"), { hang = true })
      local killed <close> = program.start(first.url, "spec/scripts/downloads.lua " .. directory)
      assert.equal("3", killed:line())
      killed:signal "KILL"
      killed:finish()
      assert.equal("abc", shell.read(directory .. "/a.f-1.part"))
      local second <close> = one_file("a", 6, part("def", "3-5/6"))
      assert(service.client(second.url):batch("b"):download { to = directory })
      assert.equal("abcdef", shell.read(directory .. "/a"))
      assert.matches("Range: bytes=3%-5%s", second:stop()[3])
    end)
  end)

  it("is made by one at a time", function()
    shell.with_directory(function(directory)
      local first <close> = one_file("a", 6, part("abc", "0-2/6"), { hang = true })
      local busy <close> = program.start(first.url, "spec/scripts/downloads.lua " .. directory)
      assert.equal("3", busy:line())
      local second <close> = one_file("a", 6, part("abcdef", "0-5/6"))
      local report, err = service.client(second.url):batch("b"):download { to = directory }
      assert.same({ nil, "config" }, { report, err.kind })
      assert.matches("another process has it", err.message, 1, true)
    end)
  end)

  it("asks for what is missing only, and takes pieces that are shorter than asked for", function()
    shell.with_directory(function(directory)
      shell.write(directory .. "/a.f-1.part", "abc")
      local server <close> = one_file("a", 10, part("def", "3-5/10"), part("ghij", "6-9/10"))
      local told = {}
      assert(service.client(server.url):batch("b"):download { to = directory, on_progress = function(progress)
        told[#told + 1] = progress.bytes
      end })
      assert.same({ 3, 6, 10, 10 }, told)
      assert.equal("abcdefghij", shell.read(directory .. "/a"))
      local requests = server:stop()
      assert.matches("Range: bytes=3%-9%s", requests[3])
      assert.matches("Range: bytes=6%-9%s", requests[4])
      assert.matches("accept: %*/%*%s", requests[4])
    end)
  end)

  it("takes all of a file where the range is ignored", function()
    shell.with_directory(function(directory)
      shell.write(directory .. "/a.f-1.part", "abc")
      local server <close> = one_file("a", 10, { send = raw.answer("200 OK", "0123456789") })
      assert(service.client(server.url):batch("b"):download { to = directory })
      assert.equal("0123456789", shell.read(directory .. "/a"))
    end)
  end)

  it("keeps what has come, and never an error in its place", function()
    shell.with_directory(function(directory)
      shell.write(directory .. "/a.f-1.part", "abc")
      local server <close> = one_file("a", 10, part("def", "3-5/10"), { send = raw.answer("500 Oh", '{"title":"Broken"}') })
      local report, err = service.client(server.url):batch("b"):download { to = directory }
      assert.same({ nil, 500 }, { report, err.status })
      assert.matches("Broken", err.message)
      assert.same({ "a.f-1.part" }, files_in(directory))
      assert.equal("abcdef", shell.read(directory .. "/a.f-1.part"))
    end)
  end)

  it("begins a piece again whose connection broke", function()
    shell.with_directory(function(directory)
      local listing = raw.answer("200 OK", '{"data":[{"dataSetFileId":"f-1"}]}')
      local inside = raw.answer("200 OK", '{"data":[{"name":"a","length":"6"}]}')
      local whole = raw.answer("206 Partial Content", "abcdef", "content-range: bytes 0-5/6\r\n")
      local server <close> = raw.start {
        { { send = listing }, { send = inside }, { send = whole:sub(1, -4), close = true } }, { { send = whole } },
      }
      local client = service.client(server.url, { retry = { base = 0.001 } })
      assert(client:batch("b"):download { to = directory })
      assert.equal("abcdef", shell.read(directory .. "/a"))
    end)
  end)

  it("of another length than was said is an error, and leaves nothing", function()
    for _, answer in ipairs {
      { send = raw.answer("200 OK", "12345678") }, { send = raw.answer("200 OK", "1234567890") },
      { send = raw.answer("200 OK", "") },
      part("123456789", "0-8/10"), part("123456789", "1-9/9"), part "123456789", part("1", "0-8/9"), part("123456789", "x"),
    } do
      shell.with_directory(function(directory)
        local server <close> = one_file("a", 9, answer)
        local report, err = service.client(server.url):batch("b"):download { to = directory }
        assert.same({ nil, "protocol" }, { report, err.kind })
        assert.same({}, files_in(directory))
      end)
    end
  end)

  it("never leaves its directory", function()
    for _, name in ipairs { "../a", "/etc/a", "a/../../b", "..", ".", "a//b", "a/", "a\0b" } do
      shell.with_directory(function(directory)
        assert(core.fs.mkdir(directory .. "/out"))
        local server <close> = one_file(name, 1, { send = raw.answer("200 OK", "x") })
        local report, err = service.client(server.url):batch("b"):download { to = directory .. "/out", overwrite = true }
        assert.same({ nil, "data" }, { report, err.kind }, name)
        assert.same({}, files_in(directory))
      end)
    end
  end)

  it("of files without a length, or of none, has them too", function()
    shell.with_directory(function(directory)
      local server <close> = one_file("a", "unknown", { send = raw.answer("200 OK", "abc") })
      assert.equal(3, assert(service.client(server.url):batch("b"):download { to = directory }).bytes)
      local empty <close> = one_file("e", 0, { send = raw.answer("200 OK", "") })
      assert(service.client(empty.url):batch("b"):download { to = directory })
      assert.same({ "a", "e" }, files_in(directory))
      assert.equal("", shell.read(directory .. "/e"))
    end)
  end)

  it("is on the disk once it is told, and goes on from what is there after a loss of the power", function()
    local texts = { a = batches.bytes(70000), ["p/b"] = batches.bytes(5000), ["p/q/c"] = "c\n", d = batches.bytes(40000) }
    disk.with_directory(function(room) service.run({}, function(server, client)
      local batch, done = batches.create(client), 0 -- whose files are no JSON
      for name, text in pairs(texts) do assert(batch:upload(name, { data = text })) end
      assert(batch:complete())
      batch:wait()
      for seed = 1, 24 do
        math.randomseed(seed)
        local path, trace = ("%s/%d"):format(room, seed), ("%s/%d.trace"):format(room, seed)
        assert(core.fs.mkdir(path))
        if seed % 3 == 0 then shell.run(("mkdir -p %s/out/p && printf %%70000s >%s/out/a"):format(path, path)) end -- an old file
        local machine, calls = power.of(path), seed % 4 > 0 and math.random(60) or 0
        local told = shell.run(command.environment(server) .. " " .. disk.command(
          ("spec/scripts/downloads_until.lua %s %s %d %s"):format(path, trace, calls, batch.id)))
        assert.is_nil(told:find "lua", told)
        machine:read(trace)
        machine:lose()
        machine:make(path .. "-after")
        local to = path .. "-after/out"
        if told == "told\n" then
          done = done + 1
        else
          shell.run(("find %s-after -type f -exec touch -d 2020-01-01 {} +"):format(path))
          local report, err = batch:download { to = to, failed = true, overwrite = true }
          assert(report, ("%d: %s"):format(seed, tostring(err)))
          assert.same({ "a", "d", "p/b", "p/q/c" }, files_in(to))
        end
        for name, text in pairs(texts) do assert.is_true(text == shell.read(to .. "/" .. name), seed .. " " .. name) end
      end
      assert.is_true(done >= 6)
    end) end)
  end)

  it("into what cannot be written is an error, and goes on once it can be", function()
    disk.with_directory(function(room) service.run({}, function(server, client)
      local batch = batches.completed(client, batches.bytes(100000)) -- which is no JSON
      batch:wait()
      for i, case in ipairs { "write ENOSPC 1", "write ENOSPC 3", "pwrite ENOSPC 1", "openat ENOSPC 2", "fsync EIO 1",
        "fsync EIO 2", "fsync EIO 3", "fsync EIO 4", "renameat EIO 1" } do
        local said, status = shell.run(command.environment(server) .. " " .. disk.command(
          ("spec/scripts/downloads_fail.lua %s/%d %s %s"):format(room, i, batch.id, case)))
        assert.equal(0, status, case .. ": " .. said)
        assert.matches(case:find "ENOSPC" and "No space left" or "Input/output error", said)
        assert.equal(100000, #shell.read(("%s/%d/a"):format(room, i)))
      end
    end) end)
  end)

  it("into a disk that is full is an error, and goes on once there is room", function()
    shell.with_directory(function(directory) service.run({}, function(server, client)
      local batch = batches.completed(client, batches.bytes(3000000)) -- which is no JSON
      batch:wait()
      local alone = ("d=%s; mkdir $d/small; unshare -m sh -c 'mount -t tmpfs -o size=2m tmpfs '$d'/small && %%s'"):format(
        directory)
      if select(2, shell.run(alone:format "true")) ~= 0 then return pending "no file system can be mounted here" end
      local words = ("%s %s download %s --failed --to %s/small"):format(command.environment(server), command.PROGRAM, batch.id,
        directory)
      local text = shell.run("cd . && " .. alone:gsub("mkdir", "mkdir -p"):format(
        ("%s; echo $?; ls -s --block-size=1 %s/small; mount -o remount,size=8m %s/small; %s -q; wc -c <%s/small/a")
          :format(words, directory, directory, words, directory)))
      assert.matches("cannot write .*/small/a%.%S+%.part: No space left on device %[data%]\n1\n", text)
      assert.matches("\n3000000\n$", text)
    end) end)
  end)

  it("of files that are in each other's way is refused", function()
    shell.with_directory(function(directory)
      local server <close> = one_file(".catalog-b", 1, { send = raw.answer("200 OK", "x") })
      assert.equal("data", select(2, service.client(server.url):batch("b"):download { to = directory }).kind)
      local twice = '{"data":[{"dataSetFileId":"f-1"},{"dataSetFileId":"f-2"}]}'
      local inside = { send = raw.answer("200 OK", '{"data":[{"name":"a","length":"1"}]}') }
      local both <close> = raw.start { { { send = raw.answer("200 OK", twice) }, inside, inside } }
      local report, err = service.client(both.url):batch("b"):download { to = directory }
      assert.same({ nil, "data" }, { report, err.kind })
      assert.matches('has two files of the name "a"', err.message, 1, true)
      assert.same({}, files_in(directory))
    end)
  end)

  it("is refused without a directory", function()
    local batch = service.client("http://127.0.0.1:1"):batch "b"
    assert.has_error(function() batch:download {} end, "bad option 'to' for download (string expected, got nil)")
    assert.equal("config", select(2, batch:download { to = "" }).kind)
    local server <close> = one_file("a", 1, { send = raw.answer("200 OK", "x") })
    assert.equal("config", select(2, service.client(server.url):batch("b"):download { to = "/dev/null" }).kind)
  end)
end)
