--- `catalog sink`: records without end, or files, into a spool and from there into batches.
-- @module catalog.cli.sink
local Progress = require "catalog.cli.sink_progress"
local Watch = require "catalog.cli.watch"
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local identity = require "catalog.cli.identity"
local intake = require "catalog.cli.intake"
local listening = require "catalog.cli.listening"
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"
local sinks = require "catalog.cli.sinks"

local clock <const> = core.system.monotonic

local sink = {}

-- How long a write waits for room until signals are looked for, how long the disk may take at the end after a signal,
-- and how often we look whether all is settled; in seconds.
local ROOM_TIMEOUT <const>, END_TIMEOUT <const>, LOOK <const> = 0.2, 0.5, 0.25

-- How long to wait for the platform, in seconds.
local TIMEOUT <const> = 3600

-- --- arguments ---

local function is_stream(path) return path == "-" or core.fs.kind(path) == "pipe" end

local function fault_of_files(arguments)
  local files, streams, inputs = arguments.files, 0, 0
  for _, path in ipairs(files) do
    streams, inputs = streams + (is_stream(path) and 1 or 0), inputs + (path == "-" and 1 or 0)
  end
  if arguments.follow and #files == 0 then return "--follow needs the files that are followed" end
  if arguments.follow and streams > 0 then return "--follow is for files; a pipe is read as it comes without it" end
  if arguments.confirm and #files > 0 then return "--confirm answers what comes by standard input, not files" end
  if inputs > 1 then return "standard input (-) can be read once" end
  return nil, #files == 0 or inputs == 1
end

--- What is wrong with the arguments together.
-- @tparam table arguments
-- @treturn ?string
function sink.check(arguments)
  local fault, reads_input = fault_of_files(arguments)
  fault = fault or listening.fault_of_metrics(arguments)
  if fault then return fault end
  if arguments.wait and (arguments.follow or arguments.confirm) then
    return "--wait is for what has an end: standard input or files"
  end
  if reads_input and not core.fs.kind "/dev/stdin" then return "standard input is closed" end
  if reads_input and core.system.isatty(0) then
    return "standard input is a terminal; give files, or send it a file or another program's output"
  end
end

-- --- one run ---

local Run = {}
Run.__index = Run

--- Says something, on a line of its own.
-- @local
function Run:note(text)
  self.progress:finish()
  output.note(text)
end

--- Counts lines that were read and are not written.
-- @local
function Run:lose(lines)
  for _ in lines:gmatch "[^\n]+" do self.lost = self.lost + 1 end
end

-- What the sink is given: what it has to say goes through the run, so that it does not get into the progress.
local function given_of(run)
  local arguments = run.session.arguments
  local given, err = sinks.given(run.session, arguments.dataset, arguments.spool)
  if not given then return nil, err end
  given.limit.timeout = ROOM_TIMEOUT
  local on_batch = given.on_batch
  function given.on_batch(report)
    if report.state == "success" then
      run.refused = run.refused + report.rejected
    else
      run.failed = run.failed + report.records
    end
    run.progress:finish()
    if on_batch then on_batch(report) end
  end
  local on_error = given.on_error
  function given.on_error(failed)
    run.progress:finish()
    on_error(failed)
  end
  return given
end

local function open(session, watch)
  local run = setmetatable({
    session = session, watch = watch, progress = Progress.none, lost = 0, refused = 0, failed = 0, told = 0,
  }, Run)
  local given, err = given_of(run)
  if not given then return nil, err end
  local opened, refused = session.client:sink(given)
  if not opened then return nil, refused end
  run.sink, run.record_bytes = opened, opened.settings.record_bytes
  run.known = function(beginning) return opened:positions(beginning) end
  opened:forget(identity.outdated(run.known)) -- else it is tried again at the next start
  run.progress = Progress.new(opened, session.arguments.quiet)
  return run
end

