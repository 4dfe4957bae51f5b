-- What functions of the host may do that are called in the middle of a call.
local batches = require "support.batches"
local service = require "support.service"
local shell = require "support.shell"

local DATASET <const> = service.DATASET

local create <const> = batches.create

describe("a callback", function()
  it("may call the API: a reader, on_progress and on_retry", function()
    service.run({ latency_ms = 5 }, function(server)
      local client, seen = nil, {}
      client = service.client(server.url, {
        retry = { base = 0.01 }, on_retry = function() seen.retry = create(client).id end,
      })
      local batch = create(client)
      local chunks = { '{"a":1}\n', '{"a":2}\n' }
      assert(batch:upload("from a reader", { reader = function()
        seen.reader = assert(batch:get()).id
        return table.remove(chunks)
      end }, { part_size = 8, parallel = 1 }))
      server:set_faults { { match = { method = "GET" }, times = 1, action = { status = 503, body = "{}" } } }
      assert(batch:get())
      shell.with_directory(function(directory)
        shell.write(directory .. "/f", '{"a":1}\n')
        assert(client:ingest {
          dataset = DATASET, format = "json", files = { directory .. "/f" },
          on_progress = function() seen.progress = assert(batch:get()).id end,
        })
      end)
      assert.equal(batch.id, seen.reader)
      assert.equal(batch.id, seen.progress)
      assert.is_string(seen.retry)
    end)
  end)

  it("that is a reader or on_progress runs on the coroutine that called, and what it raises is raised there", function()
    shell.with_directory(function(directory)
      for i = 1, 4 do shell.write(directory .. "/f" .. i, ('{"a":1}\n'):rep(100)) end
      service.run({ latency_ms = 20 }, function(_, client)
        local callers, count, chunks = {}, 0, 40
        local function note()
          callers[coroutine.running()] = true
          count = count + 1
        end
        local function ingest(on_progress)
          return client:ingest {
            dataset = DATASET, format = "json", dir = directory, parallel = 1, part_size = 100, part_threshold = 100,
            on_progress = on_progress,
          }
        end
        local thread = coroutine.create(function()
          local batch = create(client)
          assert(batch:upload("f", { reader = function()
            note()
            chunks = chunks - 1
            return chunks > 0 and ("x"):rep(10) or nil
          end }, { part_size = 100 }))
          assert(ingest(note))
        end)
        assert(coroutine.resume(thread))
        assert.equal("dead", coroutine.status(thread))
        assert.same({ [thread] = true }, callers)
        assert.is_true(count > 42)
        assert.error_matches(function() ingest(function() error "on purpose" end) end, "on purpose")
      end)
    end)
  end)

  it("that raises within a task of ours raises out of the call", function()
    shell.with_directory(function(directory)
      shell.write(directory .. "/f", ('{"a":1}\n'):rep(500))
      service.run({}, function(server)
        local client = service.client(server.url, { retry = { base = 0.01 }, on_retry = function() error "on purpose" end })
        local batch = create(client)
        server:set_faults { { match = { method = "PATCH" }, times = 1, action = { status = 503, body = "{}" } } }
        assert.error_matches(function()
          batch:upload("g", { file = directory .. "/f" }, { part_size = 1000, part_threshold = 1000 })
        end, "on purpose")
      end)
    end)
  end)

  it("may close the client: on_progress ends the ingest with an error", function()
    shell.with_directory(function(directory)
      for i = 1, 4 do shell.write(directory .. "/f" .. i, '{"a":1}\n') end
      service.run({ latency_ms = 150 }, function(_, client)
        local report, err = client:ingest {
          dataset = DATASET, format = "json", dir = directory, parallel = 1, on_progress = function() client:close() end,
        }
        assert.is_nil(report)
        assert.equal("cancelled", err.kind)
      end)
    end)
  end)
end)
