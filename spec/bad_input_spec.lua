-- What people get wrong, and what goes wrong around them: each message is checked.
local catalog = require "catalog"
local certificates = require "support.certificates"
local emulator = require "catalog.emulator"
local raw = require "support.raw"
local service = require "support.service"
local shell = require "support.shell"

local DATASET <const> = service.DATASET
local NOWHERE <const> = "http://127.0.0.1:1" -- the port of tcpmux, where nobody listens

local function nowhere(changes)
  return service.client(NOWHERE, changes)
end

-- Creates at a server with the script, and gives the error.
local function error_at(script, changes, create)
  local server <close> = raw.start(script)
  local batch, err = service.client(server.url, changes):create_batch(create or { dataset = DATASET })
  assert.is_nil(batch)
  return err
end

local function assert_error(err, kind, ...)
  assert.equal(kind, err.kind, tostring(err))
  for _, text in ipairs { ... } do assert.matches(text, err.message, 1, true) end
end

describe("options of create_batch", function()
  it("need a dataset", function()
    for _, options in ipairs { {}, { format = "json" } } do
      local batch, err = nowhere():create_batch(options)
      assert.is_nil(batch)
      assert_error(err, "data", "create_batch needs the id of a dataset: { dataset = '...' }")
    end
    local batch, err = nowhere():create_batch()
    assert.is_nil(batch)
    assert_error(err, "data", "create_batch needs the id of a dataset")
  end)

  it("need a dataset that is not empty", function()
    local _, err = nowhere():create_batch { dataset = "" }
    assert_error(err, "data", "dataset is empty")
  end)

  it("raise when unknown, with the nearest known one and the caller's line", function()
    local ok, message = pcall(function() nowhere():create_batch { datset = DATASET } end)
    assert.is_false(ok)
    assert.matches("^[^\n]*bad_input_spec.lua:%d+: unknown option 'datset' for create_batch %(did you mean 'dataset'%?%)$",
      message)
    local nested, inner = pcall(function() nowhere():create_batch { dataset = DATASET, csv = { delimeter = ";" } } end)
    assert.is_false(nested)
    assert.matches("unknown option 'delimeter' for create_batch.csv (did you mean 'delimiter'?)", inner, 1, true)
  end)

  it("raise when of a wrong type", function()
    for option, case in pairs {
      dataset = { 17, "string expected, got number" }, format = { true, "string expected, got boolean" },
      multiline = { "yes", "boolean expected, got string" }, tags = { "a", "table expected, got string" },
      partial_ingestion = { "5", "number expected, got string" }, timeout = { "5", "number expected, got string" },
      extra = { "x", "table expected, got string" }, sandbox = { 1, "string expected, got number" },
      replay = { "b", "table expected, got string" },
    } do
      local options = { dataset = DATASET, [option] = case[1] }
      local ok, message = pcall(function() nowhere():create_batch(options) end)
      assert.is_false(ok)
      assert.matches(("bad option '%s' for create_batch (%s)"):format(option, case[2]), message, 1, true)
    end
    assert.error_matches(function() nowhere():create_batch "5c8c" end,
      "bad argument to create_batch (a table of options expected, got string)", 1, true)
    assert.error_matches(function() nowhere():batch(17) end, "the id is a string, got number", 1, true)
  end)

  it("are refused when their values cannot be", function()
    for _, case in ipairs {
      { { format = "jsn" }, "format 'jsn' is not known; it is json, parquet or csv" },
      { { format = "json", csv = { delimiter = ";" } }, "csv options need format = 'csv', and it is 'json'" },
      { { format = "csv", multiline = true }, "multiline needs format = 'json', and it is 'csv'" },
      { { partial_ingestion = 101 }, "partial_ingestion is a percentage, 0 to 100" },
      { { partial_ingestion = 0 / 0 }, "partial_ingestion is a percentage, 0 to 100" },
      { { tags = { a = "b" } }, "tags.a must be a list of strings" },
      { { tags = { a = { 1 } } }, "tags.a must be a list of strings" },
      { { tags = { "a" } }, "tags must be a table of name = { 'value', ... }" },
      { { replay = { predecessors = { 1 } } }, "replay.predecessors must be a list of strings" },
      { { extra = { a = { print } } }, "options.a[1] is a function" },
      { { external_id = "\255" }, "options.externalId" },
    } do
      case[1].dataset = DATASET
      local batch, err = nowhere():create_batch(case[1])
      assert.is_nil(batch)
      assert_error(err, "data", case[2])
    end
    local _, err = nowhere():create_batch { dataset = DATASET, timeout = 0 }
    assert_error(err, "config", "timeout must be more than 0")
  end)

  it("refuse a sandbox with a newline in it", function()
    local _, err = nowhere():create_batch { dataset = DATASET, sandbox = "dev\nx-evil: 1" }
    assert_error(err, "config", "sandbox has a newline or another control character in it")
  end)
end)

