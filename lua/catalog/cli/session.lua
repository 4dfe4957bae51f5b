--- One run of a command: its arguments, its client, and what it knows of the batches that it has to do with.
-- @module catalog.cli.session
local Client = require "catalog.client.client"
local catalog = require "catalog"
local core = require "catalog.core"
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"
local problems = require "catalog.batch.problems"
local retries = require "catalog.cli.retries"
local sorted = require "catalog.base.sorted"
local states = require "catalog.batch.states"

local Session = {}
Session.__index = Session

local session = {}

--- Begins a run.
-- @tparam table arguments as parsed
-- @treturn table `arguments`; `client`, once it is connected; `changed` (boolean): something was sent that changes a
--   batch; `actions` (id -> the last action that succeeded, such as `COMPLETE`); `is_creating` (boolean): a batch is
--   asked for from here on
function session.new(arguments)
  return setmetatable({
    arguments = arguments, ids = {}, actions = {}, changed = false, is_creating = false, retries = retries.new(),
  }, Session)
end

-- Whether a request looks up a batch that is waited for, and goes on whatever becomes of the request.
local function is_waiting(self, method, url)
  local id = method == "GET" and url:match "/catalog/batches/([^/?]+)$"
  return id and (self.arguments.command == "wait" or self.actions[id] == "COMPLETE") or false
end

-- Takes note of what was done to batches.
local function observe(self, exchange)
  if self.arguments.verbose then output.note(Client.describe(exchange)) end
  self.retries:observe(exchange.error, is_waiting(self, exchange.method, exchange.url))
  local path = exchange.url:match "/data/foundation/import(/.*)"
  if exchange.error or exchange.method == "GET" or not path then return end
  self.changed = true
  local id, action = path:match "^/batches/([^/?]+)%?action=(%u+)$"
  if id then self.actions[id] = action end
end

local function tell_retry(self, err)
  self.retries:tell(err, self.client.policy.tries, is_waiting(self, err.method or "", err.url or ""))
end

--- Makes the client.
-- @treturn ?table error
function Session:connect()
  local quiet = self.arguments.quiet
  local err
  self.client, err = catalog.client {
    proxy = self.arguments.proxy or true, ca_file = self.arguments.ca_file,
    on_request = function(exchange) observe(self, exchange) end,
    on_retry = not quiet and function(again) tell_retry(self, again.error) end or nil,
  }
  return err
end

--- Looks up the data set that the command names by its name: from now on its id is among the arguments.
-- @treturn ?table error
function Session:find_dataset()
  local name = self.arguments.dataset_name
  if type(name) ~= "string" then return nil end
  local err
  self.arguments.dataset, err = self.client:dataset_id({ name = name }, self.arguments.sandbox)
  return err
end

--- Lets the next request have new credentials, where they can be had anew: from a file, or from the identity service.
function Session:read_credentials()
  local source = self.client.credentials
  source:renew(source.value)
end

--- The batch that the command names.
-- @treturn catalog.batch
function Session:batch()
  local id = self.arguments.id
  self:note_batch(id)
  return self.client:batch(id, { sandbox = self.arguments.sandbox, dataset = self.arguments.dataset })
end

