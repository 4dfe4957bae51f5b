-- Which paths there are, and who may use them.
local Routes = require "catalog.serve.routes"
local core = require "catalog.core"
local serving = require "support.serving"
local shell = require "support.shell"

local RECORD <const> = '{"n":1}\n'

describe("catalog serve", function()
  it("says that it lives, and that it takes records, to GET and HEAD", function()
    serving.run("", function(server)
      for path, text in pairs { ["/health"] = "alive\n", ["/ready"] = "ready\n" } do
        local status, body = server:request("GET", path)
        assert.same({ 200, text }, { status, body })
        status, body = server:request("HEAD", path .. "?verbose=1")
        assert.same({ 200, "" }, { status, body })
      end
    end)
  end)

  it("names the paths and methods that it has, to who asks for others", function()
    serving.run("", function(server)
      local status, answer = server:request("POST", "/events", {}, RECORD)
      local head
      assert.same({ 404, "there is no /events; records go to / by POST" }, { status, answer.error })
      status, answer, head = server:request("GET", "/")
      assert.same({ 405, "/ is for POST" }, { status, answer.error })
      assert.matches("allow: POST\r\n", head, 1, true)
      status, answer, head = server:request("POST", "/health", {}, "{}")
      assert.same({ 405, "/health is for GET, HEAD" }, { status, answer.error })
      assert.matches("allow: GET, HEAD\r\n", head, 1, true)
    end)
  end)

  it("has no paths for records where it only shows numbers", function()
    local routes = Routes.new({ { dataset = "d" } }, { reads_only = true })
    routes.state = "running"
    local answer = routes:admit { path = "/", method = "POST", headers = {} }
    assert.equal(404, answer.status)
    assert.equal("there is no /; there are /health, /metrics, /ready", core.json.decode(answer.body).error)
    assert.is_nil((routes:admit { path = "/metrics", method = "GET", headers = {} }))
  end)

  it("takes nothing while it starts or ends, and says so", function()
    local routes = Routes.new({ { dataset = "d" } }, { body_bytes = 10, codings = {} })
    for state, text in pairs { starting = "the server starts; send this again", ending = "the server stops; send this again" } do
      routes.state = state
      local request = { path = "/", method = "POST", headers = {} }
      for _, answer in ipairs { routes:admit(request), routes:answer(request) } do
        assert.same({ 503, text }, { answer.status, core.json.decode(answer.body).error })
      end
      assert.same({ 503, text .. "\n" }, { routes:answer({ path = "/ready" }).status, routes:answer({ path = "/ready" }).body })
      assert.equal(200, routes:answer({ path = "/health" }).status)
    end
  end)

  it("says which codings it has, also where it has none", function()
    local routes = Routes.new({ { dataset = "d" } }, { body_bytes = 10, codings = {} })
    routes.state = "running"
    local answer = routes:admit { path = "/", method = "POST", headers = { ["content-encoding"] = "gzip" } }
    assert.equal("the coding gzip is not taken; send the body as it is", core.json.decode(answer.body).error)
    assert.equal("identity", answer.headers["accept-encoding"])
  end)

  it("has a path and a spool for each dataset", function()
    serving.run("--dataset a=events --dataset b=profiles", function(server)
      assert.equal(200, (server:post('{"n":1}\n', {}, "/events")))
      assert.equal(200, (server:post('{"n":2}\n', {}, "/profiles")))
      local status, answer = server:post(RECORD)
      assert.same({ 404, "there is no /; records go to /events, /profiles by POST" }, { status, answer.error })
      assert.equal('{"n":1}\n', server:taken "events")
      assert.equal('{"n":2}\n', server:taken "profiles")
      local text = select(2, server:request("GET", "/metrics"))
      assert.matches('\ncatalog_sink_records_total{dataset="a",name="events"} 1\n', text, 1, true)
      assert.matches('\ncatalog_sink_records_total{dataset="b",name="profiles"} 1\n', text, 1, true)
    end)
  end)

  it("wants a token where it has one, but for its health", function()
    shell.with_directory(function(directory)
      local path = directory .. "/token"
      shell.write(path, "s3cret\n")
      serving.run("--listen-token-file " .. path, function(server)
        for _, authorization in ipairs { "Bearer s3cre", "Bearer s3crets", "Bearer ", "Basic s3cret", "s3cret" } do
          local status, answer, head = server:post(RECORD, { Authorization = authorization })
          assert.equal(401, status, authorization)
          assert.matches("Authorization: Bearer", answer.error, 1, true)
          assert.matches("www-authenticate: Bearer\r\n", head, 1, true)
        end
        assert.equal(401, (server:post(RECORD)))
        assert.equal(401, (server:request("GET", "/metrics")))
        assert.equal(200, (server:request("GET", "/health")))
        assert.equal(200, (server:request("GET", "/ready")))
        assert.equal("", server:taken())
        assert.equal(200, (server:post(RECORD, { Authorization = "Bearer s3cret" })))
        assert.equal(200, (server:post(RECORD, { Authorization = "bearer s3cret" })))
        assert.equal(200, (server:request("GET", "/metrics", { Authorization = "Bearer s3cret" })))
      end)
    end)
  end)
end)
