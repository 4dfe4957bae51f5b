--- What a drain asks of the platform, again and again until it comes to something.
-- @module catalog.drain.service
local Platform = require "catalog.stream.platform"
local failure = require "catalog.base.failure"
local once = require "catalog.batch.once"
local retry = require "catalog.client.retry"
local rules = require "catalog.stream.rules"

local Service = {}
Service.__index = Service

-- Pauses between tries, in seconds: the first, the longest, and how they grow.
local FIRST <const>, LONGEST <const>, GROWTH <const> = 0.5, 60, 2

--- @tparam catalog.client client
-- @tparam table given the options of batches, as of `catalog.stream.platform`
-- @tparam table host `pause(seconds)`: false when there is nothing more to be done; `failed(err)` is told of what is
--   tried again
-- @treturn table
function Service.new(client, given, host)
  local platform = Platform.new(client, given, { external_id = function(filling) return filling.external_id end })
  return setmetatable({ platform = platform, host = host }, Service)
end

-- Takes a step until it comes to something: it gives a value, or nil, an error and whether that is the end.
local function persist(self, filling, step)
  local seconds = FIRST
  while not filling.dead do
    local done, err, is_end = step()
    if done then return done end
    if is_end then return nil, err end
    self.host.failed(err)
    local asked = retry.asked(err)
    if not self.host.pause(math.max(seconds * (0.5 + math.random() / 2), asked)) then return nil, err end
    seconds = math.min(LONGEST, seconds * GROWTH)
  end
  return failure("cancelled", "the batch was dropped: %s", filling.dead)
end

--- Creates the batch. One that was created without an answer is found again, so that few are left over; an empty one
-- that is left over harms nobody.
-- @tparam table filling gets `id`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function Service:create(filling)
  filling.external_id = once.new_id()
  local id, err = persist(self, filling, function() return self.platform:create(filling) end)
  if not id then return nil, err end
  filling.id = id
  return true
end

-- A file was refused: whether the batch still takes any. The third value: it is over.
local function look_whether_open(self, filling, err)
  local fields, unseen = self.platform:status(filling)
  if not fields then return nil, unseen end
  if rules.created(fields.status) == "go_on" then return nil, err end
  local _, over = failure("batch", "somebody else has ended the batch %s: it is %s", filling.id, fields.status)
  return nil, over, true
end

--- Sends a file.
-- @tparam table filling
-- @tparam string name
-- @tparam buffer buffer
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error: nothing can be put into the batch any more
function Service:put(filling, name, buffer)
  return persist(self, filling, function()
    local ok, err = self.platform:send(filling, name, buffer)
    if ok then return true end
    if err.kind == "http" and not err.retryable then return look_whether_open(self, filling, err) end
    return nil, err
  end)
end

function Service:complete(sealed) return self.platform:complete(sealed) end
function Service:abort(sealed) return self.platform:abort(sealed) end
function Service:status(sealed) return self.platform:status(sealed) end
function Service:rows(sealed) return self.platform:rows(sealed) end

return Service
