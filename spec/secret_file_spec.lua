-- Secrets that files hold: read again, and never shown.
local catalog = require "catalog"
local raw = require "support.raw"
local service = require "support.service"
local shell = require "support.shell"

local DATASET <const> = service.DATASET
local created <const> = raw.created

local function grant(token)
  return { send = raw.answer("200 OK", ('{"access_token":"%s","expires_in":86399}'):format(token)) }
end

local tokens_of <const> = raw.tokens_of

describe("a file", function()
  local REFUSED <const> = { send = raw.answer("401 No", '{"error_code":"401013","message":"Oauth token is not valid"}') }

  -- Writes the file as who rotates a secret does: it is never there in part.
  local function replace(path, text)
    shell.write(path .. ".new", text)
    assert(os.rename(path .. ".new", path))
  end

  local function with_file(text, body)
    return shell.with_directory(function(directory)
      local path = directory .. "/secret"
      shell.write(path, text)
      return body(path)
    end)
  end

  local function reading(url, path, changes)
    local settings = service.settings(url, { token_file = path })
    settings.token = nil
    for name, value in pairs(changes or {}) do settings[name] = value end
    return catalog.client(settings)
  end

  it("of a token is read again when that is refused, once for all calls", function()
    with_file(" first-token\r\n", function(path)
      local server <close> = raw.start { { created "b1", REFUSED, created "b2", created "b3" } }
      local client = assert(reading(server.url, path))
      assert(client:create_batch { dataset = DATASET })
      replace(path, "second-token\n")
      for _ = 1, 2 do assert(client:create_batch { dataset = DATASET }) end
      assert.same({ "first-token", "first-token", "second-token", "second-token" }, tokens_of(server:stop()))
    end)
  end)

  it("of a token that is still the one that was refused has it told, and the next call looks again", function()
    with_file("first-token", function(path)
      local server <close> = raw.start { { REFUSED, REFUSED, created "b1" } }
      local client = assert(reading(server.url, path))
      local _, err = client:create_batch { dataset = DATASET }
      assert.equal("401013", err.code)
      assert.is_nil(tostring(err):find("first-token", 1, true))
      replace(path, "second-token")
      assert(client:create_batch { dataset = DATASET })
      assert.same({ "first-token", "first-token", "second-token" }, tokens_of(server:stop()))
    end)
  end)

  it("of a token that is away when it is looked for is waited for as long as the call is tried", function()
    with_file("first-token", function(path)
      local server <close> = raw.start { { REFUSED, created "b1" } }
      local client = assert(reading(server.url, path, {
        retry = { tries = 2, base = 0.001 }, on_retry = function() replace(path, "second-token") end,
      }))
      os.remove(path)
      assert(client:create_batch { dataset = DATASET })
    end)
    with_file("first-token", function(path)
      local server <close> = raw.start { { REFUSED } }
      local client = assert(reading(server.url, path))
      shell.write(path, "")
      local _, err = client:create_batch { dataset = DATASET }
      assert.equal("config", err.kind)
      assert.is_nil(err.ambiguous)
      assert.matches(("token_file (AEP_ACCESS_TOKEN_FILE) cannot be used: %s is empty"):format(path), err.message, 1, true)
    end)
  end)

  it("of a client's secret is read for each token that is fetched", function()
    with_file("s3cret-one\n", function(path)
      local ims <close> = raw.start { { grant "t1", grant "t2" } }
      local server <close> = raw.start { { created "b1", REFUSED, created "b2" } }
      local client = assert(reading(server.url, nil, { ims_url = ims.url, client_secret_file = path, scopes = "a" }))
      assert(client:create_batch { dataset = DATASET })
      replace(path, "s3cret-two")
      assert(client:create_batch { dataset = DATASET })
      local secrets = {}
      for i, request in ipairs(ims:stop()) do secrets[i] = request:match "client_secret=([^&]*)" end
      assert.same({ "s3cret-one", "s3cret-two" }, secrets)
      assert.same({ "t1", "t1", "t2" }, tokens_of(server:stop()))
    end)
  end)

  it("of a client's secret has it shown by nobody", function()
    with_file("s3cret-one", function(path)
      local ims <close> = raw.start { { { send = raw.answer("400 Bad", '{"error":"bad","error_description":"s3cret-one"}') } } }
      local client = assert(reading("http://127.0.0.1:1", nil, { ims_url = ims.url, client_secret_file = path }))
      local _, err = client:create_batch { dataset = DATASET }
      assert.matches("bad: ***", err.message, 1, true)
    end)
  end)

  it("that cannot be the secret is refused when the client is made, and none of it is shown", function()
    with_file("", function(path)
      local wrong = {
        [""] = " is empty", [" \n\n"] = " is empty", ["s3cret\nmore"] = " has more than one line in it",
        ["s3cret\0more"] = " has a control character in it", [("s3cret"):rep(11000)] = ": it is larger than 65536 bytes",
      }
      for option, variable in pairs { token_file = "AEP_ACCESS_TOKEN_FILE", client_secret_file = "AEP_CLIENT_SECRET_FILE" } do
        local function assert_refused(named, words)
          local client, err = reading("http://127.0.0.1:1", nil, { [option] = named })
          assert.is_nil(client)
          assert.equal("config", err.kind)
          assert.matches(("%s (%s) cannot be "):format(option, variable), err.message, 1, true)
          assert.matches(named .. words, err.message, 1, true)
          assert.is_nil(tostring(err):find("s3cret", 1, true))
        end
        for text, words in pairs(wrong) do
          shell.write(path, text)
          assert_refused(path, words)
        end
        assert_refused("/nonexistent", ": No such file or directory")
        assert_refused("/tmp", ": it is a directory")
        assert_refused("/dev/null", ": it is no regular file")
        if shell.run(("test -p %s.pipe || mkfifo %s.pipe"):format(path, path)) == "" then
          assert_refused(path .. ".pipe", ": it is no regular file")
        end
      end
    end)
  end)

  it("gives way to what is given itself, and all of the environment to one in the table", function()
    with_file("of-a-file", function(path)
      local script = [[
        local catalog, service, raw = require "catalog", require "support.service", require "support.raw"
        local created = { send = raw.answer("201 Created", '{"id":"b"}') }
        local server <close> = raw.start { { created, created, created, created } }
        local function create(changes)
          local settings = service.settings(server.url, changes)
          if not changes.token then settings.token = nil end
          assert(assert(catalog.client(settings)):create_batch { dataset = "d" })
        end
        for i = 1, tonumber(os.getenv "CALLS") do
          create(({ {}, { token_file = os.getenv "SPEC_FILE" }, { token = "of-the-table", token_file = "/nonexistent" } })[i])
        end
        for _, request in ipairs(server:stop()) do print(request:match "Authorization: Bearer (%S+)") end
      ]]
      local both = "CALLS=3 SPEC_FILE=%s AEP_ACCESS_TOKEN=of-the-environment AEP_ACCESS_TOKEN_FILE=/nonexistent"
      local output = shell.lua(script, both:format(path))
      assert.equal("of-the-environment\nof-a-file\nof-the-table\n", output)
      local environment = "CALLS=1 AEP_ACCESS_TOKEN= AEP_ACCESS_TOKEN_FILE=%s AEP_CLIENT_SECRET=s3cret-secret"
      assert.equal("of-a-file\n", (shell.lua(script, environment:format(path))))
    end)
  end)
end)
