--- How records come to `catalog sink`: by a pipe, line by line with an answer to each, in files, in files that are
-- followed. Each of these goes on until its end, or until the program is to end.
-- @module catalog.cli.intake
local Follow = require "catalog.cli.follow"
local LineBuffer = require "catalog.cli.line_buffer"
local Reader = require "catalog.cli.reader"
local core = require "catalog.core"
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"

local clock <const> = core.system.monotonic

local intake = {}

-- How often files are looked at that are followed; and how long we wait at the most until progress is shown, seconds.
local POLL <const>, SHOWN <const> = 0.25, 0.5

-- How long the end of what a pipe has may be waited for when the program is to end, in seconds.
local DRAIN <const> = 0.3

-- How many pieces of a file are read until another has its turn.
local TURN <const> = 16

-- How many rejected lines are told.
local TOLD <const> = 10

-- --- writing ---

-- Tells where a line was that is rejected: `before` are the lines, or the bytes, that came before the call.
local function tell_rejected(run, faults, count, shown, before)
  for _, fault in ipairs(faults) do
    if run.told < TOLD then
      run:note(("catalog: %s, line %d%s: %s"):format(output.plain(shown), fault.line + (before.lines or 0),
        before.bytes and before.bytes > 0 and (" behind byte %d"):format(before.bytes) or "",
        problem.translate(fault.reason)))
    end
    run.told = run.told + 1
  end
  run.told = run.told + count - #faults
end

-- Writes lines. While the spool is full it is tried again, until the program is to end: false then.
local function write(run, lines, source, position, shown, before)
  while true do
    local taken, rejected, faults = run.sink:write_lines(lines, source, position)
    if taken then
      if rejected ~= "repeated" and rejected > 0 then tell_rejected(run, faults, rejected, shown, before) end
      if before.lines then before.lines = before.lines + core.lines.count(lines, 1, #lines + 1) end
      return true
    end
    if rejected.code ~= "full" then return nil, rejected end
    run.progress:tick()
    if run.watch.stopped then return false end
  end
end

-- --- what is read as it comes ---

-- Standard input, or a pipe that has a name.
local function open_stream(path)
  local pipe, err = core.pipe.open(path ~= "-" and path or nil)
  if not pipe then return nil, err end
  return {
    pipe = pipe, shown = path == "-" and "standard input" or path, before = { lines = 0 },
    input = core.listener.new(pipe:fd()),
  }
end

-- Reads what is there: "" when that is nothing, nil at the end. While the program goes on it is waited for.
local function read(run, stream)
  local chunk, err = stream.pipe:read(0)
  if err then
    err.message = stream.shown .. " " .. err.message
    return nil, err
  end
  if chunk ~= "" or run.watch.stopped then return chunk end
  run.watch:wait(SHOWN, stream.input)
  return chunk
end

-- Reads a stream to its end, or to what has come when the program is to end. `take(lines)` writes what it is given;
-- `lose(lines)` is told of what was read and is not written.
local function read_all(run, stream, take, lose)
  local buffer, until_then = LineBuffer.new(run.record_bytes), nil
  while true do
    local chunk, err = read(run, stream)
    if err then return nil, err end
    local lines = chunk and buffer:add(chunk) or not chunk and buffer:finish() or nil
    local ok, failed = true, nil
    if lines then ok, failed = take(lines) end
    if not ok then
      lose(lines)
      return ok, failed
    end
    if not chunk then return true end
    if not lines then run.sink:poll() end
    run.progress:tick()
    if run.watch.stopped then until_then = until_then or clock() + DRAIN end
    if until_then and (chunk == "" or clock() > until_then) then break end
  end
  lose(buffer:finish() or "")
  return false
end

--- Takes all that comes by a pipe.
-- @tparam table run of `catalog.cli.sink`
-- @tparam string path `-`: standard input
-- @treturn[1] boolean true: to its end; false: the program is to end
-- @treturn[2] nil
-- @treturn[2] table error
function intake.stream(run, path)
  local stream, err = open_stream(path)
  if not stream then return nil, err end
  return read_all(run, stream, function(lines) return write(run, lines, nil, nil, stream.shown, stream.before) end,
    function(lines) run:lose(lines) end)
end

-- An answer goes out at once: somebody waits for it.
local function answer()
  output.line "OK"
  output.flush()
end

--- Takes what comes by standard input line by line, and answers each when it is on disk, as rsyslog's omprog asks for.
-- @tparam table run
-- @treturn[1] boolean as `stream`
-- @treturn[2] nil
-- @treturn[2] table error
function intake.confirmed(run)
  local stream, err = open_stream "-"
  if not stream then return nil, err end
  answer()
  return read_all(run, stream, function(lines)
    for line in lines:gmatch "[^\n]*\n?" do
      if line ~= "" then
        local ok, failed = write(run, line, nil, nil, stream.shown, stream.before)
        if ok then ok, failed = run.sink:sync() end
        if not ok then return ok, failed end
        answer()
      end
    end
    return true
  end, function() end) -- what was not answered comes again
end

-- --- files ---

-- Writes what a reader, or a follower, has now, in so many pieces at the most. False: the program is to end; the second
-- value: there may be more.
local function drain(run, from, most, is_over)
  for _ = 1, most do
    if run.watch.stopped then return false end
    local lines, source, position = from:next(is_over)
    if lines == nil and source then return nil, source end
    if lines == nil then return true, false end
    local ok, err = true, nil
    if lines then
      ok, err = write(run, lines, source, position, from.path, { bytes = position - #lines })
    else
      run.sink:poll()
    end
    if not ok then return ok, err end
    run.progress:tick()
  end
  return true, true
end

--- Takes a file, from where it was left, to its end.
-- @tparam table run
-- @tparam string path
-- @treturn[1] boolean as `stream`
-- @treturn[2] nil
-- @treturn[2] table error
function intake.file(run, path)
  local reader, err = Reader.open(path, run.known, run.record_bytes)
  if not reader then return nil, err end
  local ok, failed = drain(run, reader, math.maxinteger, true)
  reader:close()
  return ok, failed
end

local function follow_all(run, followed)
  while true do
    local any = false
    for _, one in ipairs(followed) do
      local ok, more = drain(run, one, TURN, false)
      if not ok then return ok, more end
      any = any or more
    end
    if not any then
      run.sink:poll() -- tells of what has ended, though no line comes
      run.watch:wait(POLL)
    end
    run.progress:tick()
  end
end

--- Follows files until the program is to end.
-- @tparam table run
-- @tparam {string,...} paths
-- @treturn[1] boolean false
-- @treturn[2] nil
-- @treturn[2] table error
function intake.follow(run, paths)
  local followed = {}
  for i, path in ipairs(paths) do
    followed[i] = Follow.new(path, {
      known = run.known, most = run.record_bytes, note = function(text) run:note("catalog: " .. text) end,
    })
  end
  local ok, err = follow_all(run, followed)
  for _, one in ipairs(followed) do one:close() end
  return ok, err
end

return intake
