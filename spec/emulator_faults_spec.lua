-- Faults on demand: which requests meet which.
local emulated = require "support.emulated"
local emulator = require "catalog.emulator"

-- What ids of batches answer that are looked up one after another.
local function statuses(server, ids)
  local list = {}
  for i, id in ipairs(ids) do
    list[i] = emulated.get(server, "/data/foundation/catalog/batches/" .. id)
  end
  return list
end

describe("the emulator's faults", function()
  it("befall what they match: by method and path, the nth of these, so many times", function()
    local no = { status = 503 }
    for _, case in ipairs {
      { { action = no }, { 503, 503, 503, 503 } },
      { { match = { method = "POST" }, action = no }, { 404, 404, 404, 404 } },
      { { match = { method = "GET", path = "/b$" }, action = no }, { 404, 503, 404, 503 } },
      { { match = { path = "/b$", nth = 2 }, action = no }, { 404, 404, 404, 503 } },
      { { match = { path = "/[ab]$" }, times = 3, action = no }, { 503, 503, 503, 404 } },
    } do
      local server <close> = assert(emulator.start { faults = { case[1] } })
      assert.same(case[2], statuses(server, { "a", "b", "a", "b" }))
    end
  end)

  it("are met one at a time, the first that matches, and may be set anew", function()
    local server <close> = assert(emulator.start { faults = {
      { match = { path = "/a$" }, times = 1, action = { status = 500 } }, { action = { status = 503 } },
    } })
    assert.same({ 500, 503, 503 }, statuses(server, { "a", "a", "b" }))
    server:set_faults { { action = { status = 429, headers = { ["retry-after"] = "7" }, body = '{"title":"Slow"}' } } }
    local status, body, head = emulated.get(server, "/data/foundation/catalog/batches/a")
    assert.equal(429, status)
    assert.equal('{"title":"Slow"}', body)
    assert.matches("\r\nretry%-after: 7\r\n", head:lower())
    server:set_faults()
    assert.same({ 404 }, statuses(server, { "a" }))
  end)

  it("are the same for the same seed", function()
    local runs = {}
    for i, seed in ipairs { 1, 1, 2 } do
      local server <close> = assert(emulator.start { seed = seed, faults = { { rate = 0.5, action = { status = 503 } } } })
      local ids = {}
      for k = 1, 40 do ids[k] = "b" end
      runs[i] = table.concat(statuses(server, ids), " ")
    end
    assert.equal(runs[1], runs[2])
    assert.not_equal(runs[1], runs[3])
    assert.matches("404", runs[1], 1, true)
    assert.matches("503", runs[1], 1, true)
  end)

  it("that nobody knows are a mistake, told where they are given", function()
    assert.error_matches(function() emulator.start { faults = { { action = { stauts = 503 } } } } end, "stauts", 1, true)
  end)
end)