--- Takes note of a batch that the run has to do with.
-- @tparam string id
function Session:note_batch(id) self.ids[#self.ids + 1] = id end

--- Whether the same command again finds its batch by the external id.
-- @treturn boolean
function Session:adopts() return (self.arguments.shard or self.arguments.adopt) ~= nil end

local LOOKS <const> = { status = true, errors = true, files = true, preview = true }

-- What became of a batch that a run has left, and what can be done about it; nil: it was only looked at.
local function fate_of(self, id)
  if LOOKS[self.arguments.command] then return nil end
  local action = self.actions[id]
  if action == "ABORT" then return "is aborted; nothing of it is ingested" end
  if action == "COMPLETE" then return ("is completed, and goes on; catalog wait %s waits for it"):format(id) end
  if action == "REVERT" then return "is reverted" end
  if self.arguments.command == "download" then return "is there in part; the same command again goes on" end
  if self.arguments.command == "resend" then -- of the first one; the new one was aborted or completed
    return #self.ids == 1 and "keeps its rows; the same command again sends them" or nil
  end
  if self.arguments.journal or self:adopts() then return "is kept; the same command again goes on from here" end
  if self.arguments.command == "wait" then return ("goes on; catalog wait %s waits for it again"):format(id) end
  if self.arguments.command == "upload" then return "takes files still; the same command again sends them" end
  if self.arguments.command == "create" then return ("was created; catalog status %s shows it"):format(id) end
  return ("was left; catalog status %s shows its state"):format(id)
end

-- What became of a run that has no batch; nil: it has no business with any.
local function fate_of_none(self)
  if self.arguments.journal then return "the same command again goes on from here" end
  if self.is_creating then
    return "a batch may have been created; it is empty, and the service gives it up by itself"
  end
  local sends = self.arguments.command == "ingest" or self.arguments.command == "upload"
  return sends and "nothing was sent" or nil
end

--- Says of each batch what became of it, to who has ended the run.
-- @tparam[opt] boolean is_ended true: from outside; it may be that no batch is known, and there is one
function Session:tell_batches(is_ended)
  for _, id in ipairs(self.ids) do
    local fate = fate_of(self, output.plain(id))
    if fate then output.note(("catalog: the batch %s %s"):format(output.plain(id), fate)) end
  end
  local fate = is_ended and #self.ids == 0 and fate_of_none(self)
  if fate then output.note("catalog: " .. fate) end
end

--- Says what went wrong. What was told before is not told again.
-- @tparam table err
-- @treturn integer the exit code
function Session:fail(err)
  if self.retries:give_up(err) then return problem.code(err) end
  return problem.tell(err)
end

--- Says how to learn why a batch has failed.
-- @tparam ?catalog.batch batch
function Session:tell_errors(batch)
  if not batch or states.plain(batch.status) ~= "failed" or self.arguments.quiet then return end
  local is_unasked = self.arguments.command == "ingest" and not self.arguments.error_diagnostics
  output.note(is_unasked and "with --error-diagnostics the service says which rows are bad"
    or ("catalog errors %s shows what is wrong with it"):format(output.plain(batch.id)))
end

local MOMENTS <const> = { created = true, updated = true, started = true, completed = true }

local function since(from, to)
  local seconds = math.type(from) == "integer" and math.type(to) == "integer" and (to - from) / 1000
  return seconds and seconds >= 0 and output.duration(seconds) or nil
end

-- When a batch came to its last state, in the service's milliseconds; of one that has not, now.
local function end_of(batch, has_ended)
  if math.type(batch.completed) == "integer" then return batch.completed end
  return has_ended and batch.updated or core.system.now()
end

-- How long the states of a batch lasted, as far as its fields tell.
local function lasted(batch)
  local has_ended = states.is_success(batch.status) or states.is_failure(batch.status)
  local started, last, parts = math.type(batch.started) == "integer" and batch.started, end_of(batch, has_ended), {}
  local before, within = since(batch.created, started or last), started and since(started, last)
  if before then parts[1] = "loading and staging " .. before end
  if within then parts[#parts + 1] = "processing " .. within end
  return parts[1] and table.concat(parts, ", ") .. (has_ended and "" or " so far")
end

local function shown_field(name, value)
  return MOMENTS[name] and output.moment(value) or output.plain(value)
end

--- Prints a batch.
-- @tparam catalog.batch batch
-- @tparam string brief the field that is printed alone where --quiet is given
-- @treturn[1] integer the exit code
-- @treturn[2] nil
-- @treturn[2] table error
function Session:show(batch, brief)
  if self.arguments.json then
    local ok, err = output.json(batch)
    return ok and problem.OK, err
  end
  if self.arguments.quiet then
    output.line(output.plain(batch[brief]))
    return problem.OK
  end
  for _, name in ipairs(sorted(batch)) do
    output.line(("%-16s %s"):format(output.plain(name), shown_field(name, batch[name])))
  end
  local times = brief == "status" and lasted(batch)
  if times then output.line(("%-16s %s"):format("(lasted)", times)) end
  return problem.OK
end

-- How many rows of a batch were refused; the service may leave the counts out.
local function refused_of(metrics)
  if type(metrics) ~= "table" then return 0 end
  local failed, read, done = metrics.failedRecordCount, metrics.inputRecordCount, metrics.outputRecordCount
  if math.type(failed) == "integer" then return failed end
  return math.type(read) == "integer" and math.type(done) == "integer" and read - done or 0
end

--- The exit code of batches that were ingested: it tells where too many rows were refused.
-- @tparam {table,...} batches each `id`, `metrics`
-- @treturn integer
function Session:judge(batches)
  local refused, first = 0, nil
  for _, batch in ipairs(batches) do
    local rows = refused_of(batch.metrics)
    refused, first = refused + rows, first or rows > 0 and batch.id
  end
  if refused <= self.arguments.allow_failed then return problem.OK end
  output.flush()
  output.note(("catalog: %s %s refused (--allow-failed %d); catalog errors %s shows why"):format(
    output.count(refused, "row"), refused == 1 and "was" or "were", self.arguments.allow_failed, output.plain(first)))
  return problem.BATCH_FAILED
end

local function print_batch(one)
  output.line(("batch %s: %s"):format(output.plain(one.id), output.plain(one.status or "no status")))
  local metrics = type(one.metrics) == "table" and one.metrics or {}
  local read, ingested = metrics.inputRecordCount, metrics.outputRecordCount
  if math.type(ingested) == "integer" then
    output.line(("  %d of %s records are in"):format(ingested, math.type(read) == "integer" and read or "?"))
  end
  for _, one_problem in ipairs(problems.list(one.errors)) do output.line("  " .. one_problem.text) end
end

--- Prints the report of an ingest.
-- @tparam table report
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function Session:show_report(report)
  if self.arguments.json then return output.json(report) end
  if self.arguments.quiet then
    for _, one in ipairs(report.batches) do output.line(output.plain(one.id)) end
    return true
  end
  for _, one in ipairs(report.batches) do print_batch(one) end
  output.line(("%s, %s in %.1f seconds"):format(output.count(#report.files, "file"), output.size(report.bytes),
    report.seconds))
  return true
end

return session
