-- What the sinks of `catalog serve` do while nobody asks for anything, and what its health says of them.
local serving = require "support.serving"
local shell = require "support.shell"

local RECORD <const> = '{"n":1}\n'

-- Why it is not ready; nil: it is.
local function unready(server)
  local status, text = server:request("GET", "/ready")
  return status ~= 200 and text or nil
end

describe("catalog serve --transform", function()
  it("changes what comes by a request, which knows where it is from, and counts what it drops", function()
    shell.with_directory(function(directory)
      shell.write(directory .. "/change.lua", [[
        return function(record, message)
          if record.n == 2 then return nil end
          return { { n = record.n }, message.position and { n = message.position } }
        end]])
      serving.run(("--roll-seconds 1 --transform %s/change.lua"):format(directory), function(server)
        local headers = { ["Catalog-Source"] = "app", ["Catalog-Position"] = "7" }
        local status, answer = server:post('{"n":1}\n{"n":2}\n{"n":{}}\nnone\n', headers)
        assert.same({ 200, 3, 1 }, { status, answer.accepted, answer.rejected })
        assert.equal(1, server:metric "catalog_sink_dropped_total")
        assert.equal(4, server:metric "catalog_sink_records_total")
        status, answer = server:post('{"n":1}\n', headers)
        assert.same({ 200, 0, true }, { status, answer.accepted, answer.repeated })
        assert.matches("^catalog: batch %w+: success, 4 records$", server.program:line())
        assert.equal('{"n":1}\n{"n":7}\n{"n":{}}\n{"n":7}\n', server:sent())
      end)
    end)
  end)
end)

describe("catalog serve, without requests", function()
  it("sends what it has when its time comes", function()
    serving.run("--roll-seconds 1", function(server)
      assert.matches("^catalog: %-%-roll%-seconds = 1 is up to 86400 batches a day;", server.said)
      assert.equal(200, (server:post(RECORD)))
      assert.matches("^catalog: batch %w+: success, 1 record$", server.program:line())
      assert.equal(RECORD, server:sent())
      assert.equal(1, server:metric("catalog_sink_batches", 'state="success"'))
    end)
  end)

  it("says what the service refuses", function()
    serving.run("--roll-seconds 1", function(server)
      server.service:set_faults { { action = { status = 403, body = '{"title":"Not yours"}' } } }
      assert.equal(0, server:metric "catalog_sink_last_error_timestamp_seconds")
      assert.equal(200, (server:post(RECORD)))
      assert.matches("Not yours", server.program:line())
      assert.is_true(server:metric "catalog_sink_last_error_timestamp_seconds" > 1e9)
      assert.is_nil(unready(server)) -- it takes records for as long as there is room
    end)
  end)

  it("is not ready when the spool is gone, and says so once", function()
    serving.run("", function(server)
      assert.is_nil(unready(server))
      shell.run("rm -r " .. server.directory .. "/spool")
      local said = ("the spool %s/spool: its directory was removed"):format(server.directory)
      assert.equal("catalog: " .. said, server.program:line())
      assert.equal(said .. "\n", unready(server))
      assert.equal(1, server:metric "catalog_sink_blocked")
      local output = server:stop()
      assert.is_nil(output:find("was removed.*was removed"), output)
    end)
  end)

  it("is not ready while the spool is full", function()
    serving.run("--roll-seconds 1 --record-bytes 500 --file-bytes 1000 --limit-bytes 2000", function(server)
      server.service:set_faults { { action = { status = 503 } } }
      local status, answer
      repeat status, answer = server:post(RECORD:rep(50)) until status ~= 200
      assert.equal(429, status)
      assert.matches("^the spool .* is full: %-%-limit%-bytes is reached; ", answer.error)
      assert.equal(answer.error .. "\n", unready(server))
      server.service:set_faults()
      server:wait_for(function() return not unready(server) end)
      assert.equal(200, (server:post(RECORD)))
    end)
  end)

  it("takes what has room, and is ready when all are", function()
    serving.run("--dataset a=one --dataset b=two", function(server)
      shell.run("rm -r " .. server.directory .. "/spool/one")
      local said = server:wait_for(function() return unready(server) end)
      assert.equal(("the spool %s/spool/one: its directory was removed\n"):format(server.directory), said)
      assert.same({ 503, 200 }, { (server:post(RECORD, {}, "/one")), (server:post(RECORD, {}, "/two")) })
    end)
  end)

  it("may leave nothing of the disk free", function()
    serving.run("--limit-free 0", function(server) assert.equal(200, (server:post(RECORD))) end)
  end)
end)
