--- Files into the platform, all steps at once: create, upload, complete, wait, report.
-- @module catalog.ingest
local Group = require "catalog.scheduler.group"
local batch = require "catalog.batch"
local core = require "catalog.core"
local failure = require "catalog.failure"
local journal = require "catalog.journal"
local once = require "catalog.once"
local options = require "catalog.options"
local resume = require "catalog.resume"
local upload = require "catalog.upload"

-- Options of the batch, which are passed on.
local CREATION <const> = {
  dataset = "string", format = "string", multiline = "boolean", csv = "table", external_id = "string",
  replay = "table", tags = "table", error_diagnostics = "boolean", partial_ingestion = "number", sandbox = "string",
  extra = "table",
}

local SCHEMA <const> = {
  files = "table", dir = "string", pattern = "string", parallel = "integer", part_size = "integer",
  part_threshold = "integer", upload_timeout = "number", timeout = "number", split = "boolean",
  advised_files = "integer", advised_bytes = "integer", max_files = "integer", max_bytes = "integer",
  on_progress = "callable", on_change = "callable", on_warning = "callable", journal = "string",
}
for name, kind in pairs(CREATION) do SCHEMA[name] = kind end

-- Source: Adobe's guardrails for ingestion: advised and enforced, files and bytes a batch. The terabyte is that of the
-- service's own message, 2^40; which gigabyte is meant by what is advised is not said.
local LIMITS <const> = { advised_files = 10000, advised_bytes = 100000000000, max_files = 25000, max_bytes = 1 << 40 }

-- Progress is told at most so often, in seconds.
local TELL_EVERY <const> = 0.1

local function pattern_of(glob)
  return "^" .. glob:gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".") .. "$"
end

-- A path without what makes no difference.
local function plain(path) return (path:gsub("/+%./", "/"):gsub("/+", "/"):gsub("^%./", "")) end

