-- What goes wrong with an exchange: each message is checked.
local catalog = require "catalog"
local certificates = require "support.certificates"
local emulator = require "catalog.emulator"
local errors = require "support.errors"
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

local assert_error <const> = errors.assert_error

describe("an exchange", function()
  it("where nobody listens is an error of kind network that may be tried again", function()
    local _, err = nowhere():create_batch { dataset = DATASET }
    assert_error(err, "network", "POST http://127.0.0.1:1/data/foundation/import/batches: cannot connect",
      "127.0.0.1 port 1")
    assert.is_true(err.retryable)
    assert.is_nil(err.ambiguous)
  end)

  it("with a host whose name is not known is an error of kind network", function()
    local client = assert(catalog.client(service.settings("https://no-such-host.invalid", { proxy = "" })))
    local _, err = client:create_batch { dataset = DATASET }
    assert_error(err, "network", "the host's name is not known", "no-such-host.invalid")
    assert.is_nil(err.ambiguous)
  end)

  it("with a server that accepts and says nothing is over at its time", function()
    local err = error_at({ { { hang = true } } }, { timeout = 0.2 })
    assert_error(err, "timeout", "no answer within 0.2 seconds")
    assert.is_true(err.ambiguous)
    assert.is_true(err.retryable)
  end)

  it("with a server that closes without an answer is an error that leaves it open what happened", function()
    local err = error_at { { { close = true } } }
    assert_error(err, "network", "the connection was closed before an answer came")
    assert.is_true(err.ambiguous)
  end)

  it("with a server that speaks no HTTP is an error of kind protocol", function()
    local err = error_at { { { send = "220 mail.example.com ESMTP\r\n", close = true } } }
    assert_error(err, "protocol", "the answer is not HTTP as it should be")
    assert.is_true(err.ambiguous)
  end)

  it("whose reply is longer than max_reply is an error of kind limit", function()
    local err = error_at({ { { send = raw.answer("201 Created", '{"id":"' .. ("x"):rep(2000) .. '"}') } } },
      { max_reply = 1000 })
    assert_error(err, "limit", "the reply is larger than max_reply allows")
    assert.is_true(err.ambiguous)
  end)

  it("by TLS with a server of plain http says so, and a proxy of plain http is told from it", function()
    local plain = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"
    for _, bytes in ipairs { plain, "220 mail.example.com ESMTP\r\n" } do
      local server <close> = raw.start { { { silent = true, after = 1, send = bytes, hang = true } } }
      local secure = server.url:gsub("^http:", "https:")
      local _, err = service.client(secure):create_batch { dataset = DATASET }
      assert_error(err, "tls", "the server does not speak TLS; is it http://?")
      assert.is_nil(err.retryable)
      assert.is_nil(err.ambiguous)
      local _, of_proxy = service.client("https://aep.invalid", { proxy = secure }):create_batch { dataset = DATASET }
      assert_error(of_proxy, "tls", "the proxy does not speak TLS; is it http://? (" .. secure)
    end
  end)

  it("that is answered by a redirect does not follow it", function()
    local err = error_at { { { send = raw.answer("302 Found", "", "location: http://127.0.0.1:1/\r\n") } } }
    assert_error(err, "http", "302", "a redirect, which is not followed")
    assert.equal(302, err.status)
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