-- Takes all there is. False: the program is to end before that.
local function take(run)
  local arguments = run.session.arguments
  if arguments.confirm then return intake.confirmed(run) end
  if arguments.follow then return intake.follow(run, arguments.files) end
  if #arguments.files == 0 then return intake.stream(run, "-") end
  for _, path in ipairs(arguments.files) do
    local ok, err = (is_stream(path) and intake.stream or intake.file)(run, path)
    if not ok then return ok, err end
  end
  return true
end

-- --- the end ---

-- Waits until nothing is in the spool of which nothing is decided. False: the program is to end before that.
local function settle(run)
  local timeout = run.session.arguments.timeout or TIMEOUT
  local deadline = clock() + timeout
  while not run.watch.stopped do
    local ok, err = run.sink:poll()
    if not ok then return nil, err end
    if not run.sink:pending() then return true end
    if clock() >= deadline then
      local last = run.sink:metrics().last_error
      return failure("timeout", "not everything is in the platform after %g seconds%s; the next start goes on", timeout,
        last and " (" .. problem.text(last, true) .. ")" or "")
    end
    run.progress:tick()
    run.watch:wait(LOOK)
  end
  return false
end

-- What has ended is a batch, as soon as somebody sends it.
local function seal(run)
  local ok, err = run.sink:seal()
  if ok then ok, err = run.sink:sync() end
  if ok and run.session.arguments.wait then return settle(run) end
  return ok, err
end

-- What is in the spool, for who has not waited for it.
local function tell_end(run, metrics)
  local arguments = run.session.arguments
  if arguments.quiet then return end
  if run.watch.stopped then
    output.note(("catalog: ended by %s; what was taken is on disk in %s, and the next start goes on"):format(
      run.watch.stopped, arguments.spool))
  elseif metrics.oldest_seconds then
    output.note(("catalog: all is on disk in %s; the next start sends it, and --wait waits for that"):format(
      arguments.spool))
  end
end

local function judge(run, metrics)
  local arguments, parts = run.session.arguments, {}
  for _, pair in ipairs {
    { metrics.rejected, "rejected" }, { run.refused, "refused by the service" },
    { run.failed, "in batches that failed" },
  } do
    if pair[1] > 0 then parts[#parts + 1] = ("%s %s"):format(output.count(pair[1], "record"), pair[2]) end
  end
  if metrics.rejected + run.refused + run.failed <= arguments.allow_failed then return problem.OK end
  output.note(("catalog: %s (--allow-failed %d); catalog spool status %s shows what to do"):format(
    table.concat(parts, ", "), arguments.allow_failed, arguments.spool))
  return problem.BATCH_FAILED
end

-- Puts everything on disk. What the end is for who has called the program: after a signal only whether that was done.
local function finish(run)
  local stopped, metrics = run.watch.stopped, run.sink:metrics()
  run.progress:finish()
  local closed, err = run.sink:close(stopped and { timeout = END_TIMEOUT } or nil)
  if run.lost > 0 then
    output.note(("catalog: %s read and not written: the end came before there was room, or before the line's"):format(
      output.count(run.lost, "record") .. (run.lost == 1 and " was" or " were")))
  end
  if not closed then return nil, err end
  if run.lost > 0 then return problem.FAILED end
  tell_end(run, metrics)
  if stopped then return problem.OK end
  return judge(run, metrics)
end

local function run_all(run)
  local ok, failed = take(run)
  if ok then ok, failed = seal(run) end
  local code, unwritten = finish(run)
  if ok == nil then return nil, failed end
  return code, unwritten
end

function sink.run(session)
  local stream = { dataset = session.arguments.dataset }
  local server <close>, err = listening.start_metrics(session.arguments, stream)
  if err then return nil, err end
  local watch <close>, unwatched = Watch.new(function()
    session:read_credentials()
    if server then server:read_again() end
  end)
  if not watch then return nil, unwatched end
  local run, unopened = open(session, watch)
  if not run then return nil, unopened end
  stream.sink = run.sink
  if server then
    server:open()
    if not session.arguments.quiet then run:note("catalog: shows its numbers at " .. server.url) end
  end
  return run_all(run)
end

return sink
