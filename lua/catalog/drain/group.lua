--- What a group has committed, for who looks from outside: how far each partition is, which batch decides where it goes
-- on, and what a person can do about it.
-- @module catalog.drain.group
local Consumer = require "catalog.drain.consumer"
local Tasks = require "catalog.scheduler.group"
local batch = require "catalog.batch.batch"
local failure = require "catalog.base.failure"
local intention = require "catalog.drain.intention"
local rules = require "catalog.stream.rules"
local scheduler = require "catalog.scheduler.scheduler"

local group = {}

-- --- asking ---

local function serve(kafka)
  while not kafka.closed do
    kafka:poll()
    kafka:wait(1)
  end
end

-- Calls a function with a consumer that is in no group.
local function with_kafka(client, given, body)
  local kafka, err = Consumer.new(given, client.loop)
  if not kafka then return nil, err end
  local tasks = Tasks.new "detached"
  for _, function_of in ipairs { kafka.listen, serve } do scheduler.begin(tasks:new_task(function_of, kafka)) end
  local results = table.pack(pcall(body, kafka))
  kafka:drop()
  tasks:cancel()
  tasks:abandon()
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

-- All partitions of the topics.
local function partitions_of(kafka, topics)
  local all = {}
  for _, topic in ipairs(topics) do
    local count, err = kafka:count(topic)
    if not count then return nil, err end
    for number = 0, count - 1 do
      all[#all + 1] = { topic = topic, number = number, key = ("%s/%d"):format(topic, number) }
    end
  end
  return all
end

-- The status of a batch; false where the catalog does not know it.
local function status_of(client, id)
  local fields, err = batch.fetch(batch.attach(client, id))
  if fields then return fields.status end
  if err.status == 404 then return false end
  return nil, err
end

-- --- what is noted ---

local WHAT_TO_DO <const> = {
  success = "it was ingested: who has the partition goes on behind it",
  again = "it was given up: who has the partition reads it again",
  failed = "it failed for its data: see catalog errors %s; then =again reads it once more, =done leaves it out",
  wait = "the service is at it: wait",
  complete = "nothing has decided: who has the partition completes or aborts it",
}

local function describe(client, kafka, partition, noted)
  local row = { key = partition.key, offset = noted and noted.offset }
  local low, high = kafka:watermarks(partition)
  if not low then return nil, high end
  row.lag = high - (row.offset or low)
  if row.offset and row.offset < low then row.gone = low - row.offset end
  local intended, fault = intention.decode(noted and noted.metadata)
  if intended == nil then
    row.what_to_do = fault .. "; this group is not a drain's"
    return row
  end
  if not intended then return row end
  local status, err = status_of(client, intended.batch)
  if status == nil then return nil, err end
  row.batch, row.next, row.status = intended.batch, intended.next, status or "not known"
  row.verdict = rules.completing(status or nil)
  row.what_to_do = WHAT_TO_DO[row.verdict]:format(intended.batch)
  return row
end

--- Shows the partitions of a group.
-- @tparam catalog.client client
-- @tparam table given `brokers`, `topics`, `group`, `config`, as of `catalog.client:drain`
-- @treturn[1] table `state`, `members` (how many); and a list of partitions: `key` (`topic/number`), `offset` (nil:
--   none is noted), `lag` (messages behind it), `gone` (how many of them were deleted; nil: none), `batch` and `next`
--   (that decides, and where it ends), `status` of the batch, `what_to_do`
-- @treturn[2] nil
-- @treturn[2] table error
function group.status(client, given)
  return with_kafka(client, given, function(kafka)
    local all, err = partitions_of(kafka, given.topics)
    if not all then return nil, err end
    local noted, unread = kafka:committed(all)
    if not noted then return nil, unread end
    local about, unseen = kafka:describe()
    if not about then return nil, unseen end
    local found = { state = about.state, members = about.members }
    for i, partition in ipairs(all) do
      local row, failed = describe(client, kafka, partition, noted[partition.key])
      if not row then return nil, failed end
      found[i] = row
    end
    return found
  end)
end

-- --- deciding by hand ---

-- What is noted of a partition when a person has decided.
local function entry_of(row, choice)
  local offset = math.tointeger(tonumber(choice))
  if offset then return offset end
  if not row.batch then
    return failure("conflict", "%s has no batch that decides; say an offset: %s=OFFSET", row.key, row.key)
  end
  if choice == "done" then
    if row.verdict == "again" then
      return failure("conflict", "the batch %s of %s is %s: its records are in no data set, and =done would leave them "
        .. "out; =again reads them again", row.batch, row.key, row.status)
    end
    return row.next
  end
  if choice == "again" then
    if row.verdict == "success" or row.verdict == "wait" then
      return failure("conflict", "the batch %s of %s is %s: =again would bring its records twice", row.batch, row.key,
        row.status)
    end
    return row.offset
  end
  return failure("config", "%s=%s: it is =done, =again or an offset", row.key, choice)
end

--- Decides where partitions go on, by hand. The group has to be empty.
-- @tparam catalog.client client
-- @tparam table given as of `status`
-- @tparam {[string]=string,...} choices by keys (`topic/number`): `done` (its batch has its records), `again` (it has
--   not), or an offset
-- @treturn[1] table the offsets, by keys
-- @treturn[2] nil
-- @treturn[2] table error: of kind `conflict` where the group has members, or the batch is in a state that says
--   otherwise
function group.resolve(client, given, choices)
  local rows, err = group.status(client, given)
  if not rows then return nil, err end
  if rows.members > 0 then
    return failure("conflict", "the group %s has %d members: stop them first", given.group, rows.members)
  end
  local by_key, entries, offsets = {}, {}, {}
  for _, row in ipairs(rows) do by_key[row.key] = row end
  for key, choice in pairs(choices) do
    local row = by_key[key]
    if not row then return failure("config", "%s is no partition of these topics", key) end
    local offset, refused = entry_of(row, choice)
    if not offset then return nil, refused end
    local topic, number = key:match "^(.*)/(%d+)$"
    entries[#entries + 1] = { topic = topic, number = math.tointeger(tonumber(number)), offset = offset, metadata = "" }
    offsets[key] = offset
  end
  local ok, failed = with_kafka(client, given, function(kafka) return kafka:alter(entries) end)
  if not ok then return nil, failed end
  return offsets
end

return group
