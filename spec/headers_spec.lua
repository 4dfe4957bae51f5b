-- The headers of requests, which are made anew only where they change.
local raw = require "support.raw"
local service = require "support.service"

local DATASET <const> = service.DATASET
local created <const> = raw.created

describe("the headers of requests", function()
  it("are made once and used again while nothing changes", function()
    local core = require "catalog.core"
    local server <close> = raw.start { { created "b1", created "b2", created "b3", created "b4" } }
    local lists, make = 0, core.client.headers
    core.client.headers = function(lines)
      lists = lists + 1
      return make(lines)
    end
    finally(function() core.client.headers = make end)
    local token = "one"
    local client = service.client(server.url, { token = function() return token end })
    for _ = 1, 3 do assert(client:create_batch { dataset = DATASET }) end
    assert.equal(1, lists)
    token = "two"
    assert(client:create_batch { dataset = DATASET })
    assert.equal(2, lists)
    local tokens = {}
    for _, request in ipairs(server:stop()) do tokens[#tokens + 1] = request:match "Bearer (%w+)" end
    assert.same({ "one", "one", "one", "two" }, tokens)
  end)
end)
