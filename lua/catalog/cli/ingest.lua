--- `catalog ingest`: files, standard input or pipes into a batch, all steps at once.
-- @module catalog.cli.ingest
local core = require "catalog.core"
local create = require "catalog.cli.create"
local format = require "catalog.ingest.format"
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"
local progress = require "catalog.cli.progress"
local sources = require "catalog.cli.sources"

local ingest = {}

-- What does not go with finding a batch by its external id.
local function check_adopt(arguments)
  local name = arguments.shard and "--shard" or arguments.adopt and "--adopt"
  if not name then return nil end
  if arguments.shard and not arguments.dir then return "--shard is for --dir" end
  if not arguments.external_id then return name .. " needs --external-id to find the batch by" end
  if arguments.journal then return ("give --journal, which is for one machine, or %s, not both"):format(name) end
  if arguments.split then return ("--split does not go with %s: give more shards"):format(name) end
end

--- What is wrong with the arguments together.
-- @tparam table arguments
-- @treturn ?string
function ingest.check(arguments)
  local files = #arguments.files
  if arguments.dir and files > 0 then return "give files or --dir, not both" end
  if not arguments.dir and files == 0 then return "there is nothing to send: give files, - or --dir" end
  if arguments.pattern and not arguments.dir then return "--pattern is for --dir" end
  if arguments.recursive and not arguments.dir then return "--recursive is for --dir" end
  if arguments.dir and arguments.name then return "--name is for one file, and not for --dir" end
  if arguments.dir and arguments.relative then return "--relative is for files, and not for --dir" end
  return check_adopt(arguments) or create.check(arguments) or sources.check(arguments)
end

local function observers(session)
  if session.arguments.quiet then return {} end
  return {
    progress = progress.printer(),
    change = function(status) output.note("the batch is " .. output.plain(status)) end,
  }
end

local function given_of(session, list)
  local arguments, given, seen = session.arguments, create.options(session.arguments), observers(session)
  for _, name in ipairs {
    "dir", "recursive", "pattern", "parallel", "part_size", "part_threshold", "timeout", "split", "journal",
    "shard", "adopt",
  } do
    given[name] = arguments[name]
  end
  if #list > 0 then given.files = list end
  given.on_progress = seen.progress
  given.on_batch = function(id) session:note_batch(id) end
  given.on_change = function(status)
    session.changes = (session.changes or 0) + 1
    if seen.change then seen.change(status) end
  end
  given.on_warning = function(text) output.note("catalog: " .. problem.translate(text)) end
  return given
end

-- When the last of the batches was done, in the service's milliseconds; nil: it does not say.
local function last_of(batches)
  local last
  for _, one in ipairs(batches) do
    if math.type(one.completed) == "integer" then last = math.max(last or 0, one.completed) end
  end
  return last
end

-- A run that found nothing to do: all was done before, or there are no files.
local function tell_done(session, report)
  local arguments, only_looked = session.arguments, not session.changed and (session.changes or 0) <= #report.batches
  if arguments.quiet then return end
  if #report.files == 0 then output.note(("the shard %s has no files; nothing was sent"):format(arguments.shard)) end
  if not report.resumed or not only_looked then return end
  local moment = output.moment(last_of(report.batches))
  output.note(("already done%s; to ingest it anew, %s"):format(moment and " on " .. moment or "",
    arguments.journal and "remove " .. output.plain(arguments.journal) or "give another --external-id"))
end

-- What the same command again would do after a run that has failed and has noted nothing on disk.
local function tell_adopted(err, partial)
  if err.kind == "batch" then
    output.note "the same command again sends the files anew, into a batch that takes the place of this one"
  elseif #partial.batches > 0 then
    output.note "the same command again goes on from here"
  end
end

-- The report has the states that were seen last; since then batches were given up.
local function note_aborted(session, report)
  for _, one in ipairs(report.batches) do
    if session.actions[one.id] == "ABORT" then
      one.status = "aborted"
      report.status = report.id == one.id and one.status or report.status
    end
  end
end

local function fail(session, err, partial)
  if partial then note_aborted(session, partial) end
  if partial and #partial.batches > 0 then session:show_report(partial) end
  local code = session:fail(err)
  session:tell_errors(err.batch)
  if session.arguments.journal and partial then
    local over = "the journal has nothing more to go on with; to ingest all anew, remove "
      .. output.plain(session.arguments.journal)
    output.note(err.kind == "batch" and over or "the same command again goes on from here")
  elseif partial and session:adopts() then
    tell_adopted(err, partial)
  elseif partial and err.kind ~= "batch" then
    session:tell_batches()
  end
  return code
end

local function finish(session, report)
  local ok, err = session:show_report(report)
  if not ok then return nil, err end
  return session:judge(report.batches)
end

local function ingest_files(session, list)
  session.is_creating = true
  local report, err, partial = session.client:ingest(given_of(session, list))
  if not report then return fail(session, err, partial) end
  tell_done(session, report)
  return finish(session, report)
end

-- Adds what can be read once only; the module's `ingest` looks at files before it begins.
local function upload_all(session, batch, list, report)
  local count = not session.arguments.quiet and progress.counter()
  for i, item in ipairs(list) do
    local sent, err = sources.upload(batch, item, session.arguments, count)
    if not sent then return nil, err end
    report.files[i], report.bytes = sent, report.bytes + sent.bytes
  end
  if count then count() end
  return true
end

local function fill(session, batch, list, report)
  local ok, err = upload_all(session, batch, list, report)
  if ok then ok, err = batch:complete() end
  if not ok then return nil, err end
  return batch:wait { timeout = session.arguments.timeout, on_change = observers(session).change }
end

local function note_end(report, shown)
  report.id, report.status, report.metrics, report.errors = shown.id, shown.status, shown.metrics, shown.errors
  report.batches[1] = {
    id = shown.id, status = shown.status, metrics = shown.metrics, errors = shown.errors, completed = shown.completed,
    files = #report.files,
  }
end

-- What creates the batch. As the module's `ingest` does it, the format is that of the endings, and arrays are no lines.
local function creation_of(session, list)
  local given = create.options(session.arguments)
  local chosen, err = format.choose(given, list)
  if err then return nil, err end
  given.once, given.format = true, given.format or chosen or "json"
  local ok, unfit = sources.name_pipes(list, session.arguments, given.format)
  if ok then ok, unfit = format.check(given, list) end
  return ok and given, unfit
end

-- Creates a batch for what comes through pipes, and fills it. One that is not completed is aborted when it is left.
local function send_pipes(session, list, report)
  local given, unfit = creation_of(session, list)
  if not given then return nil, unfit end
  session.is_creating = true
  local batch <close>, err = session.client:create_batch(given)
  if not batch then return nil, err end
  session:note_batch(batch.id)
  note_end(report, batch)
  local fine, done, failed = pcall(fill, session, batch, list, report)
  if not fine then failed, done = problem.raised(done), nil end
  note_end(report, done or failed.batch or batch)
  return done, failed
end

local function ingest_pipes(session, list)
  local began = core.system.monotonic()
  local ready, unready = sources.prepare(list)
  if not ready then return nil, unready end
  local report = { files = {}, batches = {}, bytes = 0 }
  local done, err = send_pipes(session, list, report)
  report.seconds = core.system.monotonic() - began
  if done then return finish(session, report) end
  return fail(session, err, report.id and report)
end

function ingest.run(session)
  local list, pipes = sources.list(session.arguments)
  return (pipes and ingest_pipes or ingest_files)(session, list)
end

return ingest
