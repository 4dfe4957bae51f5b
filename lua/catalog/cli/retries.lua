--- What is said of faults that pass: each once, as soon as it is met, with what is done about it; and how it ended.
-- @module catalog.cli.retries
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"
local retry = require "catalog.client.retry"

local Retries = {}
Retries.__index = Retries

local retries = {}

--- Makes what keeps count.
-- @treturn table `told`: what was said last, nil: nothing; `failed`: how many tries have failed in a row
function retries.new() return setmetatable({ told = nil, failed = 0 }, Retries) end

-- What happened. How many milliseconds it took makes it no other fault.
local function text_of(err) return retry.without_times(problem.text(err, true)) end

--- Takes note of an exchange.
-- @tparam ?table err what it came to
-- @tparam boolean is_waiting it looks up a batch that is waited for
function Retries:observe(err, is_waiting)
  if err then
    self.failed = self.failed + 1
    return
  end
  if self.told and is_waiting then
    output.note(("catalog: the service answers again, after %s"):format(output.count(self.failed, "failed request")))
    self.told = nil
  end
  self.failed = 0
end

--- Says of a fault what is done about it, where it is another than the last.
-- @tparam table err
-- @tparam integer tries how often a request is sent in all
-- @tparam boolean is_waiting as of `observe`
function Retries:tell(err, tries, is_waiting)
  local text = text_of(err)
  if self.told == text then return end
  self.told = text
  local plan = is_waiting and "the batch goes on without us, and is looked up again, less and less often"
    or ("it is tried again, up to %s in all"):format(output.count(tries, "time"))
  output.note(("catalog: %s; %s"):format(problem.text(err, true), plan))
end

--- Says that a fault which was told has not passed.
-- @tparam table err what the call came to
-- @treturn boolean false: it is another fault
function Retries:give_up(err)
  if not self.told or text_of(err.first or err) ~= self.told then return false end
  output.note(("catalog: given up after %d tries"):format(math.max(err.attempts or 1, self.failed)))
  return true
end

return retries