describe("a configuration", function()
  local function refused(changes)
    local client, err = catalog.client(service.settings(NOWHERE, changes))
    assert.is_nil(client)
    return err
  end

  it("needs an organisation, a key and credentials", function()
    local client, err = catalog.client { api_key = "key", token = "token" }
    assert.is_nil(client)
    assert_error(err, "config", "org is missing", "AEP_ORG")
    assert_error(select(2, catalog.client { org = "ORG", token = "token" }), "config", "api_key is missing", "AEP_API_KEY")
    assert_error(select(2, catalog.client { org = "ORG", api_key = "key" }), "config", "no credentials", "AEP_ACCESS_TOKEN")
    assert_error(refused { org = "" }, "config", "org is missing")
  end)

  it("has no newline in what becomes a header, and the message does not show the value", function()
    for _, name in ipairs { "token", "org", "sandbox", "api_key", "user_agent" } do
      local err = refused { [name] = "s3cret\nx-evil: 1" }
      assert_error(err, "config", name .. " has a newline or another control character in it")
      assert.is_nil(tostring(err):find("s3cret", 1, true))
    end
  end)

  it("does not send a token in which a function put a newline", function()
    local _, err = nowhere({ token = function() return "s3cret\n" end }):create_batch { dataset = DATASET }
    assert_error(err, "config", "token has a newline")
    assert.is_nil(tostring(err):find("s3cret", 1, true))
  end)

  it("says when a token function fails or gives no token", function()
    local _, failed = nowhere({ token = function() error("no vault", 0) end }):create_batch { dataset = DATASET }
    assert_error(failed, "auth", "the token function failed: no vault")
    local _, none = nowhere({ token = function() end }):create_batch { dataset = DATASET }
    assert_error(none, "auth", "the token function gave a nil, and a string is needed")
  end)

  it("refuses plain http unless it is loopback or said aloud", function()
    for _, url in ipairs { "http://platform.adobe.io", "http://127.0.0.1.example.com", "http://localhost.example.com" } do
      assert_error(refused { base_url = url }, "config", "base_url cannot be used", "plain http", "insecure = true")
    end
    assert.is_truthy(catalog.client(service.settings("http://platform.adobe.io", { insecure = true })))
    for _, url in ipairs { "http://localhost:1", "http://127.1.2.3:1", "http://[::1]:1", "https://platform.adobe.io/" } do
      assert.is_truthy(catalog.client(service.settings(url)), url)
    end
  end)

  it("refuses a base URL that is none", function()
    for _, url in ipairs { "https://", "platform adobe io", "", "https://:443/" } do
      assert_error(refused { base_url = url }, "config", "base_url is not a URL such as https://platform.adobe.io")
    end
    assert_error(refused { base_url = "ftp://host" }, "config", "neither https nor http")
    assert_error(refused { base_url = "https://host/?a=b" }, "config", "a query or a fragment")
    local err = refused { base_url = "https://me:s3cret@host" }
    assert_error(err, "config", "a user name or a password")
    assert.is_nil(tostring(err):find("s3cret", 1, true))
    assert_error(refused { ims_url = "http://ims.example.com" }, "config", "ims_url cannot be used")
  end)

  it("refuses times and sizes that are not more than nothing, and a file that is not there", function()
    for _, name in ipairs { "timeout", "connect_timeout" } do
      assert_error(refused { [name] = 0 }, "config", name .. " must be more than 0")
      assert_error(refused { [name] = 0 / 0 }, "config", name .. " must be more than 0")
    end
    assert_error(refused { max_reply = 0 }, "config", "max_reply must be more than 0")
    assert_error(refused { ca_file = "/nonexistent.pem" }, "config", "ca_file cannot be read", "/nonexistent.pem")
  end)

  it("refuses a ca_file that holds no certificate", function()
    shell.with_directory(function(directory)
      local path = directory .. "/ca.pem"
      assert_error(refused { ca_file = directory }, "config", "ca_file cannot be read: " .. directory, "directory")
      for _, text in ipairs { "", "no PEM", "-----BEGIN PRIVATE KEY-----\nMII=\n-----END PRIVATE KEY-----\n" } do
        shell.write(path, text)
        assert_error(refused { ca_file = path }, "config", "ca_file has no certificate in it: " .. path, "PEM")
      end
      for _, kind in ipairs { "CERTIFICATE", "TRUSTED CERTIFICATE", "X509 CERTIFICATE" } do
        shell.write(path, ("# comment\n-----BEGIN %s-----\nMII=\n"):format(kind))
        assert(catalog.client(service.settings("http://127.0.0.1:1", { ca_file = path })))
      end
    end)
  end)

  it("raises for an unknown option or a wrong type", function()
    assert.error_matches(function() catalog.client { api_kye = "x" } end,
      "unknown option 'api_kye' for client (did you mean 'api_key'?)", 1, true)
    assert.error_matches(function() catalog.configure { timeout = "60" } end,
      "bad option 'timeout' for client (number expected, got string)", 1, true)
    assert.error_matches(function() catalog.client { token = 17 } end,
      "bad option 'token' for client (string or callable expected, got number)", 1, true)
  end)
end)

