-- Ids and names in paths: what a server would take as a step in the path is refused before anything is sent.
local paths = require "catalog.batch.paths"
local raw = require "support.raw"
local service = require "support.service"

local STEPS <const> = { "", ".", ".." }
local OK <const> = { { { send = raw.answer("200 OK", "{}") } } }

-- Each call about a batch.
local CALLS <const> = {
  complete = function(batch) return batch:complete() end,
  abort = function(batch) return batch:abort() end,
  fail = function(batch) return batch:fail() end,
  revert = function(batch) return batch:revert() end,
  get = function(batch) return batch:get() end,
  wait = function(batch) return batch:wait { timeout = 5 } end,
  problems = function(batch) return batch:problems() end,
  input_files = function(batch) return batch:input_files() end,
  failed_rows = function(batch)
    local ok, err = pcall(function() for _ in batch:failed_rows() do error "a row" end end)
    return ok or nil, err
  end,
  upload = function(batch) return batch:upload("a", { data = "{}\n" }) end,
  ["upload from a reader"] = function(batch)
    return batch:upload("a", { reader = function() error "it was asked" end })
  end,
  writer = function(batch) return batch:writer "a" end,
}

describe("a path", function()
  it("has each id as one segment", function()
    assert.equal("/data/foundation/import/batches", paths.CREATION)
    assert.equal("/data/foundation/import/batches/a%2Fb?action=ABORT", paths.action("a/b", "ABORT"))
    assert.equal("/data/foundation/catalog/batches/a%3Fb", paths.catalog "a?b")
    assert.equal("/data/foundation/catalog/batches?limit=100&externalId=..%26", paths.external "..&")
    assert.equal("/data/foundation/export/batches/b/meta?path=row_errors%2Fx&start=0",
      paths.export("b", "row_errors/x", "&start=0"))
    local target = { base_url = "http://127.0.0.1", files = paths.files("b/1", "d#1") }
    assert.equal("/data/foundation/import/batches/b%2F1/datasets/d%231/files/x%20y/z", paths.file(target, "x y/z"))
  end)

  for name, call in pairs(CALLS) do
    it(("is refused, before anything is sent, for an id that is none: %s"):format(name), function()
      local server <close> = raw.start(OK)
      local client = service.client(server.url)
      for _, id in ipairs(STEPS) do
        local value, err = call(client:batch(id, { dataset = service.DATASET }))
        assert.is_nil(value)
        assert.equal("data", err.kind)
        assert.equal(("'%s' cannot be used as a batch id"):format(id), err.message)
      end
      assert.same({}, server:stop())
    end)
  end

  it("is refused, before anything is sent, for a dataset's id that is none", function()
    local server <close> = raw.start(OK)
    local client = service.client(server.url)
    for _, dataset in ipairs { ".", ".." } do
      local refused = { { client:batch("b1", { dataset = dataset }):upload("a", { data = "{}\n" }) } }
      for _, once in ipairs { true, false } do
        refused[#refused + 1] = { client:create_batch { dataset = dataset, once = once, external_id = "e" } }
      end
      refused[#refused + 1] = { client:ingest { dataset = dataset, external_id = "e", format = "json", files = { "Makefile" } } }
      for _, result in ipairs(refused) do
        assert.is_nil(result[1])
        assert.equal("data", result[2].kind)
        assert.equal(("'%s' cannot be used as a dataset id"):format(dataset), result[2].message)
      end
    end
    assert.same({}, server:stop())
  end)

  it("is refused for an id from the service too", function()
    local server <close> = raw.start { { { send = raw.answer("201 Created", '{"id":".."}') } } }
    do
      local batch <close> = assert(service.client(server.url):create_batch { dataset = service.DATASET })
      for _, call in ipairs { "complete", "get" } do assert.equal("data", select(2, batch[call](batch)).kind) end
    end
    assert.equal(1, #server:stop()) -- what was left asks for no path either
  end)

  it("is refused for names with steps in them, and is never longer than the service takes", function()
    local server <close> = raw.start(OK)
    local batch = service.client(server.url):batch("b1", { dataset = service.DATASET })
    for _, name in ipairs { "", ".", "..", "a/../b", "/a", "a/", ("x"):rep(2000) } do
      assert.equal("data", select(2, batch:upload(name, { data = "{}\n" })).kind)
    end
    assert.same({}, server:stop())
  end)
end)
