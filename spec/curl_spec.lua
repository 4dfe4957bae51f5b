-- The guide's commands, as printed, with the real curl against the emulator.
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local shell = require "support.shell"

-- Runs curl with the arguments; gives the status, the body, and the headers as one text.
local function curl(arguments)
  return shell.with_directory(function(directory)
    local output = shell.run(("curl -sS --noproxy '*' --max-time 20 -D %s/head -o %s/body -w '%%{http_code}' %s"):format(
      directory, directory, arguments))
    local function read(name)
      local file = io.open(directory .. "/" .. name, "rb")
      return file and file:read "a" or ""
    end
    return tonumber(output) or output, read "body", read "head"
  end)
end

local function decoded(body)
  return assert(core.json.decode(body))
end

-- The headers as the guide prints them, the slip in `x-api-key :` included.
local AS_PRINTED <const> = [[-H "accept: application/json" \
  -H "x-gw-ims-org-id: ORG@AdobeOrg" \
  -H "Authorization: Bearer token" \
  -H "x-sandbox-name: prod" \
  -H "x-api-key : key" ]]

local CORRECT <const> = AS_PRINTED:gsub("x%-api%-key :", "x-api-key:")

local function creation(url, headers, body)
  return ([[-X POST "%s/data/foundation/import/batches" \
  %s -H "content-type: application/json" \
  -d '%s']]):format(url, headers, body or '{"datasetId":"5c8c3c555033b814b69f947f"}')
end

