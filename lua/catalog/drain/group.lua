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
local states = require "catalog.batch.states"

local group = {}

-- --- asking ---

-- What Kafka says beside answers: the last of it is why there is none.
local function serve(kafka, told)
  while not kafka.closed do
    local name, err = kafka:poll()
    if name == "error" and err.kind == "auth" then kafka:refuse(err) end -- librdkafka goes on asking
    if name == "error" and err.code ~= "_ALL_BROKERS_DOWN" then told.why = told.why or err.message end
    kafka:wait(1)
  end
end

-- What passes by itself.
local PASSING <const> = {
  COORDINATOR_LOAD_IN_PROGRESS = true, COORDINATOR_NOT_AVAILABLE = true, NOT_COORDINATOR = true,
}

-- Makes the most of an error for who has asked once.
local function explain(err, why)
  if err.code == "_UNSUPPORTED_FEATURE" then
    err.message = err.message .. "; trying again does not help: it takes brokers that can, as Apache Kafka's can"
  end
  local is_network = err.kind == "network" or err.kind == "timeout"
  err.retryable = err.retryable or is_network or PASSING[err.code] or nil
  if is_network and why then err.message = ("%s (%s)"):format(err.message, why) end
end

-- Calls a function with a consumer that is in no group.
local function with_kafka(client, given, body)
  local kafka, err = Consumer.new(given, client.loop)
  if not kafka then return nil, err end
  local tasks, told = Tasks.new "detached", {}
  for _, function_of in ipairs { kafka.listen, serve } do scheduler.begin(tasks:new_task(function_of, kafka, told)) end
  local results = table.pack(pcall(body, kafka))
  kafka:drop()
  tasks:cancel()
  tasks:abandon()
  if not results[1] then error(results[2], 0) end
  if results[2] == nil then explain(results[3], told.why) end
  return table.unpack(results, 2, results.n)
end

-- All partitions of the topics.
local function partitions_of(kafka, topics)
  local all = {}
  for _, topic in ipairs(topics) do
    local count, err = kafka:count(topic)
    if not count then
      err.message = ("%s: %s"):format(topic, err.message)
      return nil, err
    end
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
  stalled = "the service has given up, and may go on: look for it in the platform; then =again reads it once more, "
    .. "=done leaves it out",
}

local function describe(client, kafka, partition, noted)
  local low, high = kafka:watermarks(partition)
  if not low then return nil, high end
  local row = { key = partition.key, offset = noted and noted.offset, low = low, high = high }
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
  local state = states.is_stalled(status or nil) and "stalled" or row.verdict
  row.what_to_do = WHAT_TO_DO[state]:format(intended.batch)
  return row
end

--- Shows the partitions of a group.
-- @tparam catalog.client client
-- @tparam table given `brokers`, `topics`, `group`, `config`, as of `catalog.client:drain`
-- @treturn[1] table `state`, `members` (how many); and a list of partitions: `key` (`topic/number`), `offset` (nil:
--   none is noted), `low` and `high` (of the first message that there is, and behind the last one), `lag` (messages
--   behind the offset), `gone` (how many of them were deleted; nil: none), `batch` and `next`
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

local TWICE <const> = "%s is in the batch %s, which is %s: %s would bring its records twice; =done goes on behind it"
local NEVER <const> = "the batch %s of %s is %s, so its records are in no data set: %s would leave them out; =again "
  .. "reads them again"

-- An offset that a person has chosen, where no batch decides.
local function offset_of(row, offset)
  if row.batch then
    return failure("conflict", "%s=%d: the batch %s decides, which is %s: first =done or =again", row.key, offset,
      row.batch, row.status)
  end
  if offset >= row.low and offset <= row.high then return offset end
  return failure("config", "%s=%d: its messages are those from %d on, up to %d", row.key, offset, row.low, row.high)
end

-- What is noted of a partition when a person has decided: never against what has become of its batch.
local function entry_of(row, choice)
  local offset = math.tointeger(tonumber(choice))
  if offset then return offset_of(row, offset) end
  if choice ~= "done" and choice ~= "again" then
    return failure("config", "%s=%s: it is =done, =again or an offset", row.key, choice)
  end
  if not row.batch then
    return failure("conflict", "%s has no batch that decides; say an offset: %s=OFFSET", row.key, row.key)
  end
  if row.verdict == "wait" and not states.is_stalled(row.status) then
    return failure("conflict", "the batch %s of %s is %s: the service is at it; wait for its end", row.batch, row.key,
      row.status)
  end
  if choice == "done" and row.verdict == "again" then
    return failure("conflict", NEVER, row.batch, row.key, row.status, "=done")
  end
  if choice == "again" and row.verdict == "success" then
    return failure("conflict", TWICE, row.key, row.batch, row.status, "=again")
  end
  return choice == "done" and row.next or row.offset
end

--- Decides where partitions go on, by hand. The group has to be empty, and what has become of a batch is not gone
-- against: records of one that was ingested are not read again, nor those left out of one that was given up.
-- @tparam catalog.client client
-- @tparam table given as of `status`
-- @tparam {[string]=string,...} choices by keys (`topic/number`): `done` (go on behind its batch), `again` (go back to
--   where its batch began), or, where no batch decides, an offset: that of the next message
-- @treturn[1] {[string]=integer,...} the offsets, by keys
-- @treturn[2] nil
-- @treturn[2] table error: of kind `conflict` where the group has members, or the batch is in a state that says
--   otherwise; nothing is changed then, of the other partitions neither
function group.resolve(client, given, choices)
  local rows, err = group.status(client, given)
  if not rows then return nil, err end
  if rows.members > 0 then
    local shown = rows.members == 1 and "1 member: stop it" or rows.members .. " members: stop them"
    return failure("conflict", "the group %s has %s first", given.group, shown)
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
