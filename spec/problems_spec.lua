-- What the service found wrong with a batch; spec/replies_spec.lua has shapes that no guide shows.
local core = require "catalog.core"
local problems = require "catalog.batch.problems"

local function texts_of(errors)
  local texts = {}
  for i, problem in ipairs(problems.list(errors)) do texts[i] = problem.text end
  return texts
end

describe("the problems of a batch", function()
  it("are the service's, each with a text of its code, description and rows", function()
    local sent = { code = "INGEST-1212-400", description = "it is no JSON", recordCount = 2 }
    local list = problems.list { sent, { code = "106", rows = 1 }, { description = "odd", recordCount = 1.5 }, {} }
    assert.equal("INGEST-1212-400", list[1].code)
    assert.equal(2, list[1].recordCount)
    assert.is_nil(sent.text) -- what was sent stays as it is
    assert.same({
      "INGEST-1212-400: it is no JSON (2 rows)", "106: no description (1 row)", "no code: odd", "no code: no description",
    }, texts_of { sent, { code = "106", rows = 1 }, { description = "odd", recordCount = 1.5 }, {} })
  end)

  it("are none where there are none, and one alone is a list of it", function()
    for _, none in ipairs { {}, core.json.null } do assert.same({}, problems.list(none)) end
    assert.same({}, problems.list(nil))
    assert.same({ "106: empty" }, texts_of { code = "106", description = "empty" })
    assert.same({ "no code: broken" }, texts_of "broken")
  end)

  it("are shown on one line, numbers as they are", function()
    assert.equal("a\\nb", problems.word "a\nb")
    assert.equal("17", problems.word(17))
    assert.equal("1.5", problems.word(1.5))
    for _, none in ipairs { "", false, {}, core.json.null } do assert.is_nil(problems.word(none)) end
  end)
end)
