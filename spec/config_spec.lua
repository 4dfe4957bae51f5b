-- Configurations that people get wrong: each message is checked.
local catalog = require "catalog"
local certificates = require "support.certificates"
local emulator = require "catalog.emulator"
local errors = require "support.errors"
local service = require "support.service"
local shell = require "support.shell"

local DATASET <const> = service.DATASET
local NOWHERE <const> = "http://127.0.0.1:1" -- the port of tcpmux, where nobody listens

local function nowhere(changes)
  return service.client(NOWHERE, changes)
end

local assert_error <const> = errors.assert_error

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
      assert.equal("", (shell.run("mkfifo " .. directory .. "/pipe")))
      for _, name in ipairs { directory .. "/pipe", "/dev/null" } do -- a pipe that nobody writes to would be waited for
        assert_error(refused { ca_file = name }, "config", "ca_file cannot be read: " .. name, "no regular file")
      end
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

-- Creates in a process with the environment. Gives the batch's id or the error.
local function create_with(environment)
  return shell.lua([[
    local client, err = require "catalog".client {
      base_url = os.getenv "SPEC_URL", org = "ORG@AdobeOrg", api_key = "key", token = "token", retry = false,
      ca_file = os.getenv "SPEC_FILE",
    }
    local batch
    if client then batch, err = client:create_batch { dataset = "5c8c3c555033b814b69f947f" } end
    print(batch and "created" or err.kind .. ": " .. err.message)
  ]], environment)
end

-- Calls `body(environment, directory)` with a server whose authority nobody knows: its certificate is ca.pem, and it is
-- in the directory `known`, too, by the name that OpenSSL looks for.
local function with_server(body)
  shell.with_directory(function(directory)
    certificates.authority(directory)
    certificates.sign(directory, "good", "127.0.0.1", 2)
    certificates.self_signed(directory, "own")
    local words = "mkdir %s/known && cp %s/ca.pem %s/known && openssl rehash %s/known"
    assert.equal("", (shell.run((words:gsub("%%s", directory)))))
    local server <close> = assert(emulator.start { cert = directory .. "/good.pem", key = directory .. "/good.key" })
    body("SPEC_URL=" .. server.url, directory)
  end)
end

describe("the authorities to trust", function()
  it("are those of SSL_CERT_FILE and SSL_CERT_DIR where ca_file is not given", function()
    with_server(function(environment, directory)
      assert.matches("^tls: .*not accepted", create_with(environment))
      assert.equal("created\n", (create_with(("%s SSL_CERT_FILE=%s/ca.pem"):format(environment, directory))))
      assert.equal("created\n", (create_with(("%s SSL_CERT_DIR=%s/known"):format(environment, directory))))
      assert.equal("created\n", (create_with(("%s SSL_CERT_FILE= SSL_CERT_DIR=/nonexistent:%s/known"):format(environment,
        directory))))
      local given = ("%s SPEC_FILE=%s/own.pem"):format(environment, directory)
      assert.matches("^tls: .*not accepted", create_with(("%s SSL_CERT_FILE=%s/ca.pem"):format(given, directory)))
      assert.matches("^tls: .*not accepted", create_with(("%s SSL_CERT_DIR=%s/known"):format(given, directory)))
    end)
  end)

  it("are looked at when the client is made, and only where they matter", function()
    local secure, plain = "SPEC_URL=https://127.0.0.1:1", "SPEC_URL=http://127.0.0.1:1"
    for path, words in pairs {
      ["/nonexistent"] = "SSL_CERT_FILE cannot be read: /nonexistent: No such file or directory",
      ["/dev/null"] = "SSL_CERT_FILE cannot be read: /dev/null: it is no regular file",
      ["/etc/hostname"] = "SSL_CERT_FILE has no certificate in it: /etc/hostname",
    } do
      assert.matches("config: " .. words, create_with(("%s SSL_CERT_FILE=%s"):format(secure, path)), 1, true)
      assert.matches("^network: ", create_with(("%s SSL_CERT_FILE=%s"):format(plain, path)))
    end
    for _, path in ipairs { "/nonexistent", "/dev/null", "/nonexistent:/etc/hostname" } do
      assert.matches(("config: SSL_CERT_DIR is no directory: %s; "):format(path),
        create_with(("%s SSL_CERT_FILE= SSL_CERT_DIR=%s"):format(secure, path)), 1, true)
      assert.matches("^network: ", create_with(("%s SSL_CERT_FILE= SSL_CERT_DIR=%s"):format(plain, path)))
    end
  end)
end)
