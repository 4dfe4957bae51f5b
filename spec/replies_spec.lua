-- Nothing that the service says raises: every reader of replies gets what nobody expects, at every place.
local batch = require "catalog.batch.batch"
local catalog = require "catalog"
local core = require "catalog.core"
local mutations = require "support.mutations"
local raw = require "support.raw"
local service = require "support.service"
local shell = require "support.shell"

local ACTIONS <const> = { "complete", "abort", "fail", "revert" }

-- All there are.
for _, name in ipairs { "actions", "rows", "upload", "writer" } do require("catalog.batch." .. name) end
local METHODS <const> = {}
for name in pairs(batch.methods) do METHODS[#METHODS + 1] = name end

-- The replies, as the emulator gives them.
local CREATED <const> = [[{"id":"01K","imsOrg":"ORG@AdobeOrg","updated":1,"status":"loading","created":1,"relatedObjects":
  [{"type":"dataSet","id":"5c8c"}],"version":"1.0.0","tags":{"a":["b"]},"createdUser":"u","inputFormat":{"format":"json",
  "isMultiLineJson":false}}]]
local FOUND <const> = [[{"01K":{"status":"success","id":"01K","externalId":"mine","relatedObjects":[{"type":"dataSet",
  "id":"5c8c"}],"inputFormat":{"format":"json"},"metrics":{"inputRecordCount":10,"outputRecordCount":8},"errors":[{"code":
  "106","description":"Bad rows","recordCount":2,"rows":["r"]}],"completed":1}}]]
local FAILED <const> = FOUND:gsub('"success"', '"failed"', 1)
local LISTING <const> = [[{"data":[{"name":"part 0","length":"66","_links":{"self":{"href":"http://127.0.0.1/"}}}],
  "_page":{"limit":100,"count":1}}]]
local ROW <const> = '{"n":1,"_errors":[{"code":"INGEST-1212-400","message":"m","column":"c"}],"_filename":"a"}'
local GRANT <const> = '{"access_token":"t0ken","token_type":"bearer","expires_in":86399}'
local PROBLEM <const> = '{"type":"t","title":"On purpose","status":500,"detail":"d","report":{"id":"x"}}'
local GATEWAY <const> = '{"error_code":"401013","message":"Oauth token is not valid"}'
local IMS <const> = '{"error":"invalid_client","error_description":"no"}'

local function client_for(url, changes)
  local settings = service.settings(url, { timeout = 2, on_request = function() end })
  for name, value in pairs(changes or {}) do settings[name] = value end
  if settings.client_secret then settings.token = nil end
  return assert(catalog.client(settings))
end

-- A value, or nil and an error that people can read.
local function check(value, err)
  if value ~= nil then return value end
  assert(type(err) == "table" and type(err.kind) == "string", "no error table: " .. tostring(err))
  assert(type(err.message) == "string" and type(tostring(err)) == "string", "no message")
  assert(not err.message:find "userdata" and not err.message:find "table: 0x", err.message)
  for _, name in ipairs { "code", "detail" } do
    assert(err[name] == nil or type(err[name]) == "string", name .. " is no text")
  end
  return nil
end

local function check_batch(value, err)
  if not check(value, err) then return end
  assert(type(value.id) == "string" and value.id ~= "", "it has no id")
  assert(type(tostring(value)) == "string")
  for _, name in ipairs(METHODS) do assert(value[name] == batch.methods[name], name .. " is no method") end
  return value
end

local function check_list(list, err, fields)
  for _, item in ipairs(check(list, err) and list or {}) do
    for name, kind in pairs(fields) do assert(type(item[name]) == kind, name .. " is no " .. kind) end
  end
end

local function check_rows(one)
  local ok, err = pcall(function()
    for row, line in one:failed_rows() do assert(type(row) == "table" and type(line) == "string", "no row") end
  end)
  if not ok then check(nil, err) end
end

-- Calls `body` with each mutation of a reply, all of which a server gives one after the other.
local function each_mutation(reply, status, changes, body)
  local texts, answers = mutations.of(reply), {}
  for i, text in ipairs(texts) do answers[i] = { send = raw.answer(status, text) } end
  assert(#texts > 10)
  local server <close> = raw.start { answers }
  local client = client_for(server.url, changes)
  for _, text in ipairs(texts) do
    local ok, why = pcall(body, client)
    assert(ok, text .. ": " .. tostring(why))
  end
  assert.equal(#texts, #server:stop())
end

-- What reads a reply by one request.
local READERS <const> = {
  { "a creation", CREATED, "201 Created", function(client)
    check_batch(client:create_batch { dataset = "5c8c", format = "json" })
  end },
  { "a creation left by <close>", CREATED, "201 Created", function(client)
    local made <close> = client:create_batch { dataset = "5c8c" }
    if made then batch.state(made).final_action = "COMPLETE" end
  end },
  { "a look-up", FOUND, "200 OK", function(client) check_batch(client:batch("01K"):get()) end },
  { "problems", FAILED, "200 OK", function(client)
    local list, err = client:batch("01K"):problems()
    check_list(list, err, { text = "string" })
  end },
  { "a look-up with problems", FAILED, "200 OK", function(client)
    local found = client:batch("01K"):get()
    if found and found.status == "failed" then check_list(found:problems(), nil, { text = "string" }) end
  end },
  { "the files that were read", LISTING, "200 OK", function(client)
    local list, err = client:batch("01K"):input_files()
    check_list(list, err, { name = "string" })
    for _, file in ipairs(list or {}) do assert(file.bytes == nil or math.type(file.bytes) == "integer") end
  end },
  { "the format of a batch", FOUND, "200 OK", function(client)
    check(client:batch("01K", { dataset = "5c8c" }):writer "a")
  end },
  { "the answer to an action", '{"x":{"y":[1]}}', "200 OK", function(client)
    local one = client:batch "01K"
    check(one[ACTIONS[math.random(#ACTIONS)]](one))
  end },
  { "a refusal", PROBLEM, "404 Not Found", function(client) check_batch(client:batch("01K"):get()) end },
  { "a fault", PROBLEM, "500 Down", function(client) check_batch(client:create_batch { dataset = "5c8c" }) end },
  { "what the gateway refuses", GATEWAY, "401 No", function(client) check_batch(client:batch("01K"):get()) end },
  { "what the identity service refuses", IMS, "400 Bad", function(client) check_batch(client:batch("01K"):get()) end,
    { client_secret = "s3cret-s3cret" } },
}

describe("a reply", function()
  for _, reader in ipairs(READERS) do
    local name, reply, status, body, changes = table.unpack(reader)
    it("that is anything at any place does not raise: " .. name, function()
      each_mutation(reply, status, changes, body)
    end)
  end

  -- Calls that make more than one request: the service is there, and one reply of it is another.
  local function each_fault(options, match, reply, status, body)
    service.run({}, function(server)
      for _, text in ipairs(mutations.of(reply)) do
        server:set_faults { { match = match, action = { status = status, body = text } } }
        local ok, why = pcall(body, client_for(server.url, options), server)
        assert(ok, text .. ": " .. tostring(why))
      end
    end)
  end

  it("that is anything at any place does not raise: a token", function()
    each_fault({ client_secret = "s3cret-s3cret" }, { path = "/ims/" }, GRANT, 200, function(client)
      for _ = 1, 2 do check_batch(client:create_batch { dataset = "5c8c" }) end
    end)
  end)

  it("that is anything at any place does not raise: waiting", function()
    for _, reply in ipairs { FOUND, FAILED } do
      each_fault({}, { path = "/catalog/" }, reply, 200, function(client)
        check_batch(client:batch("01K"):wait { timeout = 0.01, on_change = function(status) return #status end })
      end)
    end
  end)

  it("that is anything at any place does not raise: the state after an action was refused", function()
    service.run({}, function(server)
      for _, text in ipairs(mutations.of(FOUND)) do
        server:set_faults {
          { match = { path = "action=" }, action = { status = 400, body = PROBLEM } },
          { match = { path = "/catalog/" }, action = { status = 200, body = text } },
        }
        local ok, why = pcall(function() check(client_for(server.url):batch("01K"):complete()) end)
        assert(ok, text .. ": " .. tostring(why))
      end
    end)
  end)

  it("that is anything at any place does not raise: the dataset of a batch", function()
    each_fault({}, { method = "GET", path = "/catalog/" }, FOUND, 200, function(client)
      check(client:batch("01K"):upload("a", { data = "{}\n" }))
      check(client:batch("01K"):writer "a")
    end)
  end)

  it("that is anything at any place does not raise: the batch with an external id", function()
    local listing = '{"01K":{"id":"01K","externalId":"mine","status":"loading"},'
      .. '"01L":{"externalId":"mine","status":"loading","created":1}}'
    for _, id in ipairs { "01K", "none" } do
      each_fault({}, { path = "externalId=" }, listing:gsub("01K", id), 200, function(client)
        local made = check_batch(client:create_batch { dataset = "5c8c", external_id = "mine", once = true })
        if made then check(made:complete()) end
      end)
    end
  end)

  it("that is anything at any place does not raise: other batches with the external id of one whose answer was lost", function()
    service.run({}, function(server)
      for i, value in ipairs { "null", "true", "0", "-1", "1e300", '""', '"x"', "[]", "{}" } do
        local text = ('{"01K":{"externalId":"mine%d"},"01L":{"externalId":"mine%d","created":%s,"status":%s}}'):format(i, i,
          value, value)
        server:set_faults {
          { match = { method = "POST", path = "/batches$" }, times = 1, action = { drop = "after" } },
          { match = { path = "externalId=", nth = 2 }, action = { status = 200, body = text } },
        }
        local ok, why = pcall(function()
          local given = { dataset = "5c8c", external_id = "mine" .. i, once = true }
          local made = check_batch(client_for(server.url):create_batch(given))
          assert(made and made.id == "01K", "the other was taken")
          check(made:complete())
        end)
        assert(ok, text .. ": " .. tostring(why))
      end
    end)
  end)

  it("that is anything at any place does not raise: rows that failed, and their listing", function()
    each_fault({}, { path = "row_errors&" }, LISTING, 200, function(client) check_rows(client:batch "01K") end)
    service.run({}, function(server)
      server:set_faults {
        { match = { path = "row_errors&" }, action = { status = 200, body = LISTING } },
        { match = { path = "row_errors" },
          action = { status = 200, body = table.concat(mutations.of(ROW), "\n") .. "\nnot json\n\n" } },
      }
      check_rows(client_for(server.url):batch "01K")
    end)
  end)

  it("that is anything at any place does not raise: how much of a file has arrived", function()
    local ranges = { "x", "bytes=0-", "bytes=0-99999999999999999999", "bytes=0--1", "bytes 0-1", "bytes=0-1,3-4" }
    service.run({}, function(server, client)
      local one = assert(client:create_batch { dataset = "5c8c", format = "json" })
      for _, range in ipairs(ranges) do
        server:set_faults {
          { match = { method = "POST", path = "/files/.*COMPLETE", nth = 1 }, action = { drop = "after" } },
          { match = { method = "POST", path = "/files/.*COMPLETE" }, action = { status = 400, body = PROBLEM } },
          { match = { method = "HEAD" }, action = { status = 200, headers = { range = range } } },
        }
        local patient = client_for(server.url, { retry = { tries = 2, base = 0.001 } })
        local handle = patient:batch(one.id, { dataset = "5c8c" })
        assert.is_nil(check(handle:upload("a", { data = "{}\n" }, { part_threshold = 1 })))
      end
    end)
  end)

  it("that is anything at any place does not raise: all of an ingest", function()
    shell.with_directory(function(directory)
      shell.write(directory .. "/a.json", "{}\n")
      each_fault({}, { method = "GET", path = "/catalog/batches/" }, FAILED, 200, function(client)
        check(client:ingest {
          dataset = "5c8c", format = "json", files = { directory .. "/a.json" }, timeout = 0.01,
        })
      end)
    end)
  end)

  it("that is anything at any place does not raise: the program", function()
    local answers = {}
    for i, text in ipairs(mutations.of(FAILED)) do answers[i] = { send = raw.answer("200 OK", text) } end
    for _, text in ipairs(mutations.of(FOUND)) do answers[#answers + 1] = { send = raw.answer("200 OK", text) } end
    local server <close> = raw.start { answers }
    local said = shell.lua(([[
      local catalog, cli = require "catalog", require "catalog.cli.program"
      local client = catalog.client { retry = false }
      catalog.client = function() return client end
      for _, words in ipairs { { "status", "01K" }, { "--json", "status", "01K" }, { "errors", "01K" },
        { "--json", "errors", "01K" }, { "wait", "01K", "--timeout", "0.001" } } do
        for i = 1, %d do
          local ok, code = pcall(cli.run, words)
          if not ok or math.type(code) ~= "integer" then print("RAISED", code) end
        end
      end
      print "DONE"]]):format(#answers), ("AEP_BASE_URL=%s AEP_ORG=O AEP_API_KEY=key AEP_ACCESS_TOKEN=t"):format(server.url))
    assert.is_nil(said:match "RAISED[^\n]*", said:match "RAISED[^\n]*")
    assert.matches("DONE", said, 1, true)
  end)
end)

describe("a reply", function()
  local function with_answer(status, body, call)
    local server <close> = raw.start { { { send = raw.answer(status, body) } } }
    return call(client_for(server.url))
  end

  it("with fields of the names of methods hides none of them", function()
    local parts = { '"id":"01K","status":"success","get_":0' }
    for i, name in ipairs(METHODS) do parts[i + 1] = ('"%s":null'):format(name) end
    local text = "{" .. table.concat(parts, ",") .. "}"
    for _, made in ipairs {
      with_answer("201 Created", text, function(client) return assert(client:create_batch { dataset = "d" }) end),
      with_answer("200 OK", '{"01K":' .. text .. "}", function(client) return assert(client:batch("01K"):get()) end),
    } do
      check_batch(made)
      assert.is_true(#METHODS >= 11)
      for _, name in ipairs(METHODS) do
        assert.is_nil(rawget(made, name))
        assert.equal(catalog.null, made[name .. "_"])
      end
    end
    for _, name in ipairs(METHODS) do -- one by one, and false
      local fields = ('{"id":"01K","%s":false}'):format(name)
      local made = with_answer("201 Created", fields, function(client) return assert(client:create_batch { dataset = "d" }) end)
      assert.is_function(made[name])
      assert.is_false(made[name .. "_"])
    end
  end)

  it("tells problems of every shape", function()
    local function problems(errors)
      return with_answer("200 OK", ('{"b":{"status":"failed","errors":%s}}'):format(errors), function(client)
        local texts = {}
        for i, problem in ipairs(assert(client:batch("b"):problems())) do texts[i] = problem.text end
        local done, err = nil, select(2, with_answer("200 OK", ('{"b":{"status":"failed","errors":%s}}'):format(errors),
          function(other) return other:batch("b"):wait { timeout = 5 } end))
        assert.is_nil(done)
        assert.equal("batch", err.kind)
        assert.equal("the batch b ended as failed" .. (#texts > 0 and ": " .. table.concat(texts, "; ") or ""), err.message)
        return texts
      end)
    end
    assert.same({ "no code: boom" }, problems '["boom"]')
    assert.same({ "no code: boom" }, problems '"boom"')
    assert.same({ "7: no description (1 row)" }, problems '{"code":7,"description":null,"rows":1}')
    assert.same({ 'no code: [1]', "no code: null", "no code: no description" }, problems '[[1],null,{}]')
    assert.same({}, problems "null")
    assert.same({}, problems "[]")
  end)

  it("without a status is no end to wait for", function()
    local done, err = with_answer("200 OK", '{"b":{"id":"b"}}', function(client)
      return client:batch("b"):wait { timeout = 0.01 }
    end)
    assert.is_nil(done)
    assert.equal("protocol", err.kind)
    assert.matches("the catalog gives no status of the batch b", err.message, 1, true)
    for _, status in ipairs { "null", "1", "{}" } do
      err = select(2, with_answer("200 OK", ('{"b":{"status":%s}}'):format(status), function(client)
        return client:batch("b"):get()
      end))
      assert.equal("protocol", err.kind)
      assert.matches("a status of the batch b that is no text", err.message, 1, true)
    end
  end)

  it("with another id than was asked for is none", function()
    for _, id in ipairs { '"a"', '""', "1", "{}" } do
      local err = select(2, with_answer("200 OK", ('{"b":{"id":%s,"status":"success"}}'):format(id), function(client)
        return client:batch("b"):get()
      end))
      assert.equal("protocol", err.kind)
      assert.matches("another id under that of the batch b", err.message, 1, true)
    end
    local found = with_answer("200 OK", '{"b":{"id":null,"status":"success"}}', function(client)
      return assert(client:batch("b"):get())
    end)
    assert.equal("b", found.id)
  end)

  it("that lists files without names is none", function()
    for _, data in ipairs { "[null]", '["x"]', "[{}]", '[{"name":null}]', '[{"name":""}]', '{"x":1}', "null" } do
      for _, call in ipairs {
        function(one) return one:input_files() end,
        function(one)
          local ok, err = pcall(function() for _ in one:failed_rows() do error "a row" end end)
          return ok or nil, err
        end,
      } do
        local value, err = with_answer("200 OK", ('{"data":%s}'):format(data), function(client)
          return call(client:batch "b")
        end)
        assert.is_nil(value)
        assert.equal("protocol", err.kind)
      end
    end
  end)

  it("that lists the same files on every page ends", function()
    local entries = {}
    for i = 1, 100 do entries[i] = ('{"name":"f%d","length":"x"}'):format(i) end
    local page = { send = raw.answer("200 OK", ('{"data":[%s]}'):format(table.concat(entries, ","))) }
    local server <close> = raw.start { { page, page, page } }
    local files = assert(client_for(server.url):batch("b"):input_files())
    assert.equal(100, #files)
    assert.same({ name = "f1" }, files[1])
    assert.equal(2, #server:stop())
  end)

  it("shows the program what people can read, whatever it is", function()
    assert.equal("null", core.json.encode(catalog.null))
    local server <close> = raw.start { { { send = raw.answer("200 OK", '{"b":{"status":"failed","x":null,"y":1e999}}') } } }
    local said, status = shell.run(("AEP_BASE_URL=%s AEP_ORG=O AEP_API_KEY=key AEP_ACCESS_TOKEN=t %s"
      .. " lua/catalog/cli/main.lua status b"):format(server.url, shell.LUA))
    assert.equal(0, status, said)
    assert.matches("x                null\n", said, 1, true)
  end)
end)
