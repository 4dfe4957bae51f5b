-- Previews of batches and data sets.
local raw = require "support.raw"
local service = require "support.service"

local function collect(iterator)
  local rows = {}
  for row in iterator do rows[#rows + 1] = row end
  return rows
end

local function batch_with(client, text, options)
  local given = { dataset = "d", format = "json" }
  for name, value in pairs(options or {}) do given[name] = value end
  local batch = assert(client:create_batch(given))
  assert(batch:upload("a", { data = text }))
  return batch
end

describe("a preview of a batch", function()
  it("has the first records, by the paths of what is in them, before it is completed", function()
    service.run({ strict = true }, function(_, client)
      local batch = batch_with(client, '{"person":{"name":"A"},"n":1,"list":[1,2]}\n' .. ('{"n":2}\n'):rep(20))
      local rows = collect(batch:preview())
      assert.equal(5, #rows)
      assert.same({ ["person/name"] = "A", n = "1", list = "[1,2]" }, rows[1])
      assert.same({ n = "2" }, rows[2])
      assert.equal(9, #collect(client:batch(batch.id):preview(9)))
      assert.same({ { n = "1" } }, collect(batch_with(client, '[{"n":1}]', { multiline = true }):preview(3)))
      local csv = batch_with(client, 'a;b\n1;"x;y"\n', { format = "csv", csv = { delimiter = ";" } })
      assert.same({ { a = "1", b = "x;y" } }, collect(csv:preview(3)))
    end)
  end)

  it("raises what cannot be had in the loop", function()
    local client = service.client "http://127.0.0.1:1"
    for _, count in ipairs { 0, 10, -1 } do
      local fine, err = pcall(client:batch("b"):preview(count))
      assert.same({ false, "config" }, { fine, err.kind })
    end
    assert.has_error(function() client:batch("b"):preview "x" end, "bad argument to preview (an integer expected, got string)")
    for _, body in ipairs { "7", "{}", '{"data":{"a":1}}', '{"data":[1]}', '{"preview":{"rows":[]}}',
      '{"preview":{"columns":[],"rows":[5]}}' } do
      local server <close> = raw.start { { { send = raw.answer("200 OK", body) } } }
      local fine, err = pcall(service.client(server.url):dataset("d"):preview())
      assert.same({ false, "protocol" }, { fine, err.kind }, body)
    end
  end)
end)

describe("a preview of a data set", function()
  it("has the first records of what was ingested", function()
    service.run({}, function(_, client)
      local dataset = client:dataset "d"
      local _, err = pcall(dataset:preview())
      assert.equal(404, err.status)
      batch_with(client, '{"lost":true}\n')
      assert.same({}, collect(dataset:preview()))
      local batch = batch_with(client, '{"person":{"name":"A"}}\n' .. ('{"n":2}\n'):rep(200))
      assert(batch:complete())
      assert(batch:wait())
      local rows = collect(dataset:preview(100))
      assert.equal(100, #rows)
      assert.same({ person = { name = "A" } }, rows[1])
      assert.equal(5, #collect(dataset:preview()))
    end)
  end)
end)