describe("the guide's curl", function()
  it("creates a batch, with the space before the colon as without", function()
    local server <close> = assert(emulator.start {})
    for _, headers in ipairs { AS_PRINTED, CORRECT } do
      local status, body, head = curl(creation(server.url, headers))
      assert.equal(201, status)
      assert.matches("\nx%-request%-id: %w+", head:lower())
      local batch = decoded(body)
      assert.equal("loading", batch.status)
      assert.equal("key", batch.createdClient)
      assert.equal(26, #batch.id)
      assert.matches("^[0-9A-HJKMNP-TV-Z]+$", batch.id)
      assert.same({ { type = "dataSet", id = "5c8c3c555033b814b69f947f" } }, batch.relatedObjects)
      assert.matches('"tags":{}', body, 1, true)
    end
  end)

  it("is refused under strict for the space before the colon, and only for that", function()
    local server <close> = assert(emulator.start { strict = true })
    local body = '{"datasetId":"5c8c3c555033b814b69f947f","inputFormat":{"format":"json"}}'
    local status, answer = curl(creation(server.url, AS_PRINTED, body))
    assert.equal(400, status)
    if answer:find "^{" then
      assert.equal("A header has a space before its colon (RFC 9112, 5.1)", decoded(answer).detail)
    else -- libmicrohttpd 1.0 sees to it itself
      assert.matches("whitespace before the first colon", answer, 1, true)
    end
    assert.equal(201, (curl(creation(server.url, CORRECT, body))))
  end)

  it("creates batches with formats, replays and diagnostics", function()
    local server <close> = assert(emulator.start {})
    local _, json = curl(creation(server.url, AS_PRINTED,
      '{"datasetId":"d","inputFormat":{"format":"json","isMultiLineJson":true}}'))
    assert.same({ format = "json", isMultiLineJson = true }, decoded(json).inputFormat)
    local _, upper = curl(creation(server.url, AS_PRINTED, '{"datasetId":"d","inputFormat":{"format":"CSV"}}'))
    assert.equal("csv", decoded(upper).inputFormat.format)
    local _, replay = curl(creation(server.url, AS_PRINTED,
      '{"datasetId":"d","replay":{"predecessors":["${batchIdA}","${batchIdB}"],"reason":"replace"}}'))
    assert.same({ predecessors = { "${batchIdA}", "${batchIdB}" }, reason = "replace" }, decoded(replay).replay)
    for _, name in ipairs { "partialIngestionPercent", "partialIngestionPercentage" } do
      local _, partial = curl(creation(server.url, AS_PRINTED,
        ('{"datasetId":"d","enableErrorDiagnostics":true,"%s":5,"tags":{"a":[]}}'):format(name)))
      assert.matches('"a":[]', partial, 1, true)
      assert.same({ a = {}, acp_enableErrorDiagnostics = true, acp_partialIngestionPercent = 5 }, decoded(partial).tags)
    end
  end)

  it("looks a batch up", function()
    local server <close> = assert(emulator.start {})
    local _, created = curl(creation(server.url, AS_PRINTED))
    local batch = decoded(created)
    local status, body = curl(('-X GET "%s/data/foundation/catalog/batches/%s" %s'):format(server.url, batch.id, AS_PRINTED))
    assert.equal(200, status)
    assert.same({ [batch.id] = batch }, decoded(body))
  end)

  it("creates by way of the catalog, which answers with a reference", function()
    local server <close> = assert(emulator.start {})
    local status, body, head = curl(([[-X POST "%s/data/foundation/catalog/batches" %s -H "content-type: application/json" \
      -d '{"relatedObjects":[{"type":"dataSet","id":"d"}]}']]):format(server.url, AS_PRINTED))
    assert.equal(201, status)
    local id = decoded(body)[1]:match "^@/batches/(%w+)$"
    assert.matches("\nlocation: /data/foundation/catalog/batches/" .. id:lower(), head:lower(), 1, true)
    assert.equal(200, (curl(('"%s/data/foundation/catalog/batches/%s" %s'):format(server.url, id, AS_PRINTED))))
  end)

  it("lists batches", function()
    local server <close> = assert(emulator.start {})
    local ids = {}
    for i = 1, 3 do ids[i] = decoded(select(2, curl(creation(server.url, AS_PRINTED)))).id end
    local status, body = curl(('-X GET "%s/data/foundation/catalog/batches?limit=2&orderBy=desc:created&properties=status" %s')
      :format(server.url, AS_PRINTED))
    assert.equal(200, status)
    assert.equal(('{"%s":{"status":"loading"},"%s":{"status":"loading"}}'):format(ids[3], ids[2]), body)
  end)

  it("gets a token, with which it may create", function()
    local server <close> = assert(emulator.start { tokens = {}, clients = { key = "s3cret" } })
    local status, body = curl(([[-X POST "%s/ims/token/v3" -H "Content-Type: application/x-www-form-urlencoded" \
      -d "grant_type=client_credentials&client_id=key&client_secret=s3cret&scope=openid,AdobeID"]]):format(server.url))
    assert.equal(200, status)
    local grant = decoded(body)
    assert.equal("bearer", grant.token_type)
    assert.equal(86399, grant.expires_in)
    assert.equal(401, (curl(creation(server.url, AS_PRINTED))))
    local headers = AS_PRINTED:gsub("Bearer token", "Bearer " .. grant.access_token)
    assert.equal(201, (curl(creation(server.url, headers))))
  end)

  it("uploads a small file, completes the batch and looks at it", function()
    shell.with_directory(function(directory)
      local server <close> = assert(emulator.start { data_dir = directory .. "/data" })
      shell.write(directory .. "/profiles.json", '{"a":1}\n{"a":2}\nbad\n')
      local batch = decoded((select(2, curl(creation(server.url, AS_PRINTED,
        '{"datasetId":"d","inputFormat":{"format":"json"},"enableErrorDiagnostics":true,"partialIngestionPercent":50}')))))
      local base = ("%s/data/foundation/import/batches/%s"):format(server.url, batch.id)
      local status, body = curl(([[-X PUT "%s/datasets/d/files/profiles.json" %s \
        -H "content-type: application/octet-stream" --data-binary "@%s/profiles.json"]]):format(base, AS_PRINTED, directory))
      assert.equal(200, status, body)
      assert.same({ name = "profiles.json", sizeInBytes = 20 }, decoded(body))
      assert.equal(200, (curl(([[-T %s/profiles.json "%s/datasets/d/files/again.json" %s \
        -H "content-type: application/octet-stream"]]):format(directory, base, AS_PRINTED))))
      assert.equal(200, (curl(('-X POST "%s?action=COMPLETE" %s'):format(base, AS_PRINTED))))
      local _, found = curl(('"%s/data/foundation/catalog/batches/%s" %s'):format(server.url, batch.id, AS_PRINTED))
      local done = decoded(found)[batch.id]
      assert.equal("success", done.status)
      assert.equal(4, done.metrics.outputRecordCount)
      assert.equal("INGEST-1212-400", done.errors[1].code)
      local export = ("%s/data/foundation/export/batches/%s/meta?path="):format(server.url, batch.id)
      local name = decoded((select(2, curl(('-X GET "%srow_errors" %s'):format(export, AS_PRINTED))))).data[1].name
      local _, rows = curl(('-X GET "%srow_errors/%s" %s'):format(export, name, AS_PRINTED))
      assert.matches('"_corrupt_record":"bad"', rows, 1, true)
      assert.equal(2, #decoded((select(2, curl(('-X GET "%sinput_files" %s'):format(export, AS_PRINTED))))).data)
    end)
  end)

  it("uploads a large file in parts, in either spelling of the actions", function()
    for _, actions in ipairs { { "INITIALIZE", "COMPLETE" }, { "initialize", "complete" } } do
      shell.with_directory(function(directory)
        local server <close> = assert(emulator.start { data_dir = directory .. "/data" })
        local id = decoded((select(2, curl(creation(server.url, AS_PRINTED, '{"datasetId":"d"}'))))).id
        local file = ("%s/data/foundation/import/batches/%s/datasets/d/files/part1=a/x.parquet"):format(server.url, id)
        shell.write(directory .. "/one", "PAR1")
        shell.write(directory .. "/two", "....PAR1")
        assert.equal(201, (curl(('-X POST "%s?action=%s" %s'):format(file, actions[1], AS_PRINTED))))
        for name, range in pairs { one = "bytes 0-3", two = "bytes 4-11" } do
          assert.equal(200, (curl(([[-X PATCH "%s" %s -H "content-type: application/octet-stream" \
            -H "Content-Range: %s" --data-binary "@%s/%s"]]):format(file, AS_PRINTED, range, directory, name))))
        end
        local _, _, head = curl(('-I "%s" %s'):format(file, AS_PRINTED))
        assert.matches("range: bytes=0%-11", head:lower())
        assert.equal(201, (curl(('-X POST "%s?action=%s" %s'):format(file, actions[2], AS_PRINTED))))
        local kept <close> = assert(io.open(("%s/data/files/%s/part1=a/x.parquet"):format(directory, id), "rb"))
        assert.equal("PAR1....PAR1", kept:read "a")
      end)
    end
  end)

  it("aborts and reverts", function()
    local server <close> = assert(emulator.start {})
    local id = decoded((select(2, curl(creation(server.url, AS_PRINTED, '{"datasetId":"d"}'))))).id
    local base = ("%s/data/foundation/import/batches/%s"):format(server.url, id)
    assert.equal(200, (curl(('-X POST "%s?action=ABORT" %s'):format(base, AS_PRINTED))))
    assert.equal(400, (curl(('-X POST "%s?action=REVERT" %s'):format(base, AS_PRINTED))))
  end)
end)