describe("the network", function()
  it("may have nobody listening", function()
    local _, err = nowhere():create_batch { dataset = DATASET }
    assert_error(err, "network", "POST http://127.0.0.1:1/data/foundation/import/batches: cannot connect",
      "127.0.0.1 port 1")
    assert.is_true(err.retryable)
    assert.is_nil(err.ambiguous)
  end)

  it("may not know the host", function()
    local client = assert(catalog.client(service.settings("https://no-such-host.invalid")))
    local _, err = client:create_batch { dataset = DATASET }
    assert_error(err, "network", "the host's name is not known", "no-such-host.invalid")
    assert.is_nil(err.ambiguous)
  end)

  it("may have a server that accepts and says nothing", function()
    local err = error_at({ { { hang = true } } }, { timeout = 0.2 })
    assert_error(err, "timeout", "no answer within 0.2 seconds")
    assert.is_true(err.ambiguous)
    assert.is_true(err.retryable)
  end)

  it("takes the time of the call before the client's", function()
    assert_error(error_at({ { { hang = true } } }, { timeout = 30 }, { dataset = DATASET, timeout = 0.1 }), "timeout",
      "no answer within 0.1 seconds")
  end)

  it("may have a server that closes without an answer", function()
    local err = error_at { { { close = true } } }
    assert_error(err, "network", "the connection was closed before an answer came")
    assert.is_true(err.ambiguous)
  end)

  it("may have a server that speaks no HTTP", function()
    local err = error_at { { { send = "220 mail.example.com ESMTP\r\n", close = true } } }
    assert_error(err, "protocol", "the answer is not HTTP as it should be")
    assert.is_true(err.ambiguous)
  end)

  it("may have a reply over max_reply", function()
    local err = error_at({ { { send = raw.answer("201 Created", '{"id":"' .. ("x"):rep(2000) .. '"}') } } },
      { max_reply = 1000 })
    assert_error(err, "limit", "the reply is larger than max_reply allows")
    assert.is_true(err.ambiguous)
  end)

  it("may have a redirect, which is not followed", function()
    local err = error_at { { { send = raw.answer("302 Found", "", "location: http://127.0.0.1:1/\r\n") } } }
    assert_error(err, "http", "302", "a redirect, which is not followed")
    assert.equal(302, err.status)
  end)
end)

describe("the core", function()
  it("takes a text for a body, and a range there is", function()
    local core = require "catalog.core"
    local client, headers = service.client("http://127.0.0.1:1").connection, core.client.headers {}
    local function start(changes)
      local request = { method = "POST", url = "http://127.0.0.1:1/", body = "12345", upload = true }
      for name, value in pairs(changes) do request[name] = value end
      core.transfer.start(client, request, headers, 1)
    end
    assert.error_matches(function() start { body = 12345 } end, "body: string expected")
    assert.error_matches(function() start { url = 1 } end, "url: string expected")
    assert.error_matches(function() start { offset = 6 } end, "offset: beyond the end of the body")
    assert.error_matches(function() start { offset = 1, length = 5 } end, "length: beyond the end of the body")
    assert.error_matches(function() start { offset = 1.5 } end, "offset: integer expected")
    assert.error_matches(function() start { into = headers } end, "into: open file expected")
    local buffer = core.buffer.new(10)
    assert.error_matches(function() buffer:append("x", 1, math.maxinteger) end, "no such range")
  end)
end)

describe("a TLS certificate", function()
  local function create_at(directory, name, changes)
    local server <close> = assert(emulator.start {
      cert = directory .. "/" .. name .. ".pem", key = directory .. "/" .. name .. ".key",
    })
    changes.ca_file = changes.ca_file and directory .. "/" .. changes.ca_file
    return service.client(server.url, changes):create_batch { dataset = DATASET }
  end

  it("is accepted when a known authority signed it for the host", function()
    shell.with_directory(function(directory)
      certificates.authority(directory)
      certificates.sign(directory, "good", "127.0.0.1", 2)
      assert(create_at(directory, "good", { ca_file = "ca.pem" }))
      local batch, err = create_at(directory, "good", {})
      assert.is_nil(batch)
      assert_error(err, "tls", "the server's certificate is not accepted; no authority known here has signed it",
        "install ca-certificates, or name the authorities to trust by ca_file")
    end)
  end)

  it("is refused when self-signed, for the wrong host, or expired", function()
    shell.with_directory(function(directory)
      certificates.authority(directory)
      certificates.self_signed(directory, "own")
      certificates.sign(directory, "other", "platform.adobe.io", 2)
      certificates.sign(directory, "old", "127.0.0.1", -1)
      for name, words in pairs { own = "self%-signed", other = "127.0.0.1", old = "expired" } do
        local batch, err = create_at(directory, name, { ca_file = "ca.pem" })
        assert.is_nil(batch)
        assert_error(err, "tls", "the server's certificate is not accepted")
        assert.matches(words, err.message)
        assert.is_nil(err.ambiguous)
        assert.is_nil(err.retryable)
      end
    end)
  end)
end)
