--- The words of a command line as a table, by argparse and the table of options.
-- @module catalog.cli.parse
local options = require "catalog.cli.options"
local values = require "catalog.cli.values"

-- What argparse calls to read a value; what it says of a bad one names the option.
local function reader_of(element, shown)
  return function(text)
    local value, why = values.read(text, element)
    if value == nil then return nil, ("%s: %s"):format(shown, why) end
    return value
  end
end

local function add_option(parser, option)
  local names = (option.short and "-" .. option.short .. " " or "") .. "--" .. option.name
  local made
  if option.value then
    made = parser:option(names):convert(reader_of(option, "--" .. option.name))
    if option.choices then made:choices(option.choices) end
  else
    made = parser:flag(names)
  end
  made:target(options.field(option)):overwrite(false) -- one that is given twice is a mistake
  made:count(option.many and "*" or option.required and not option.instead and "1" or "0-1")
end

local function add_argument(parser, argument)
  local made = parser:argument(argument.value):target(argument.name):convert(reader_of(argument, argument.value))
  if argument.choices then made:choices(argument.choices) end
  made:args(argument.many and (argument.required and "+" or "*") or argument.required and "1" or "?")
end

local function make_parser(argparse)
  local parser = argparse("catalog"):add_help(false)
  for _, option in ipairs(options.GLOBAL) do add_option(parser, option) end
  parser:command_target "command"
  for _, command in ipairs(options.COMMANDS) do
    local made = parser:command(command.name):add_help(false)
    for _, option in ipairs(command.options) do add_option(made, option) end
    for _, argument in ipairs(command.arguments) do add_argument(made, argument) end
  end
  return parser
end

local function add_defaults(arguments)
  for _, option in ipairs(options.command(arguments.command).options) do
    local field = options.field(option)
    if arguments[field] == nil then arguments[field] = option.default end
  end
  return arguments
end

local function is_given(arguments, name)
  local value = arguments[options.field { name = name }]
  return value ~= nil and (type(value) ~= "table" or next(value) ~= nil)
end

-- What is wrong with options of which one does as well as another; nil: nothing is.
local function fault_of(arguments)
  for _, option in ipairs(options.command(arguments.command).options) do
    local other = not option.many and option.instead -- of many the command sees to it
    local given, instead = is_given(arguments, option.name), other and is_given(arguments, other)
    if given and instead then return ("--%s and --%s say the same; give one of them"):format(option.name, other) end
    local is_missing = other and option.required and not given and not instead
    if is_missing then return ("missing option '--%s'"):format(option.name) end
  end
end

-- What argparse says, in our words. For one letter it proposes any other.
local function plain(said)
  said = said:gsub("\n", ". "):gsub("must be used .*1 time$", "is given twice")
  return (said:gsub("^(unknown option '%-.')%. Did you mean.*", "%1"))
end

--- Parses.
-- @function parse
-- @tparam table argparse the module
-- @tparam {string,...} words
-- @treturn[1] table the values by their names in Lua; `command`
-- @treturn[2] nil
-- @treturn[2] string what is wrong
return function(argparse, words)
  local fine, arguments = make_parser(argparse):pparse(words)
  if not fine then return nil, plain(tostring(arguments)) end
  local fault = fault_of(arguments)
  if fault then return nil, fault end
  return add_defaults(arguments)
end
