-- What an adapter has to have: catalog.loop.adapter.
local service = require "support.service"

describe("an adapter", function()
  local function client_of(loop) return service.client("http://127.0.0.1:1", { loop = loop }) end

  it("without what it needs, or with both kinds, is a mistake", function()
    local needs = "it needs watch(fd, callback), suspend() and resume(thread), or wait(fd, seconds) alone"
    assert.error_matches(function() client_of {} end, needs, 1, true)
    assert.error_matches(function() client_of { watch = print, suspend = print } end, needs, 1, true)
    assert.error_matches(function() client_of { wait = print, suspend = print } end,
      "an adapter that can suspend has watch(fd, callback) in place of wait", 1, true)
    assert.error_matches(function() client_of { wait = print, supend = print } end, "did you mean 'suspend'?", 1, true)
    assert.error_matches(function() client_of "cqueues" end, "bad option 'loop' for client (table expected, got string)", 1, true)
  end)

  it("with fields of the old contract is told the new ones", function()
    for name, other in pairs { yieldable = "current", spawn = "watch" } do
      assert.error_matches(function() client_of { wait = print, suspend = print, resume = print, [name] = print } end,
        ("an adapter is { watch, suspend, resume, current } now, or { wait }; %s takes the place of %s"):format(other, name),
        1, true)
    end
  end)
end)