-- The files of a directory that fit a pattern. What `journal` names is no data.
local function files_in(dir, glob, journal_path)
  local names, err = core.system.list(dir)
  if not names then return nil, err end
  table.sort(names)
  local files, pattern = {}, pattern_of(glob or "*")
  for _, name in ipairs(names) do
    local path = dir .. "/" .. name
    local meant = name:find(pattern) and name:sub(1, 1) ~= "."
    if meant and not (journal_path and plain(path) == plain(journal_path)) then
      local file, unread, irregular = core.file.open(path)
      if file then
        file:close()
        files[#files + 1] = { name = name, file = path }
      elseif not irregular then -- what is no file (a directory, say) is not meant by a pattern
        return nil, unread
      end
    end
  end
  if #files == 0 then return failure("data", "there is no file %s in %s", glob or "*", dir) end
  return files
end

-- The files as a list of { name, file }, however they were given.
local function named_files(given)
  if given.dir then return files_in(given.dir, given.pattern, given.journal) end
  local files = {}
  for i, item in ipairs(given.files or {}) do
    if type(item) == "string" then
      files[i] = { name = item:match "[^/]*$", file = item }
    elseif type(item) == "table" and type(item.file) == "string" then
      files[i] = { name = item.name or item.file:match "[^/]*$", file = item.file }
    else
      return failure("data", "files[%d] is neither a path nor { name = ..., file = ... }", i)
    end
  end
  if #files == 0 then return failure("data", "ingest needs files: { files = { path, ... } } or { dir = path }") end
  return files
end

-- Every file is looked at before anything is created; two of one name would replace each other.
local function measure(files, closely)
  local seen, total = {}, 0
  for _, item in ipairs(files) do
    if seen[item.name] then
      return failure("data", "%s and %s would both be %s in the batch; give them names", seen[item.name], item.file,
        item.name)
    end
    seen[item.name] = item.file
    local file, err = core.file.open(item.file)
    if not file then return nil, err end
    item.bytes = file:size()
    total = total + item.bytes
    if closely then item.fingerprint, err = file:fingerprint() end
    file:close()
    if err then return nil, err end
  end
  return total
end

local function limit_of(given, name)
  return given[name] or LIMITS[name]
end

-- One batch, or with `split` as many as the advised limits make.
local function group(files, given)
  local groups = { { files = {}, bytes = 0 } }
  for _, item in ipairs(files) do
    local last = groups[#groups]
    local full = #last.files >= limit_of(given, "advised_files")
      or #last.files > 0 and last.bytes + item.bytes > limit_of(given, "advised_bytes")
    if given.split and full then
      last = { files = {}, bytes = 0 }
      groups[#groups + 1] = last
    end
    last.files[#last.files + 1] = item
    last.bytes = last.bytes + item.bytes
  end
  return groups
end

local function check_limits(groups, given)
  local tell = given.on_warning or function(text) warn("catalog: ", text) end
  for _, one in ipairs(groups) do
    for _, what in ipairs { { "files", #one.files }, { "bytes", one.bytes } } do
      local kind, count = what[1], what[2]
      local most, advised = limit_of(given, "max_" .. kind), limit_of(given, "advised_" .. kind)
      if count > most then
        return failure("limit", "%d %s are more than a batch may have (%d); split = true spreads them over several",
          count, kind, most)
      end
      if count > advised then
        tell(("%d %s are more than is advised for a batch (%d); split = true spreads them over several"):format(count,
          kind, advised))
      end
    end
  end
  return true
end

local function creation_options(given, groups, index)
  local creation = {}
  for name in pairs(CREATION) do creation[name] = given[name] end
  creation.external_id = once.id_of(given)
  if given.extra then -- the external id has one place
    creation.extra = {}
    for name, value in pairs(given.extra) do creation.extra[name] = value end
    creation.extra.externalId = nil
  end
  if creation.external_id and #groups > 1 then creation.external_id = creation.external_id .. "-" .. index end
  return creation
end

local function begin_all(run, groups)
  for i, one in ipairs(groups) do
    local ok, err = resume.begin(run, one, i, creation_options(run.given, groups, i))
    if not ok then return nil, err end
  end
  return true
end

-- Tells the host how far it is; at most ten times a second, and once at the end.
local function teller(run)
  local began, told, told_bytes, told_files = core.system.monotonic(), -math.huge, nil, nil
  return function(last)
    local now = core.system.monotonic()
    if not run.given.on_progress or not last and now - told < TELL_EVERY then return end
    local bytes = run.bytes + (run.jobs and run.jobs:sent() or 0)
    if bytes == told_bytes and run.files_done == told_files then return end
    told, told_bytes, told_files = now, bytes, run.files_done
    run.given.on_progress {
      file = run.file, bytes = math.min(bytes, run.total), total = run.total, files_done = run.files_done,
      files_total = run.files_total, rate = bytes / math.max(now - began, 1e-6),
    }
  end
end

-- Takes note in the journal, where there is one.
local function note(run, line)
  if not run.journal then return true end
  return run.journal:note(line)
end

-- The job that uploads a file, or nil when it is there.
local function job_of(run, item, place, taken)
  local counted, began = 0, core.system.monotonic()
  local function add_bytes(count)
    counted = counted + count
    run.bytes = run.bytes + count
  end
  local function count_file(total)
    item.bytes, item.seconds = total, core.system.monotonic() - began
    run.files_done = run.files_done + 1
    return true
  end
  local known = run.journal and run.journal:progress(item.name) or nil
  if taken or known and known.done then
    add_bytes(item.bytes)
    count_file(item.bytes)
    return nil
  end
  return upload.job(run.jobs, place, item.name, { file = item.file }, run.given, {
    bytes = add_bytes,
    begun = function(part_size) return note(run, { event = "begin", name = item.name, part_size = part_size }) end,
    part = function(first, last) return note(run, { event = "part", name = item.name, first = first, last = last }) end,
    done = function(total)
      return count_file(total) and note(run, { event = "done", name = item.name })
    end,
  }, known)
end

-- Jobs for all files of all batches, made as they are needed.
local function source_of_jobs(run, groups, places)
  local number, index = 1, 0
  return function()
    index = index + 1
    while groups[number] and not groups[number].files[index] do number, index = number + 1, 1 end
    local one = groups[number]
    if not one then return nil end
    run.file = one.files[index].name
    local job, err = job_of(run, one.files[index], places[number], one.taken)
    return job or function() return err == nil or nil, err end
  end
end

local function upload_all(run, groups)
  local places = {}
  for i, one in ipairs(groups) do
    local place, err = upload.place(one.batch, { timeout = run.given.upload_timeout })
    if not place then return nil, err end
    places[i] = place
  end
  local tell = teller(run)
  run.jobs = Group.new(run.given.parallel or run.client.parallel)
  run.jobs:add(source_of_jobs(run, groups, places), run.files_total)
  local ok, err = run.jobs:wait(nil, run.given.on_progress and tell)
  if not ok then return nil, err end
  run.jobs = nil
  tell(true)
  return true
end

local function for_each(groups, act)
  for i, one in ipairs(groups) do
    local ok, err = act(one, i)
    if not ok then return nil, err end
  end
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
  if one.taken then
    once.abort_others(one.batch)
    return true
  end
  local whole, hole = check_whole(run, one)
  if not whole then return nil, hole end
  local ok, err = note(run, { event = "complete", group = number })
  if not ok then return nil, err end
  ok, err = one.batch:complete()
  if not ok and is_refusal(err) then batch.state(one.batch).ended = nil end -- it still takes files, or is aborted
  return ok, err
end

local function wait_for(run, one, number)
  if one.done then return true end
  local done, err = one.batch:wait { timeout = run.given.timeout, on_change = run.given.on_change }
  one.done = done or err.batch
  if one.done then
    local ok, unwritten = note(run, { event = "end", group = number, status = one.done.status })
    if not ok then return nil, unwritten end
  end
  return done, err
end

local function report_on(run, groups)
  local report = { files = {}, batches = {}, bytes = 0, seconds = core.system.monotonic() - run.began }
  for i, one in ipairs(groups) do
    local shown = one.done or one.batch
    report.batches[i] = shown and {
      id = shown.id, status = shown.status, metrics = shown.metrics, errors = shown.errors, files = #one.files,
    }
    for _, item in ipairs(one.files) do
      report.files[#report.files + 1] = {
        name = item.name, bytes = item.bytes, seconds = item.seconds, batch = shown and shown.id,
      }
      report.bytes = report.bytes + (item.seconds and item.bytes or 0)
    end
  end
  local first = report.batches[1] or {}
  report.id, report.status, report.metrics, report.errors = first.id, first.status, first.metrics, first.errors
  if run.journal then report.resumed, report.replaced = run.journal.resumed, run.journal:dropped(#groups) end
  return report
end

-- What is not completed is aborted, so that nothing of a run that failed is ingested. With a journal it waits to be
-- gone on with, unless the service has refused it for good.
local function abort_all(run, groups, err)
  if run.journal and not (err and is_refusal(err)) then return end
  for i, one in ipairs(groups) do
    if one.batch and not one.taken and not batch.state(one.batch).ended then
      local ok, failed = one.batch:abort { timeout = 10 }
      if run.journal and (ok or failed.status == 404) then resume.drop(run, i, one.batch.id, "aborted") end
    end
  end
end

-- All are uploaded before the first is completed.
local function run_all(run, groups)
  local ok, err = begin_all(run, groups)
  if ok then ok, err = upload_all(run, groups) end
  if ok then ok, err = for_each(groups, function(one, number) return complete(run, one, number) end) end
  if ok then ok, err = for_each(groups, function(one, number) return wait_for(run, one, number) end) end
  return ok, err
end

local function check_values(given)
  local ok, err = upload.check_values { part_size = given.part_size, part_threshold = given.part_threshold,
    parallel = given.parallel, timeout = given.upload_timeout }
  if not ok then return nil, err end
  if given.dir and given.files then return failure("data", "give files or dir, not both") end
  return batch.check_timeout(given.timeout)
end

-- Files as the journal has them grouped: limits may be others by now.
local function regroup(known, files)
  local groups = {}
  for _, item in ipairs(files) do
    local number = known:group(item.name)
    for i = #groups + 1, number do groups[i] = { files = {}, bytes = 0 } end
    table.insert(groups[number].files, item)
  end
  return groups
end

-- The journal of the call; nothing when it has none.
local function open_journal(client, given, groups)
  if not given.journal then return nil end
  local creation = creation_options(given, { groups[1] }, 1) -- what is the same for all of them
  local payload, unfit = core.batch.payload(creation)
  if not payload then return nil, unfit end
  return journal.open(given.journal, {
    base_url = client.base_url, org = client.org, sandbox = given.sandbox or client.sandbox, dataset = given.dataset,
    options = payload,
  }, groups)
end

--- Ingests files. See `catalog.ingest`.
-- @function ingest
-- @tparam catalog.client client
-- @tparam ?table given
-- @tparam integer level who is to blame, as in `error`
-- @treturn[1] table the report
-- @treturn[2] nil
-- @treturn[2] table error
-- @treturn[2] ?table the report, as far as things went
return function(client, given, level)
  given = options.check(given, SCHEMA, "ingest", level)
  local ok, err = check_values(given)
  if not ok then return nil, err end
  local files, no_files = named_files(given)
  if not files then return nil, no_files end
  local began = core.system.monotonic()
  local total, unread = measure(files, given.journal ~= nil)
  if not total then return nil, unread end
  local groups = group(files, given)
  ok, err = check_limits(groups, given)
  if not ok then return nil, err end
  local known <close>, unusable = open_journal(client, given, groups)
  if unusable then return nil, unusable end
  if known and known.resumed then groups = regroup(known, files) end
  local run = {
    client = client, given = given, journal = known, began = began, bytes = 0, total = total,
    files_done = 0, files_total = #files,
  }
  -- a callback of the host's may raise: that too leaves nothing behind
  local fine, done, failed = xpcall(run_all, debug.traceback, run, groups)
  if not fine or not done then abort_all(run, groups, failed) end
  if not fine then error(done, 0) end
  if not done then return nil, failed, report_on(run, groups) end
  return report_on(run, groups)
end
