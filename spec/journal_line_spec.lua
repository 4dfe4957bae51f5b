-- One line of a journal.
local core = require "catalog.core"
local line = require "catalog.ingest.journal_line"

describe("a line of a journal", function()
  it("is read as it was written, with its event first", function()
    local fields = { group = 1, id = "b\n1", list = core.json.array { 1, 2 } }
    local text = assert(line.encode(7, "batch", fields))
    assert.matches('^%x%x%x%x%x%x%x%x {"event":"batch",.*}\n$', text)
    local read, has_sum = line.decode(7, text:sub(1, -2), true)
    fields.event = "batch"
    assert.same(fields, read)
    assert.is_true(has_sum)
    assert.equal('{"event":"ready"}\n', assert(line.encode(1, "ready", {})):sub(10))
  end)

  it("is none at another place, or with another byte", function()
    local text = assert(line.encode(7, "ready", { n = 1 })):sub(1, -2)
    for _, number in ipairs { 6, 8, 70 } do assert.is_nil((line.decode(number, text, false))) end
    for at = 1, #text do
      local other = text:sub(1, at - 1) .. string.char(text:byte(at) ~ 1) .. text:sub(at + 1)
      assert.is_nil((line.decode(7, other, true)), other)
    end
  end)

  it("may lack its checksum where none was before, and only there", function()
    local fields, has_sum = line.decode(1, '{"event":"run"}', false)
    assert.same({ event = "run" }, fields)
    assert.is_false(has_sum)
    assert.is_nil((line.decode(1, '{"event":"run"}', true)))
    assert.is_nil((line.decode(1, "my notes", false)))
  end)

  it("cannot hold what JSON cannot, which is an error", function()
    local text, err = line.encode(1, "run", { value = print })
    assert.is_nil(text)
    assert.equal("data", err.kind)
  end)

  it("shows how a journal begins", function()
    assert.is_true(line.is_beginning '{"event":"run","base_url')
    assert.is_true(line.is_beginning '0a1b2c3d {"event":"run",')
    for _, text in ipairs { "", '{"event":"ru', '0a1b2c3d {"event":"ready",', 'x{"event":"run",' } do
      assert.is_false(line.is_beginning(text))
    end
  end)
end)
