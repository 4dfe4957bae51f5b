-- The deadlines of transfers: which is the soonest, and which is there no more.
local core = require "catalog.core"
local raw = require "support.raw"
local service = require "support.service"

describe("the deadlines of transfers", function()
  it("pass in their order, whatever the order of the transfers, and those of others that were closed never", function()
    local silent <close> = raw.start { { { silent = true, hang = true } } }
    local client, engine, waiting, closed = service.client(silent.url).connection, core.engine.get(), {}, {}
    local headers, number_of = core.client.headers {}, {}
    for i = 1, 60 do
      local number = i * 37 % 61 -- each from 1 to 60, in disorder
      local transfer = assert(core.transfer.start(client, { method = "GET", url = silent.url .. "/" }, headers,
        0.2 + number / 200))
      number_of[transfer] = number
      if number % 3 == 0 then closed[#closed + 1] = transfer else waiting[number] = transfer end
    end
    for _, transfer in ipairs(closed) do transfer:close() end
    local last = 0
    while next(waiting) do
      engine:step(5)
      for transfer in function() return engine:next_completed() end do
        local number = number_of[transfer]
        if number then
          assert.equal("timeout", select(2, transfer:reply()).kind)
          assert.is_true(number > last)
          waiting[number], last = nil, number
        end
      end
    end
  end)
end)
