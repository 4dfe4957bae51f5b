-- What is wrong is what the error says: causes that look like others.
local catalog = require "catalog"
local certificates = require "support.certificates"
local emulator = require "catalog.emulator"
local raw = require "support.raw"
local service = require "support.service"
local shell = require "support.shell"

local DATASET <const> = service.DATASET
local QUICK <const> = { tries = 3, base = 0.001 }
local NULL <const> = tostring(catalog.null)

-- Makes a batch at a server that gives the answers one after another; `call` is given the client and that batch.
local function at(answers, call, changes)
  local script = { { send = raw.answer("201 Created", '{"id":"b1","status":"loading"}') } }
  for _, bytes in ipairs(answers) do script[#script + 1] = { send = bytes } end
  local server <close> = raw.start { script }
  local client = service.client(server.url, changes)
  return call(client, assert(client:create_batch { dataset = DATASET }))
end

local function ok(body, headers) return raw.answer("200 OK", body, headers) end

-- Gives what the program printed, and its exit status.
local function run_program(server, words)
  local command = "AEP_BASE_URL=%s AEP_ORG=o AEP_API_KEY=k AEP_ACCESS_TOKEN=t %s lua/catalog/cli/main.lua %s"
  return shell.run(command:format(server.url, shell.LUA, words))
end

describe("a process that has opened all it may", function()
  -- Runs the script with few descriptors; `exhaust()` takes all that are left and gives a function that frees them.
  local function run(script, url, more)
    return shell.lua(([[
      local catalog = require "catalog"
      local function exhaust()
        files = {} -- held, also where nobody is to free them
        repeat
          local file = io.open "/dev/null"
          files[#files + 1] = file
        until not file
        return function() for _, file in ipairs(files) do file:close() end end
      end
      local function client(base_url, on_retry)
        return assert(catalog.client {
          base_url = base_url, org = "ORG@AdobeOrg", api_key = "key", token = "token",
          retry = on_retry and { tries = 3, base = 0.001 } or false, on_retry = on_retry,
        })
      end
      local function show(value, err) print(value and "done" or err.kind, value or err.message, err and err.retryable) end
      local url = %q
    ]]):format(url) .. script, "ulimit -n 48; " .. (more or ""))
  end

  local HINT <const> = "too many files and connections are open; raise the limit %(ulimit %-n%), or lower parallel"

  it("is told so where a connection, a name or the authorities cannot be had", function()
    for _, url in ipairs { "http://127.0.0.1:1", "https://127.0.0.1:1", "https://nobody.invalid" } do
      local output = run([[
        local one = client(url)
        exhaust()
        show(one:create_batch { dataset = "5c8c3c555033b814b69f947f" })
      ]], url)
      assert.matches("^limit\tPOST " .. url:gsub("%p", "%%%0") .. "/[%w/]+: " .. HINT .. "\ttrue\n$", output)
    end
  end)

  it("goes on when something is closed", function()
    local server <close> = raw.start { { { send = raw.answer("201 Created", '{"id":"b1"}') } } }
    local output = run([[
      local free
      local one = client(url, function() free() end)
      free = exhaust()
      print(one:create_batch { dataset = "5c8c3c555033b814b69f947f" })
    ]], server.url)
    assert.matches("^batch b1", output)
  end)

  it("has read every file of the module at the first require", function()
    local missing = shell.lua [[
      require "catalog"
      for name in io.popen("cd lua && find catalog -name '*.lua'"):lines() do
        local module = name:gsub("/", "."):gsub("%.lua$", "")
        local apart = module:find "^catalog%.cli" or module:find "^catalog%.emulator" or module:find "^catalog%.serve"
          or module:find '^catalog%.loop%.[cl]' or module:find "^catalog%.drain"
          or module:find "^catalog%.s[it]%l+" and module ~= "catalog.sink.open" -- a sink opens files as well
        if not apart and not package.loaded[module] and not package.preload[module] then print(module) end
      end
    ]]
    assert.equal("", missing)
  end)

  it("finds all parts of the module read", function()
    shell.with_directory(function(directory)
      shell.write(directory .. "/a.json", "{}\n")
      local output = run(([[
        local one = client(url)
        local batch = one:batch("b1", { dataset = "d" })
        exhaust()
        show(one:ingest { dataset = "5c8c3c555033b814b69f947f", files = { %q } })
        show(batch:upload("a", { reader = function() end }))
        show(batch:complete())
        show(batch:input_files())
        show(one:create_batch { dataset = "5c8c3c555033b814b69f947f", once = true })
        show(catalog.map({ 1 }, function(n) return n end))
      ]]):format(directory .. "/a.json"), "http://127.0.0.1:1")
      local kinds = {}
      for line in output:gmatch "[^\n]+" do kinds[#kinds + 1] = line:match "^[^\t]*" end
      assert.equal("limit limit limit limit limit done", table.concat(kinds, " "), output)
      assert.matches("a.json: too many files and connections are open", output, 1, true)
    end)
  end)
end)

describe("a system without authorities to trust", function()
  local can_mount = select(2, shell.run "unshare -m true") == 0
  local test = can_mount and it or pending

  test("is told to install them (needs root, to hide those there are)", function()
    shell.with_directory(function(directory)
      certificates.authority(directory)
      certificates.sign(directory, "good", "127.0.0.1", 2)
      local server <close> = assert(emulator.start { cert = directory .. "/good.pem", key = directory .. "/good.key" })
      shell.write(directory .. "/script.lua", ([[
        local client = assert(require "catalog".client {
          base_url = %q, org = "ORG@AdobeOrg", api_key = "key", token = "token", retry = false,
        })
        print(select(2, client:create_batch { dataset = "5c8c3c555033b814b69f947f" }))
      ]]):format(server.url))
      local words = ("mount -t tmpfs none /etc/ssl/certs && env -u SSL_CERT_FILE %s %s/script.lua"):format(shell.LUA, directory)
      local output = shell.run("unshare -m sh -c " .. shell.quote(words))
      assert.matches("install ca-certificates, or name the authorities to trust by ca_file", output, 1, true)
      assert.matches("[tls]", output, 1, true)
    end)
  end)
end)

describe("headers without end", function()
  local ENDLESS <const> = {
    lines = "HTTP/1.1 201 Created\r\n" .. ("x-more: and more\r\n"):rep(30000),
    ["one line"] = "HTTP/1.1 201 Created\r\nx-more: " .. ("and more "):rep(30000),
    ["a status line"] = "HTTP/1.1 201 " .. ("and more "):rep(30000),
    ["replies that precede one"] = ("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"):rep(30000),
  }
  for name, bytes in pairs(ENDLESS) do
    it(("(%s) are no network's fault, and not asked for again"):format(name), function()
      for before = 0, 1 do -- a handle that had a reply before looks at headers in another way
        local script = {}
        for i = 1, before do script[i] = { send = raw.answer("201 Created", '{"id":"b1"}') } end
        script[#script + 1] = { send = bytes, hang = true }
        local server <close> = raw.start { script }
        local client = service.client(server.url, { retry = QUICK })
        for _ = 1, before do assert(client:create_batch { dataset = DATASET }) end
        local batch, err = client:create_batch { dataset = DATASET, once = false }
        assert.is_nil(batch)
        assert.equal("protocol", err.kind, tostring(err))
        assert.matches("the headers of the reply are too large", err.message, 1, true)
        assert.is_nil(err.retryable)
        assert.equal(1, err.attempts)
      end
    end)
  end
end)

describe("a reply", function()
  local MARK <const> = "\u{FEFF}"

  it("may begin with a byte order mark", function()
    at({ ok(MARK .. '{"b1":{"status":"success"}}'), raw.answer("400 Bad", MARK .. '{"title":"Not so"}'), ok(MARK .. "{}") },
      function(_, batch)
        assert.equal("success", assert(batch:get()).status)
        assert.matches("the server answered 400: Not so", select(2, batch:get()).message, 1, true)
        assert(batch:complete())
      end)
  end)

  it("that is encoded, which was not asked for, is an error that names the encoding", function()
    local zipped = "\x1f\x8b\8\0\0\0\0\0\0\3\xab\xae\5\0"
    for _, case in ipairs {
      { ok(zipped, "content-encoding: gzip\r\n"), "gzip" }, { ok(zipped), "gzip" },
      { ok("\xa1\1\0", "content-encoding: br\r\n"), "br" },
      { raw.answer("400 Bad", zipped, "content-encoding: gzip\r\n"), "gzip" },
    } do
      at({ case[1] }, function(_, batch)
        local fields, err = batch:get()
        assert.is_nil(fields)
        assert.matches(("a body encoded as %s, which was not asked for"):format(case[2]), err.message, 1, true)
      end)
    end
    at({ ok('{"b1":{"status":"success"}}', "content-encoding: identity\r\n") }, function(_, batch)
      assert.equal("success", assert(batch:get()).status)
    end)
  end)

  it("that is another than was asked for is shown; but what may have a token in it is not", function()
    at({ ok "<html><body><h1>Sign in</h1></body></html>" }, function(_, batch)
      local _, err = batch:get()
      assert.equal("protocol", err.kind)
      assert.matches("the server answered 200, but it is not JSON", err.message, 1, true)
      assert.matches("; it is: Sign in", err.message, 1, true)
    end)
    local server <close> = raw.start { { { send = ok '{"access_token":"t0p-s3cret-t0ken","expires_in":' } } }
    local settings = service.settings(server.url, { client_secret = "s" })
    settings.token = nil
    local _, err = assert(catalog.client(settings)):create_batch { dataset = DATASET }
    assert.equal("protocol", err.kind)
    assert.is_nil(tostring(err):find("t0p", 1, true))
  end)
end)

describe("a catalog", function()
  it("that answers a wait with a page, or garbage, or not at all is not a batch that is still unknown", function()
    for bytes, words in pairs {
      [ok "<html><body>Sign in</body></html>"] = "the server answered 200, but it is not JSON",
      [ok "[7]"] = "the server answered 200, but the reply has no batch; it is: [7]",
      [ok '{"b2":{"status":"success"}}'] = "the reply has no batch; it is: ",
    } do
      local answers = {}
      for i = 1, 20 do answers[i] = bytes end
      at(answers, function(_, batch)
        local done, err = batch:wait { timeout = 0.6 }
        assert.is_nil(done)
        assert.equal("protocol", err.kind, tostring(err))
        assert.matches("the batch b1 could not be looked up in 0.6 seconds: GET ", err.message, 1, true)
        assert.matches(words, err.message, 1, true)
        assert.is_nil(err.message:find("unknown", 1, true))
      end, { retry = QUICK })
    end
  end)

  it("that says in the end what it cannot tell has its last state told as well", function()
    local answers = { ok '{"b1":{"status":"loaded"}}' }
    for i = 2, 20 do answers[i] = ok "<p>Sign in</p>" end
    at(answers, function(_, batch)
      local _, err = batch:wait { timeout = 0.6 }
      assert.equal("timeout", err.kind)
      assert.matches("the batch b1 was still loaded after 0.6 seconds", err.message, 1, true)
      assert.matches("; the last look-up: GET ", err.message, 1, true)
      assert.matches("it is: Sign in", err.message, 1, true)
    end)
  end)

  it("that answers with an empty object does not know the batch, as with 404", function()
    for _, body in ipairs { "{}", "[]", '{"b1":null}' } do
      local server <close> = raw.start { { { send = ok(body) }, { send = ok(body) } } }
      local batch = service.client(server.url):batch "b1"
      for _, call in ipairs { "get", "wait" } do
        local fields, err = batch[call](batch)
        assert.is_nil(fields)
        assert.equal("http", err.kind)
        assert.equal(404, err.status)
        assert.is_nil(err.retryable)
        assert.matches("the server answered 200, but the catalog does not know the batch b1", err.message, 1, true)
      end
    end
    -- one that was made here will be known soon
    at({ ok "{}", ok '{"b1":{"status":"success"}}' }, function(_, batch)
      assert.equal("success", assert(batch:wait { timeout = 20 }).status)
    end)
    at({ ok "{}", ok "{}", ok "{}", ok "{}" }, function(_, batch)
      local _, err = batch:wait { timeout = 0.3 }
      assert.equal("timeout", err.kind)
      assert.matches("was still unknown after 0.3 seconds", err.message, 1, true)
    end)
  end)

  it("is asked by the program, which ends with 1 and not as if the batch had failed", function()
    local server <close> = raw.start { { { send = ok "{}" } } }
    local output, status = run_program(server, "wait b1")
    assert.equal(1, status, output)
  end)
end)

describe("null in a reply", function()
  it("is as good as nothing in what is shown", function()
    at({ ok('{"b1":{"id":null,"inputFormat":{"format":null}}}') }, function(_, batch)
      local fields = assert(batch:get())
      assert.equal("b1", fields.id)
      assert.equal("batch b1 (not looked up)", tostring(fields))
      assert.matches("of the format unknown", select(2, fields:writer "a").message, 1, true)
    end)
  end)

  it("is no state, and none of an error's words", function()
    local failed = ok '{"b1":{"status":"failed","errors":[{"code":null,"description":null,"recordCount":null}]}}'
    at({ ok '{"b1":{"status":null}}', failed }, function(_, batch)
      local seen = {}
      local _, err = batch:wait { timeout = 20, on_change = function(status) seen[#seen + 1] = status end }
      assert.same({ "failed" }, seen)
      assert.equal("the batch b1 ended as failed: no code: no description", err.message)
      assert.equal("the batch b1 ended as failed: no code: no description [batch]", tostring(err))
    end)
    at({ ok '{"b1":{"status":null}}', ok '{"b1":{"status":null}}', ok '{"b1":{"status":null}}' }, function(_, batch)
      local _, err = batch:wait { timeout = 0.2 }
      assert.is_nil(tostring(err):find(NULL, 1, true))
    end)
  end)

  it("is shown by the program as null", function()
    local server <close> = raw.start { { { send = ok '{"b1":{"status":"loading","completed":null}}' } } }
    local output = run_program(server, "status b1")
    assert.matches("completed +null", output)
    assert.is_nil(output:find(NULL, 1, true))
  end)
end)
