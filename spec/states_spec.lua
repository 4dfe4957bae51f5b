-- The states of a batch, in whatever letters the service writes them.
local catalog = require "catalog"
local raw = require "support.raw"
local service = require "support.service"
local states = require "catalog.batch.states"

local function with_answers(answers, body)
  local requests = {}
  for i, answer in ipairs(answers) do requests[i] = { send = raw.answer(table.unpack(answer)) } end
  local server <close> = raw.start { requests }
  return body(service.client(server.url):batch("b1"), server)
end

local function in_state(status) return { "200 OK", ('{"b1":{"status":"%s"}}'):format(status) } end

describe("a state of a batch", function()
  it("ends a wait, however it is written, and stays as it was sent", function()
    for _, status in ipairs { "Success", "SUCCESS", "Active", "Archived" } do
      with_answers({ in_state "Loaded", in_state(status) }, function(batch)
        assert.equal(status, assert(batch:wait { timeout = 5 }).status)
      end)
    end
    for _, status in ipairs { "Failed", "failure", "Failure", "Stalled", "ABORTED", "Abandoned", "inactive" } do
      with_answers({ in_state "LOADING", in_state(status) }, function(batch)
        local done, err = batch:wait { timeout = 5 }
        assert.is_nil(done)
        assert.equal("batch", err.kind)
        assert.equal(status, err.batch.status)
        assert.matches("ended as " .. status, err.message, 1, true)
      end)
    end
  end)

  it("shows, however it is written, that an action was done", function()
    for action, status in pairs { complete = "Queued", abort = "Aborted", fail = "Failure", revert = "Inactive" } do
      with_answers({ { "400 Bad", '{"title":"Done already"}' }, in_state(status) }, function(batch)
        assert(batch[action](batch))
      end)
    end
  end)

  it("that is final has problems which are not looked up again", function()
    with_answers({ { "200 OK", '{"b1":{"status":"Failed","errors":[{"code":"106"}]}}' } }, function(batch, server)
      local fields = assert(batch:get())
      assert.equal("106", assert(fields:problems())[1].code)
      assert.equal(1, #server:stop())
    end)
  end)

  it("is none where there is no text", function()
    for _, status in ipairs { false, 1, {}, catalog.null, "", "unheard of" } do
      for _, is in ipairs { "is_success", "is_failure", "is_gone", "is_loading" } do
        assert.is_false(states[is](status))
      end
      assert.is_false(states.shows("COMPLETE", status))
    end
    assert.is_false(states.is_success(nil))
    assert.is_true(states.is_gone "Aborted")
    assert.is_true(states.is_loading "Loading")
  end)
end)
