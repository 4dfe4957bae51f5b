-- The shapes of the emulator's answers.
local answers = require "catalog.emulator.answers"
local core = require "catalog.core"

describe("an answer of the emulator", function()
  it("is a status, headers and a body, which has a type where there is one", function()
    assert.same({ 204, {}, "" }, { answers.empty(204) })
    assert.same({ 200, { ["content-type"] = "application/json" }, "[]" }, { answers.text(200, "[]") })
    assert.same({ 201, { ["content-type"] = "application/json" }, '{"id":"b"}' }, { answers.value(201, { id = "b" }) })
  end)

  it("is a refusal of the gateway by its code", function()
    local status, _, body = answers.gateway "401013"
    assert.equal(401, status)
    assert.same({ error_code = "401013", message = "Oauth token is not valid" }, core.json.decode(body))
  end)

  it("is a problem as RFC 7807 has it, in UTF-8 whatever it quotes", function()
    local status, headers, body = answers.problem(400, "no %s, but %d", "\xff\xe4", 3)
    assert.equal(400, status)
    assert.equal("application/problem+json", headers["content-type"])
    assert.same({
      type = "http://ns.adobe.com/aep/errors/400", status = 400, title = "BadRequestError", detail = "no ??, but 3",
    }, core.json.decode(body))
    assert.equal("ä€", answers.shown "ä€")
  end)
end)
