local core = require "catalog.core"
local emulator = require "catalog.emulator"
local exchange = require "support.exchange"
local program = require "support.program"
local shell = require "support.shell"
local ulid = require "catalog.emulator.ulid"

local BATCHES <const> = "/data/foundation/import/batches"
local CATALOG <const> = "/data/foundation/catalog/batches"
local BODY <const> = '{"datasetId":"5c8c3c555033b814b69f947f"}'

local function headers(changes)
  local all = {
    Authorization = "Bearer token", ["x-api-key"] = "key", ["x-gw-ims-org-id"] = "ORG@AdobeOrg",
    ["x-sandbox-name"] = "prod", ["Content-Type"] = "application/json",
  }
  for name, value in pairs(changes or {}) do all[name] = value or nil end
  return all
end

local function create(server, body, changes)
  local status, answer, head = exchange.request(server.port, "POST", BATCHES, headers(changes), body or BODY)
  return status, assert(core.json.decode(answer)), head
end

local function get(server, target, changes)
  local status, answer, head = exchange.request(server.port, "GET", target, headers(changes))
  return status, answer, head
end

-- An emulator of its own process, with what it says on stderr.
local function start_beside(directory)
  local running = program.start("", "lua/catalog/cli/main.lua emulator --port 0 --data-dir " .. directory)
  local before = {}
  while not running.port do
    local line = assert(running:line())
    running.port = tonumber(line:match "^The emulator listens on http://127.0.0.1:(%d+)")
    if not running.port then before[#before + 1] = line end
  end
  return running, table.concat(before, "\n")
end

-- That it goes on running: what each spec of misuse ends with.
local function assert_alive(server)
  assert.equal(201, (create(server)))
end

describe("the emulator's gateway", function()
  it("refuses what the service's gateway refuses, with its codes", function()
    local server <close> = assert(emulator.start { tokens = { "token" }, api_keys = { "key" }, orgs = { "ORG@AdobeOrg" } })
    for _, case in ipairs {
      { { Authorization = false }, 403, "403010", "Oauth token is missing." },
      { { Authorization = "Bearer " }, 403, "403010", "Oauth token is missing." },
      { { Authorization = "Bearer another" }, 401, "401013", "Oauth token is not valid" },
      { { Authorization = "Basic token" }, 401, "401013", "Oauth token is not valid" },
      { { ["x-api-key"] = false }, 403, "403000", "Api Key is required" },
      { { ["x-api-key"] = "another" }, 403, "403003", "Api Key is invalid" },
      { { ["x-gw-ims-org-id"] = false }, 400, "400003", "Missing header: x-gw-ims-org-id" },
      { { ["x-gw-ims-org-id"] = "another" }, 403, "403025", "The user is not entitled for this organization" },
    } do
      local status, answer, head = create(server, BODY, case[1])
      assert.equal(case[2], status)
      assert.same({ error_code = case[3], message = case[4] }, answer)
      assert.matches("x%-request%-id: %w+", head)
    end
    assert_alive(server)
  end)

  it("refuses a token that has expired", function()
    local server <close> = assert(emulator.start { tokens = { token = 0, lasting = 60 } })
    local status, answer = create(server)
    assert.equal(401, status)
    assert.equal("401013", answer.error_code)
    assert.equal(201, (create(server, BODY, { Authorization = "Bearer lasting" })))
  end)

  it("wants the headers of the API descriptions under strict", function()
    local server <close> = assert(emulator.start { strict = true })
    local status, answer = create(server, BODY, { ["x-sandbox-name"] = false })
    assert.equal(400, status)
    assert.equal("The header x-sandbox-name is required", answer.detail)
    assert.equal("inputFormat is required", (select(2, create(server))).detail)
    assert.equal("colour is not a field of a batch",
      (select(2, create(server, '{"datasetId":"d","inputFormat":{"format":"json"},"colour":"red"}'))).detail)
    local lenient <close> = assert(emulator.start {})
    assert.equal(201, (create(lenient, '{"datasetId":"d","colour":"red"}', { ["x-sandbox-name"] = false })))
  end)
end)

describe("the emulator's creation", function()
  it("refuses a payload that is none, with the reason", function()
    local server <close> = assert(emulator.start {})
    for _, case in ipairs {
      { "", "The request body is not a JSON object" }, { "[1]", "The request body is not a JSON object" },
      { "{", "The request body is not a JSON object" }, { "{}", "datasetId is required" },
      { '{"datasetId":17}', "datasetId is required" },
      { '{"datasetId":"d","inputFormat":{"format":"avro"}}', "inputFormat.format is one of json, parquet and csv" },
      { '{"datasetId":"d","partialIngestionPercent":101}', "partialIngestionPercent is a number from 0 to 100" },
      { '{"datasetId":"d","enableErrorDiagnostics":"yes"}', "enableErrorDiagnostics is true or false" },
      { '{"datasetId":"d","tags":{"a":"b"}}', "tags.a is not an array of strings" },
      { '{"datasetId":"d","replay":{"predecessors":"b"}}', "replay.predecessors is not an array of strings" },
      { '{"datasetId":"d","externalId":17}', "externalId is a string" },
    } do
      local status, answer = create(server, case[1])
      assert.equal(400, status)
      assert.equal(400, answer.status)
      assert.equal("BadRequestError", answer.title)
      assert.equal(case[2], answer.detail:sub(1, #case[2]))
    end
  end)

  it("wants JSON to be called so", function()
    local server <close> = assert(emulator.start {})
    local status, answer = create(server, BODY, { ["Content-Type"] = "text/plain" })
    assert.equal(415, status)
    assert.equal("Content-Type is text/plain; application/json is needed", answer.detail)
    assert.equal(201, (create(server, BODY, { ["Content-Type"] = "application/json; charset=utf-8" })))
  end)

  it("takes JSON without a type, as a curl of the guide sends it, but not under strict", function()
    local curls = { false, "application/x-www-form-urlencoded" }
    local body = '{"datasetId":"d","inputFormat":{"format":"json"}}'
    local server <close> = assert(emulator.start {})
    local strict <close> = assert(emulator.start { strict = true })
    for _, media in ipairs(curls) do
      assert.equal(201, (create(server, body, { ["Content-Type"] = media })))
      local status, answer = create(strict, body, { ["Content-Type"] = media })
      assert.equal(415, status)
      assert.equal(("Content-Type is %s; application/json is needed"):format(media or "missing"), answer.detail)
    end
  end)

  it("takes a second batch with an external id, as no guide says that the service does not", function()
    local server <close> = assert(emulator.start { unique_ids = false })
    local body = '{"datasetId":"d","externalId":"mine"}'
    local _, first = create(server, body)
    local status, second = create(server, body)
    assert.equal(201, status)
    assert.not_equal(first.id, second.id)
    local _, answer = get(server, CATALOG .. "?limit=100&externalId=mine")
    assert.matches(first.id, answer, 1, true)
    assert.matches(second.id, answer, 1, true)
  end)

  it("told to, refuses a second batch with an external id, in the same organisation only", function()
    local server <close> = assert(emulator.start { unique_ids = true })
    local body = '{"datasetId":"d","externalId":"mine"}'
    local _, first = create(server, body)
    local status, answer = create(server, body)
    assert.equal(409, status)
    assert.equal("A batch with the externalId mine exists already: " .. first.id, answer.detail)
    assert.equal(201, (create(server, body, { ["x-gw-ims-org-id"] = "OTHER@AdobeOrg" })))
  end)

  it("refuses datasets that are not known, when some are", function()
    local server <close> = assert(emulator.start { datasets = { "known" } })
    local status, answer = create(server)
    assert.equal(400, status)
    assert.equal("Dataset 5c8c3c555033b814b69f947f was not found", answer.detail)
    assert.equal(201, (create(server, '{"datasetId":"known"}')))
  end)

  it("knows datasets by a map from ids to names, and all of them when none is named", function()
    local server <close> = assert(emulator.start { datasets = { known = "A name" } })
    assert.equal(400, (create(server)))
    assert.equal(201, (create(server, '{"datasetId":"known"}')))
    local open <close> = assert(emulator.start { datasets = {} })
    assert.equal(201, (create(open)))
    assert.error_matches(function() emulator.start { datasets = { 17 } } end, "bad option 'datasets' for emulator.start", 1, true)
  end)

  it("makes ids that differ and sort by time", function()
    local server <close> = assert(emulator.start {})
    local _, one = create(server)
    while core.system.now() <= one.created do end
    local _, two = create(server)
    assert.is_true(one.id < two.id)
  end)
end)

describe("the emulator's catalog", function()
  local function ids_in(text)
    local ids = {}
    for id in text:gmatch '"(%w+)":{' do ids[#ids + 1] = #id == 26 and id or nil end
    return ids
  end

  -- Five batches, a millisecond or more apart; gives them.
  local function five(server)
    local made = {}
    for i = 1, 5 do
      local _, batch = create(server, ('{"datasetId":"d%d","externalId":"e%d"}'):format(i % 2, i))
      made[i] = batch
      while core.system.now() <= batch.created do end
    end
    return made
  end

  it("lists newest first, and by the query", function()
    local server <close> = assert(emulator.start {})
    local made = five(server)
    local function list(query)
      local status, answer = get(server, CATALOG .. query)
      assert.equal(200, status, answer)
      local numbers = {}
      for _, id in ipairs(ids_in(answer)) do
        for i, batch in ipairs(made) do
          if batch.id == id then numbers[#numbers + 1] = i end
        end
      end
      return numbers
    end
    assert.same({ 5, 4, 3, 2, 1 }, list "")
    assert.same({ 5, 4 }, list "?limit=2")
    assert.same({ 3, 2 }, list "?limit=2&start=2")
    assert.same({ 1, 2, 3, 4, 5 }, list "?orderBy=asc:created")
    assert.same({ 5, 3, 1 }, list "?dataSet=d1")
    assert.same({ 4 }, list "?externalId=e4")
    assert.same({ 5, 4, 3, 2, 1 }, list "?status=loading")
    assert.same({}, list "?status=success")
    assert.same({ 5, 4 }, list("?createdAfter=" .. made[3].created))
    assert.same({ 2, 1 }, list("?createdBefore=" .. made[3].created))
  end)

  it("shows only the properties that are asked for", function()
    local server <close> = assert(emulator.start {})
    local _, batch = create(server)
    local _, answer = get(server, CATALOG .. "?properties=status,created")
    assert.same({ [batch.id] = { status = "loading", created = batch.created } }, core.json.decode(answer))
  end)

  it("gives twenty unless told otherwise, and a hundred at the most", function()
    local server <close> = assert(emulator.start {})
    for _ = 1, 25 do create(server) end
    assert.equal(20, #ids_in((select(2, get(server, CATALOG)))))
    assert.equal(25, #ids_in((select(2, get(server, CATALOG .. "?limit=100")))))
    for _, query in ipairs { "?limit=0", "?limit=101", "?limit=x", "?start=-1", "?createdAfter=x", "?orderBy=up:created" } do
      assert.equal(400, (get(server, CATALOG .. query)), query)
    end
  end)

  it("keeps organisations and sandboxes apart", function()
    local server <close> = assert(emulator.start {})
    local _, batch = create(server)
    assert.equal(200, (get(server, CATALOG .. "/" .. batch.id)))
    for _, changes in ipairs { { ["x-gw-ims-org-id"] = "OTHER@AdobeOrg" }, { ["x-sandbox-name"] = "dev" } } do
      local status, answer = get(server, CATALOG .. "/" .. batch.id, changes)
      assert.equal(404, status)
      assert.equal(("The batch %s was not found"):format(batch.id), core.json.decode(answer).detail)
      assert.equal("{}", (select(2, get(server, CATALOG, changes))))
    end
  end)

  it("lags behind when told to", function()
    local server <close> = assert(emulator.start { catalog_lag_ms = 200 })
    local _, batch = create(server)
    assert.equal(404, (get(server, CATALOG .. "/" .. batch.id)))
    assert.equal("{}", (select(2, get(server, CATALOG))))
    while core.system.now() < batch.created + 200 do end
    assert.equal(200, (get(server, CATALOG .. "/" .. batch.id)))
  end)

  it("is there again after a stop, when it has a directory", function()
    shell.with_directory(function(directory)
      local first = assert(emulator.start { data_dir = directory .. "/data" })
      local _, batch = create(first, '{"datasetId":"d","externalId":"kept","tags":{"a":[]}}')
      first:stop()
      local second <close> = assert(emulator.start { data_dir = directory .. "/data", unique_ids = true })
      local _, answer = get(second, CATALOG .. "/" .. batch.id)
      assert.same({ [batch.id] = batch }, core.json.decode(answer))
      assert.matches('"a":[]', answer, 1, true)
      assert.equal(409, (create(second, '{"datasetId":"d","externalId":"kept"}')))
    end)
  end)

  it("leaves alone what is no batch in its directory, says so, and has the others", function()
    shell.with_directory(function(directory)
      local first = assert(emulator.start { data_dir = directory .. "/data" })
      local _, batch = create(first)
      first:stop()
      shell.write(directory .. "/data/torn.json", '{"batch":')
      local second <close>, said = start_beside(directory .. "/data")
      assert.equal(("emulator: %s/data/torn.json is no batch, and is left alone"):format(directory), said)
      assert.equal(200, (get(second, CATALOG .. "/" .. batch.id)))
    end)
  end)
end)

describe("the emulator's identity service", function()
  it("answers errors in OAuth's shape", function()
    local server <close> = assert(emulator.start { clients = { key = "s3cret" } })
    for _, case in ipairs {
      { "", 400, "invalid_request" },
      { "grant_type=password&client_id=key&client_secret=s3cret", 400, "unsupported_grant_type" },
      { "grant_type=client_credentials&client_id=key&client_secret=no", 401, "invalid_client" },
      { "grant_type=client_credentials&client_id=no&client_secret=s3cret", 401, "invalid_client" },
    } do
      local status, answer = exchange.request(server.port, "POST", "/ims/token/v3", {}, case[1])
      assert.equal(case[2], status)
      assert.equal(case[3], core.json.decode(answer).error)
    end
  end)

  it("takes its fields from the query too", function()
    local server <close> = assert(emulator.start { clients = { key = "a b" } })
    assert.equal(200, (exchange.request(server.port, "POST",
      "/ims/token/v3?grant_type=client_credentials&client_id=key&client_secret=a+b", {}, "")))
  end)
end)

describe("the emulator, misused,", function()
  it("answers unknown paths and methods", function()
    local server <close> = assert(emulator.start {})
    local status, answer = get(server, "/data/foundation/nothing")
    assert.equal(404, status)
    assert.equal("There is nothing at /data/foundation/nothing", core.json.decode(answer).detail)
    local refused, _, head = exchange.request(server.port, "DELETE", BATCHES, headers())
    assert.equal(405, refused)
    assert.matches("allow: POST\r\n", head)
    assert_alive(server)
  end)

  it("refuses URLs over 2000 characters", function()
    local server <close> = assert(emulator.start {})
    local fits = CATALOG .. "?status=" .. ("x"):rep(2000 - #CATALOG - #"?status=")
    assert.equal(200, (get(server, fits)))
    local status, _, head = get(server, fits .. "x")
    assert.equal(414, status)
    assert.matches("x%-request%-id", head)
    assert_alive(server)
  end)

  it("refuses huge bodies, after reading them", function()
    local server <close> = assert(emulator.start { max_body = 1000 })
    local status, answer = create(server, ('{"datasetId":"%s"}'):format(("x"):rep(3000000)))
    assert.equal(413, status)
    assert.equal("The request body is too large", answer.detail)
    assert_alive(server)
  end)

  it("goes on after what is no HTTP", function()
    local server <close> = assert(emulator.start {})
    for _, bytes in ipairs {
      "\r\n\r\n", "GET\r\n\r\n", "nonsense\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
      "POST " .. BATCHES .. " HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", ("\0\255"):rep(5000),
      "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n",
      "POST " .. BATCHES .. " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "GET / HTTP/1.1\r\n" .. ("a: b\r\n"):rep(20000) .. "\r\n", "GET /" .. ("x"):rep(100000) .. " HTTP/1.1\r\n\r\n",
      "POST " .. BATCHES .. " HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
    } do
      exchange.raw(server.port, bytes, 0.05)
      assert_alive(server)
    end
  end)

  it("answers requests that come in one piece, one after the other", function()
    local server <close> = assert(emulator.start {})
    local request = "GET /nothing HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\nx-api-key: k\r\nx-gw-ims-org-id: o\r\n\r\n"
    local _, count = exchange.raw(server.port, request .. request .. request, 0.3):gsub("HTTP/1.1 404", "")
    assert.equal(3, count)
  end)

  it("says 500 and goes on when it fails itself", function()
    shell.with_directory(function(directory)
      local server <close> = start_beside(directory .. "/data")
      os.execute("rm -rf " .. directory .. "/data")
      local status, answer = create(server)
      assert.equal(500, status)
      assert.equal("InternalServerError", answer.title)
      os.execute("mkdir " .. directory .. "/data")
      assert_alive(server)
      server:signal "INT"
      assert.matches("emulator: /data/foundation/import/batches: .*/data/%w+%.json%.new: No such file or directory\n$",
        (server:finish()))
    end)
  end)
end)

describe("the emulator's handle", function()
  it("knows its URL and stops, more than once, and frees its port", function()
    local server = assert(emulator.start {})
    assert.equal("http://127.0.0.1:" .. server.port, server.url)
    assert.equal("catalog.emulator (" .. server.url .. ")", tostring(server))
    server:stop()
    server:stop()
    local again <close> = assert(emulator.start { port = server.port })
    assert.equal(server.port, again.port)
  end)

  it("says when a port is taken or is none", function()
    local server <close> = assert(emulator.start {})
    local other, err = emulator.start { port = server.port }
    assert.is_nil(other)
    assert.equal("config", err.kind)
    assert.equal(("cannot listen on port %d: Address already in use"):format(server.port), err.message)
    assert.equal("cannot listen on port 70000: no such port", select(2, emulator.start { port = 70000 }).message)
  end)

  it("says when a certificate cannot be used", function()
    assert.equal("cert and key go together", select(2, emulator.start { cert = "-----BEGIN" }).message)
    assert.matches("cert cannot be read: /nonexistent", select(2, emulator.start { cert = "/nonexistent", key = "/n" }).message)
    assert.matches("are the certificate and the key in PEM",
      select(2, emulator.start { cert = "-----BEGIN", key = "-----BEGIN" }).message)
    assert.error_matches(function() emulator.start { latncy_ms = 1 } end, "did you mean 'latency_ms'?", 1, true)
  end)

  it("is stopped when it is collected, and while answers are delayed", function()
    local server = assert(emulator.start { latency_ms = 60000 })
    local port = server.port
    exchange.raw(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0.05)
    server = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    local again <close> = assert(emulator.start { port = port })
    assert.equal(port, again.port)
  end)

  it("delays answers without holding up others", function()
    local service = require "support.service"
    local server <close> = assert(emulator.start { latency_ms = 100 })
    local client = service.client(server.url)
    local held = {}
    for i = 1, 20 do held[i] = assert(client:start { method = "GET", path = CATALOG }) end
    while not client.connection:engine():next_completed() do client.connection:engine():step(5) end
    -- request ids begin with the time at which a request was dealt with: all were before the first answer came
    local first_answer = ulid(core.system.now()):sub(1, 10)
    for _, transfer in ipairs(held) do
      while not transfer:done() do client.connection:engine():step(5) end
      assert.equal(200, (transfer:reply()))
      assert.is_true(transfer:header("x-request-id"):sub(1, 10) <= first_answer)
    end
  end)

  -- Runs `catalog emulator` with the words, has the shell do something before and more once it listens, and ends it by
  -- the signal. Gives what the shell printed, and what was left in the temporary folder.
  local function in_foreground(words, signal, more, before)
    return shell.with_directory(function(directory)
      local output = shell.run(([[
        mkdir %s/tmp; %s
        env %s TMPDIR=%s/tmp %s lua/catalog/cli/main.lua emulator --port 0 %s >%s/out &
        while kill -0 $! && ! grep -qs AEP_ORG %s/out; do sleep 0.05; done
        out=%s/out; url=$(sed -n 's/.*listens on \([^ ]*\).*/\1/p' $out)
        %s
        kill -%s $!; wait $!; echo $?]]):format(directory, before or ":",
        before and "" or "--default-signal=HUP", -- which may be ignored where the specs run
        directory, shell.LUA, words, directory, directory,
        directory, more, signal))
      return output, shell.run("ls " .. directory .. "/tmp")
    end)
  end

  it("in the foreground leaves nothing in the temporary folder, whichever signal ends it", function()
    for _, signal in ipairs { "INT", "TERM", "HUP" } do
      local output, left = in_foreground("", signal, "")
      assert.same({ "0\n", "" }, { output, left }, signal)
    end
  end)

  it("in the foreground goes on after a hang-up that was ignored before, as nohup does", function()
    local output = in_foreground("", "TERM", [[kill -HUP $!; sleep 0.2
      curl -sS --noproxy '*' -o /dev/null -w '%{http_code} ' $url]], "trap '' HUP")
    assert.equal("403 0\n", output)
  end)

  it("in the foreground knows the data sets that are named on its command line, and others not", function()
    local output = in_foreground("--dataset a --dataset 'b=A name'", "TERM", [[for id in a b c; do
      curl -sS --noproxy '*' -o /dev/null -w '%{http_code} ' -H 'Authorization: Bearer t' -H 'x-api-key: k' \
        -H 'x-gw-ims-org-id: o' -d "{\"datasetId\":\"$id\"}" $url/data/foundation/import/batches
      done
      grep ': A name' $out >/dev/null && echo named]])
    assert.equal("201 201 400 named\n0\n", output)
    local usage, wrong = shell.run(shell.LUA .. " lua/catalog/cli/main.lua emulator --dataset =name")
    assert.equal(2, wrong)
    assert.matches("'=name' is neither ID nor ID=NAME", usage, 1, true)
  end)

  it("runs in the foreground until a signal, and says how to use it", function()
    local output = in_foreground("", "INT", "cat $out")
    assert.matches("The emulator listens on http://127.0.0.1:%d+ until Ctrl%-C", output)
    assert.matches("export AEP_BASE_URL=http://127.0.0.1:%d+ AEP_IMS_URL=", output)
    assert.matches("\n0\n$", output)
    assert.is_nil(output:find "traceback")
    local usage, wrong = shell.run(shell.LUA .. " lua/catalog/cli/main.lua emulator --prot 1")
    assert.equal(2, wrong)
    assert.matches("Did you mean '--port'?", usage, 1, true)
  end)
end)
