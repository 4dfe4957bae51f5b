--- The program `catalog`: which command is meant, and what its end is for who has called it. What it understands is in
-- `catalog.cli.options`. Credentials come from the environment only.
-- @module catalog.cli.program
local catalog = require "catalog"
local core = require "catalog.core"
local help = require "catalog.cli.help"
local output = require "catalog.cli.output"
local parse = require "catalog.cli.parse"
local problem = require "catalog.cli.problem"
local session = require "catalog.cli.session"

local program = {}

-- Each has a module of its name.
local COMMANDS <const> = "catalog.cli."

local BROKEN_PIPE <const>, BY_SIGNAL <const> = 141, 128

-- The answer to what works without a parser; nil: it is none of that.
local function answer(words)
  if #words == 0 then
    output.note((help.of():gsub("\n$", "")))
    return problem.USAGE
  end
  local asked, command, stranger = help.asked(words)
  if stranger then return problem.usage(("unknown command '%s'"):format(core.failure.line(stranger))) end
  if asked then
    output.line((help.of(command):gsub("\n$", "")))
    return problem.OK
  end
  for _, word in ipairs(words) do
    if word == "--" then return nil end
    if word == "--version" then
      output.line(catalog._VERSION)
      return problem.OK
    end
  end
end

local function load_argparse()
  local found, argparse = pcall(require, "argparse")
  if found then return argparse end
  output.note "catalog: the command line needs argparse (Debian: lua-argparse; LuaRocks: argparse)"
end

-- Runs a command, and sees to it that its result has arrived.
local function run_flushed(command, run)
  local unknown = run:find_dataset()
  if unknown then return nil, unknown end
  local code, err = command.run(run)
  if code then output.flush() end
  return code, err
end

-- What ends a command from outside: a signal, or a standard output that cannot be written. nil: it is none of that.
local function end_of(raised)
  if type(raised) ~= "table" then return nil end
  if raised.signal then return BY_SIGNAL + raised.signal, raised.message end
  if raised.broken_pipe then return BROKEN_PIPE end
  if raised.unwritten then return problem.FAILED, "standard output cannot be written: " .. raised.unwritten end
end

-- Runs a command for which all is ready. What it was about when it was ended is told; not to a reader who has left.
local function run_command(command, run)
  local fine, code, err = pcall(run_flushed, command, run)
  if fine and code then return code end
  if fine then return run:fail(err) end
  local ended, why = end_of(code)
  if not ended then return run:fail(problem.raised(code)) end
  if why then output.note("catalog: " .. why) end
  if why and (code.signal or run.changed) then run:tell_batches(true) end
  return ended
end

-- Makes the client. Gives the exit code where that fails; an option whose value is of no use is a mistake in typing.
local function connect(run, words)
  local err = run:connect()
  if not err then return nil end
  local said = problem.text(err, true)
  return said:find "^%-%-" and problem.usage(said, help.command(words)) or run:fail(err)
end

--- Runs a command.
-- @tparam {string,...} words the arguments, without the program's name
-- @treturn integer the exit code
-- @raise `{ unwritten = why }`: standard output cannot be written
function program.run(words)
  local answered = answer(words)
  if answered then return answered end
  local argparse = load_argparse()
  if not argparse then return problem.FAILED end
  local arguments, why = parse(argparse, words)
  if not arguments then return problem.usage(why, help.command(words)) end
  local command = require(COMMANDS .. arguments.command)
  local wrong = command.check and command.check(arguments)
  if wrong then return problem.usage(wrong, help.command(words)) end
  local run = session.new(arguments)
  local failed = not command.offline and connect(run, words)
  return failed or run_command(command, run)
end

-- Runs a command, and sees to it that what was printed has arrived.
local function run_whole(words)
  local code = program.run(words)
  output.flush()
  return code
end

--- Runs a command as the whole of a process: signals end it in an orderly way.
-- @tparam {string,...} words
-- @treturn integer the exit code
function program.main(words)
  core.system.reserve_output()
  core.system.raise_signals()
  local fine, code = pcall(run_whole, words)
  if fine then return code end
  local ended, why = end_of(code)
  if not ended then error(code, 0) end
  if why then output.note("catalog: " .. why) end
  return ended
end

return program
