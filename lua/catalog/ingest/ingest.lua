--- Files into the platform, all steps at once: create, upload, complete, wait, report.
-- @module catalog.ingest.ingest
local Client = require "catalog.client.client"
local Group = require "catalog.scheduler.group"
local adopt = require "catalog.ingest.adopt"
local batch = require "catalog.batch.batch"
local core = require "catalog.core"
local creation = require "catalog.batch.creation"
local failure = require "catalog.base.failure"
local format = require "catalog.ingest.format"
local journal = require "catalog.ingest.journal"
local once = require "catalog.batch.once"
local options = require "catalog.base.options"
local parts = require "catalog.batch.parts"
local plan = require "catalog.ingest.plan"
local progress = require "catalog.ingest.progress"
local report = require "catalog.ingest.report"
local resume = require "catalog.ingest.resume"
local shard = require "catalog.ingest.shard"
local upload = require "catalog.batch.upload"

local SCHEMA <const> = {
  files = "table", dir = "string", pattern = "string", recursive = "boolean", parallel = "integer",
  part_size = "integer", part_threshold = "integer", upload_timeout = "number", timeout = "number", split = "boolean",
  advised_files = "integer", advised_bytes = "integer", max_files = "integer", max_bytes = "integer",
  on_progress = "callable", on_change = "callable", on_warning = "callable", on_batch = "callable",
  journal = "string", shard = "any", adopt = "boolean",
}
for name, kind in pairs(creation.OPTIONS) do SCHEMA[name] = kind end

-- How often progress is looked at, in seconds.
local TICK <const> = 0.1

-- The options of the creation of one of several batches.
local function creation_options(given, count, number)
  local chosen = {}
  for name in pairs(creation.OPTIONS) do chosen[name] = given[name] end
  if given.extra then -- the external id has one place
    chosen.external_id, chosen.extra = once.id_of(given), {}
    for name, value in pairs(given.extra) do chosen.extra[name] = value end
    chosen.extra.externalId = nil
  end
  if chosen.external_id and count > 1 then chosen.external_id = chosen.external_id .. "-" .. number end
  return chosen
end

