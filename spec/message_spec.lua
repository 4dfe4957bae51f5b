-- Messages quote keys, names and ids as one line: what is in them cannot move a terminal's cursor, or begin a line of a log.
local catalog = require "catalog"
local core = require "catalog.core"
local raw = require "support.raw"
local service = require "support.service"
local shell = require "support.shell"

local ODD <const>, SHOWN <const> = "a\n\27[2J\1\127", "a\\n\\x1b[2J\\x01\\x7f"

local function assert_shown(ok, err)
  assert.is_nil(ok)
  assert.matches(SHOWN, err.message, 1, true)
  assert.is_nil(tostring(err):find "%c", tostring(err))
end

describe("the message of an error", function()
  local function with_client(body)
    service.run({}, function(_, client) body(client) end)
  end

  it("shows control characters", function()
    assert.equal(SHOWN, core.failure.line(ODD))
    assert.equal("\\x00\\r\\tä\\ \\\\", core.failure.line "\0\r\tä\\ \\\\")
    assert.equal("", core.failure.line "")
    assert.equal(SHOWN, core.failure.new { kind = "data", message = ODD }.message)
    assert.is_nil(core.failure.new { kind = "data" }.message)
    assert.equal("the message", core.failure.new { kind = "data", message = "the message" }.message)
  end)

  it("quotes a key of tags, extra and records", function()
    with_client(function(client)
      local function create(options)
        options.dataset, options.format = "d", options.format or "json"
        return client:create_batch(options)
      end
      assert_shown(create { tags = { [ODD] = 1 } })
      assert_shown(create { tags = { [ODD .. "\0more"] = { "x" } } })
      assert_shown(create { extra = { [ODD] = { print } } })
      assert_shown(create { format = ODD })
      local out = assert(assert(create {}):writer "a")
      assert_shown(out:write { [ODD] = { b = print } })
      out:cancel()
    end)
  end)

  it("quotes names and ids", function()
    with_client(function(client)
      local batch = assert(client:create_batch { dataset = "d", format = "json" })
      assert_shown(batch:upload(ODD .. "/..", { data = "" }))
      assert_shown(batch:upload("a", { file = "/nonexistent/" .. ODD }))
      assert_shown(batch:upload(ODD .. ("x"):rep(2000), { data = "" }))
      assert_shown(batch:upload(ODD, { reader = function() return 1 end }))
      local first = assert(batch:writer(ODD))
      assert_shown(batch:writer(ODD))
      assert.matches(SHOWN, tostring(first), 1, true)
      assert(first:close())
      assert_shown(first:write {})
      assert.equal(("batch %s (not looked up)"):format(SHOWN), tostring(client:batch(ODD)))
      assert(batch:abort())
      assert_shown(client:ingest { dataset = "d", files = { "/nonexistent/" .. ODD } })
      assert_shown(client:ingest { dataset = "d", dir = "/nonexistent/" .. ODD })
      local ok, why = pcall(client.create_batch, client, { [ODD] = 1 })
      assert.is_false(ok)
      assert.matches("unknown option '" .. SHOWN .. "'", why, 1, true)
      assert_shown(catalog.client(service.settings("http://127.0.0.1:1", { ca_file = "/nonexistent/" .. ODD })))
    end)
  end)

  it("quotes what the service says", function()
    local said = core.json.encode(ODD)
    local body = ('{"b":{"status":"failed","x":@,"errors":[{"code":@,"description":@}]}}'):gsub("@", said)
    local answer = raw.answer("200 OK", body)
    local server <close> = raw.start { { { send = answer }, { send = answer }, { send = answer } } }
    local batch = service.client(server.url):batch "b"
    local done, err = batch:wait()
    assert_shown(done, err)
    assert.equal(SHOWN, err.code)
    assert.equal(SHOWN, err.detail)
    assert.equal(SHOWN .. ": " .. SHOWN, assert(batch:problems())[1].text)
    local printed = shell.run(("AEP_BASE_URL=%s AEP_ORG=O AEP_API_KEY=key AEP_ACCESS_TOKEN=t %s"
      .. " lua/catalog/cli/main.lua status b"):format(server.url, shell.LUA))
    assert.matches("x                " .. SHOWN, printed, 1, true)
  end)
end)
