--- What a stream asks of the platform: batches that are created once, files that are sent whole, and what became of
-- them.
-- @module catalog.stream.platform
local Group = require "catalog.scheduler.group"
local batch = require "catalog.batch.batch"
local failure = require "catalog.base.failure"
local once = require "catalog.batch.once"
local parts = require "catalog.batch.parts"
local paths = require "catalog.batch.paths"
require "catalog.batch.actions"
require "catalog.batch.rows"

local Platform = {}
Platform.__index = Platform

--- What of a sink's options is given to each creation.
Platform.CREATION = { "dataset", "sandbox", "tags", "error_diagnostics", "partial_ingestion", "format", "extra" }

--- @tparam catalog.client client
-- @tparam table given `dataset`, `sandbox`, `tags`, ... as of `create_batch`; `parallel`
-- @tparam table files `external_id(plan)`; `list(plan)`: the files of a plan, each `name`, `number`, `bytes`, `crc`;
--   `open(file)`: the file, or nil and an error
-- @treturn table
function Platform.new(client, given, files)
  return setmetatable({ client = client, given = given, files = files }, Platform)
end

local function handle(self, plan)
  return batch.attach(self.client, plan.id, self.given.sandbox, self.given.dataset)
end

--- Creates the batch of a plan, or finds the one that an earlier try has created.
-- @tparam table plan `open`: a creation may have been sent
-- @treturn[1] string its id
-- @treturn[1] ?string its status
-- @treturn[2] nil
-- @treturn[2] table error
function Platform:create(plan)
  local options = { external_id = self.files.external_id(plan) }
  for _, name in ipairs(Platform.CREATION) do options[name] = self.given[name] end
  local created, err = once.create(self.client, options, { ours = true, open = plan.open })
  if created then return created.id, created.status end
  plan.open = plan.open or err.ambiguous
  return nil, err
end

-- Sends one file, unless it is there by now. What has left is compared with what was written.
local function send(self, plan, target, file)
  if plan.sent[file.number] then return true end
  local path, unfit = paths.file(target, file.name)
  if not path then return nil, unfit end
  local body, unread = self.files.open(file)
  if not body then return nil, unread end
  if body:size() < file.bytes then
    unread = { number = file.number, why = ("it has %d bytes, of %d"):format(body:size(), file.bytes) }
  else
    local sum, err = parts.send_summed(target, path, body, file.bytes)
    if not sum then
      body:close()
      return nil, err
    end
    if sum ~= file.crc then
      unread = { number = file.number, why = ("its checksum is %s, and was %s"):format(sum, file.crc) }
    end
  end
  body:close()
  if unread then return nil, unread end
  plan.sent[file.number] = true
  return true
end

--- Sends the files of a plan that have not arrived yet, several at a time.
-- @tparam table plan gets `damaged` and `damage` where files are not what was written
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
-- @treturn[2] boolean true: files are damaged
function Platform:put(plan)
  local target, unfit = parts.target(handle(self, plan), nil)
  if not target then return nil, unfit end
  local jobs <close> = Group.new(nil, self.given.parallel or self.client.parallel)
  local damaged, damage = {}, {}
  for _, file in ipairs(self.files.list(plan)) do
    jobs:add(function()
      local ok, err = send(self, plan, target, file)
      if ok or not err.number then return ok, err end
      damaged[#damaged + 1], damage[#damage + 1] = err.number, ("%s: %s"):format(file.name, err.why)
      return true
    end)
  end
  local ok, err = jobs:wait()
  if not ok then return nil, err end
  if #damaged == 0 then return true end
  table.sort(damaged)
  plan.damaged, plan.damage = damaged, damage
  local _, spoiled = failure("data", "files of the batch %s are damaged on this disk: %s", plan.id,
    table.concat(damage, "; "))
  return nil, spoiled, true
end

--- Sends a file that is in memory.
-- @tparam table plan
-- @tparam string name
-- @tparam buffer buffer
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function Platform:send(plan, name, buffer)
  local target, err = parts.target(handle(self, plan), nil)
  if not target then return nil, err end
  local path, unfit = paths.file(target, name)
  if not path then return nil, unfit end
  return parts.send_whole(target, path, buffer, 0, buffer:length())
end

function Platform:complete(plan) return handle(self, plan):complete() end
function Platform:abort(plan) return handle(self, plan):abort() end

--- The fields of the batch of a plan, as the catalog shows them.
-- @tparam table plan
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] table error; its status is 404 where the catalog does not know the batch
function Platform:status(plan) return batch.fetch(handle(self, plan)) end

--- The rows of the batch of a plan that were refused.
-- @tparam table plan
-- @treturn function as of `batch:failed_rows`
function Platform:rows(plan) return handle(self, plan):failed_rows() end

return Platform