-- The batch of a group.
local function begin(run, one, number)
  local chosen = creation_options(run.given, #run.groups, number)
  local ok, err
  if run.journal then
    ok, err = resume.begin(run, one, number, chosen)
  elseif run.given.adopt then
    ok, err = adopt.begin(run, one, chosen)
  else
    ok, err = once.create(run.client, chosen)
    one.batch = ok
  end
  if not ok then return nil, err end
  if run.given.on_batch then run.given.on_batch(one.batch.id) end
  return true
end

-- A run: what is ingested, by whom, and how far it is. Its uploads have the files of the plan as sources, and tell it
-- how they go on.
local Run = {}
Run.__index = Run

-- Takes note in the journal, where there is one.
function Run:note(event, fields)
  if not self.journal then return true end
  return self.journal:note(event, fields)
end

function Run:begun(job)
  return self:note("begin", { name = job.source.name, part_size = job.part_size })
end

function Run:part(job, first, last)
  return self:note("part", { name = job.source.name, first = first, last = last })
end

function Run:arrived(count) self.bytes = self.bytes + count end

function Run:done(job, count)
  local item = job.source
  item.bytes, item.seconds = job.total, core.system.monotonic() - job.began
  self.bytes, self.files_done = self.bytes + count, self.files_done + 1
  return self:note("done", { name = item.name })
end

-- A job for each file of all batches: it sends the next one, unless that is there.
local function job_of_next(run, targets)
  local number, index, groups, noted = 1, 0, run.groups, run.journal
  return function()
    index = index + 1
    while not groups[number].files[index] do number, index = number + 1, 1 end
    local one = groups[number]
    local item = one.files[index]
    local known = noted and noted:progress(item.name)
    run.file = item.name
    if one.sealed or known and known.done then
      item.seconds, run.bytes, run.files_done = 0.0, run.bytes + item.bytes, run.files_done + 1
      return true
    end
    return upload.file(run, targets[number], item.name, item, known)
  end
end

local function upload_all(run)
  local targets, on_progress = {}, run.given.on_progress
  for i, one in ipairs(run.groups) do
    local target, err = parts.target(one.batch, run.given.upload_timeout)
    if not target then return nil, err end
    targets[i] = target
  end
  local report_progress = on_progress and progress(run)
  local jobs <close> = Group.new(nil, run.given.parallel or run.client.parallel)
  run.jobs = jobs
  jobs:add(job_of_next(run, targets), run.files_total)
  local ok, err = jobs:wait(false, on_progress and TICK)
  while ok == false do
    report_progress()
    ok, err = jobs:wait(false, TICK)
  end
  if not ok then return nil, err end
  run.jobs = nil
  if on_progress then report_progress(true) end
  return true
end

-- The service will never take it. What others on the way answer, and the identity service, is not its word.
local function is_refusal(err)
  return err.kind == "http" and err.status >= 400 and err.status < 500 and not err.retryable and not err.ambiguous
    and err.url:find("/data/foundation/", 1, true) ~= nil
end

-- A batch is completed only when every file that was planned is in it.
local function check_whole(run, one)
  for _, item in ipairs(one.files) do
    if not item.seconds then return failure("data", "%s was not uploaded; the batch was not completed", item.name) end
  end
  local missing = run.journal and resume.missing(run, one)
  if not missing then return true end
  return failure("data", "the journal does not say that %s was uploaded; the batch was not completed", missing)
end

local function complete(run, one, number)
  local ok, err = true, nil
  if run.given.adopt and not one.sealed then ok, err = adopt.look_again(run, one) end
  if not ok then return nil, err end
  if one.sealed then
    once.abort_others(one.batch)
    return true
  end
  local whole, hole = check_whole(run, one)
  if not whole then return nil, hole end
  ok, err = run:note("complete", { group = number })
  if not ok then return nil, err end
  ok, err = one.batch:complete()
  -- it still takes files, or is aborted
  if not ok and is_refusal(err) then batch.state(one.batch).final_action = nil end
  return ok, err
end

local function wait_for(run, one, number)
  if one.done then return true end
  local done, err = one.batch:wait { timeout = run.given.timeout, on_change = run.given.on_change }
  one.done = done or err.batch
  if one.done then
    local ok, unwritten = run:note("end", { group = number, status = one.done.status })
    if not ok then return nil, unwritten end
  end
  return done, err
end

-- What is not completed is aborted, so that nothing of a run that failed is ingested. Where it can be gone on with, by
-- a journal or by its external id, it waits for that, unless the service has refused it for good.
local function abort_all(run, err)
  if (run.journal or run.given.adopt) and not (err and is_refusal(err)) then return end
  for i, one in ipairs(run.groups) do
    if one.batch and not one.sealed and not batch.state(one.batch).final_action then
      local ok, failed = one.batch:abort { timeout = 10 }
      if run.journal and (ok or failed.status == 404) then resume.drop(run, i, one.batch.id, "aborted") end
    end
  end
end

local function for_each(run, act)
  for number, one in ipairs(run.groups) do
    local ok, err = act(run, one, number)
    if not ok then return nil, err end
  end
  return true
end

-- All are uploaded before the first is completed.
local function run_all(run)
  local ok, err = for_each(run, begin)
  if ok then ok, err = upload_all(run) end
  if ok then ok, err = for_each(run, complete) end
  if ok then ok, err = for_each(run, wait_for) end
  return ok, err
end

local function check_values(given)
  local ok, err = parts.check_options(given, given.upload_timeout)
  if not ok then return nil, err end
  if given.dir and given.files then return failure("data", "give files or dir, not both") end
  for _, name in ipairs { "pattern", "recursive" } do
    if given[name] and not given.dir then return failure("data", "%s goes with dir, and not with files", name) end
  end
  return batch.check_timeout(given.timeout)
end

-- What does not go with finding a batch by its external id.
local function check_adopt(given)
  if not given.adopt then return true end
  if not once.id_of(given) then return failure("data", "adopt and shard need an external_id to find the batch by") end
  if given.journal then return failure("data", "a journal is for one machine: give it, or adopt or shard, not both") end
  if given.split then return failure("data", "split does not go with adopt and shard: give more shards") end
  if given.extra and given.extra.tags then return failure("data", "with adopt and shard, tags go into tags") end
  return true
end

-- The options of the run of a shard, where the call is one: the shard as it is read, and an external id of its own.
local function with_shard(given)
  if given.shard == nil then return given end
  local one, err = shard.read(given.shard)
  if not one then return nil, err end
  if not given.dir then return failure("data", "a shard is of the files of a directory: give dir") end
  local all = {}
  for name, value in pairs(given) do all[name] = value end
  all.shard, all.adopt = one, true
  local id = once.id_of(given)
  all.external_id = id and shard.id(one, id)
  if given.extra then
    all.extra = {}
    for name, value in pairs(given.extra) do all.extra[name] = value end
    all.extra.externalId = nil
  end
  return all
end

-- The options with the format of the files in them.
local function with_format(given, files)
  local all, err = {}, nil
  for name, value in pairs(given) do all[name] = value end
  if not all.format then all.format, err = format.choose(given, files) end
  if err then return nil, err end
  local fit, unfit = format.check(all, files)
  if not fit then return nil, unfit end
  return all
end

-- The journal of the call; nothing when it has none.
local function open_journal(client, given, groups)
  if not given.journal then return nil end
  local payload, unfit = core.batch.payload(creation_options(given, 1, 1)) -- what is the same for all of them
  if not payload then return nil, unfit end
  return journal.open(given.journal, {
    base_url = client.base_url, org = client.org, sandbox = given.sandbox or client.sandbox, dataset = given.dataset,
    options = payload,
  }, groups)
end

--- Ingests files: creates a batch, uploads them all, completes it, and waits. If an upload fails for good the batch is
-- aborted, and nothing is ingested.
-- @function catalog.client:ingest
-- @tparam table given either `files` or `dir`, and the options of the batches
-- @tparam[opt] {string|table,...} given.files paths, or `{ name = ..., file = path }`
-- @tparam[opt] string given.dir the directory of the files
-- @tparam[opt=*] string given.pattern of the names in `dir`, such as `*.json`
-- @tparam[opt=false] boolean given.recursive `true`: what is below `dir` too, by names such as `a/x.json`; links to
--   directories are not followed
-- @tparam[opt] string given.journal a path: what has been done is noted there, and the same call again goes on where
--   the last one stopped; then nothing but a refusal aborts the batch
-- @tparam[opt] string|table given.shard `"3/16"` or `{ 3, 16 }`: of the files of `dir` those whose names hash to the
--   fourth of 16 shards, in a batch with the external id `ID-3-of-16`; it implies `adopt`
-- @tparam[opt=false] boolean given.adopt `true`: a batch with the `external_id` that is there already is the one: it is
--   filled, or waited for, or reported; one that has failed is replaced by one with `-2` behind the id; one of other
--   files is an error of kind `data`. As with a journal, nothing but a refusal aborts the batch
-- @tparam[opt=false] boolean given.split `true`: as many batches as the advised limits make
-- @tparam[opt=the client's,unit=requests] integer given.parallel in flight at a time
-- @tparam[opt=67108864,unit=bytes] integer given.part_size of a part, as of `catalog.batch:upload`
-- @tparam[opt=256000000,unit=bytes] integer given.part_threshold that go in one request at the most, as of
--   `catalog.batch:upload`
-- @tparam[opt=the client's,unit=seconds] number given.upload_timeout for which an upload may stand still
-- @tparam[opt=none,unit=seconds] number given.timeout to wait for the service to ingest
-- @tparam[opt=10000,unit=files] integer given.advised_files in a batch; more warns
-- @tparam[opt=100000000000,unit=bytes] integer given.advised_bytes in a batch; more warns
-- @tparam[opt=25000,unit=files] integer given.max_files in a batch; more is refused
-- @tparam[opt=1099511627776,unit=bytes] integer given.max_bytes in a batch; more is refused
-- @tparam[opt] function given.on_progress called at most ten times a second with `{ file, bytes, total, files_done,
--   files_total, rate }`, rate in bytes a second; `bytes` are those that have left, and become fewer where some have to
--   be sent again
-- @tparam[opt] function given.on_batch called with the id of each batch, before anything goes into it
-- @tparam[opt] function given.on_change called with a batch's status each time it is another
-- @tparam[opt=Lua's `warn`] function given.on_warning called with a text
-- @options catalog.client:create_batch -timeout -once
-- @treturn[1] table the report: `id`, `status`, `files` (each `name`, `bytes`, `seconds`, `batch`), `bytes`, `seconds`,
--   `metrics`, `errors`, `batches` (each `id`, `status`, `metrics`, `errors`, `completed`, `files`); with a journal
--   or `adopt` `resumed` (true: it went on), and with a journal `replaced`: batches (`id`, `status`) that had ended
--   without their files, which went into new ones. Of a shard without files `status` is `success`, and there are no
--   batches
-- @treturn[2] nil
-- @treturn[2] table error
-- @treturn[2] ?table the report, as far as things went
-- @raise an option is unknown or has a wrong type; what a callback raises, after the batch was aborted
-- @usage local report = assert(client:ingest { dataset = id, format = "json", files = { "/data/a.json" } })
function Client:ingest(given)
  given = options.check(given, SCHEMA, "ingest", 2)
  local ok, err = check_values(given)
  if not ok then return nil, err end
  if type(given.dataset) == "table" then
    given, err = self:with_dataset_id(given)
    if not given then return nil, err end
  end
  given, err = with_shard(given)
  if not given then return nil, err end
  ok, err = check_adopt(given)
  if not ok then return nil, err end
  local began = core.system.monotonic()
  local groups, files, total = plan.make(given)
  if not groups then return nil, files end
  local unclear
  given, unclear = with_format(given, files)
  if not given then return nil, unclear end
  local known <close>, unusable = open_journal(self, given, groups)
  if unusable then return nil, unusable end
  if known and known.resumed then groups = plan.regroup(known, files) end
  local run = setmetatable({
    client = self, given = given, journal = known, groups = groups, began = began, bytes = 0, total = total,
    files_done = 0, files_total = #files,
  }, Run)
  -- a callback of the host's may raise: that too leaves nothing behind
  local fine, done, failed = xpcall(run_all, debug.traceback, run)
  if not fine or not done then abort_all(run, failed) end
  if not fine then error(done, 0) end
  if not done then return nil, failed, report(run) end
  return report(run)
end
