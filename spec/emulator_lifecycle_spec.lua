-- The states that the emulator's batches go through.
local emulated = require "support.emulated"

local create <const>, put <const>, act <const> = emulated.create, emulated.put, emulated.act
local look_up <const>, detail <const>, with_server <const> = emulated.look_up, emulated.detail, emulated.with_server

describe("the emulator's batches", function()
  it("move through their states", function()
    with_server(function(server)
      local id = create(server)
      put(server, id, "a", '{"a":1}\n')
      assert.equal(200, (act(server, id, "complete")))
      local seen, last = {}, nil
      repeat
        local status = look_up(server, id).status
        if status ~= last then seen[#seen + 1], last = status, status end
      until status == "success"
      assert.same({ "loaded", "staging", "success" }, seen)
      local batch = look_up(server, id)
      assert.is_true(batch.started >= batch.created + 100)
      assert.is_true(batch.completed >= batch.started)
    end, { stage_ms = 100 })
  end)

  it("refuse actions that do not fit their state", function()
    with_server(function(server)
      local id = create(server)
      assert.equal(200, (act(server, id, "ABORT")))
      assert.equal(200, (act(server, id, "ABORT")))
      for action, done in pairs { COMPLETE = "completed", FAIL = "failed", REVERT = "reverted" } do
        local status, answer = act(server, id, action)
        assert.equal(400, status)
        assert.equal(("The batch %s is aborted, and cannot be %s"):format(id, done), detail(answer))
      end
      assert.equal(400, (act(server, id, "EXPLODE")))
      assert.equal(404, (act(server, "nobody", "ABORT")))
    end)
  end)
end)
