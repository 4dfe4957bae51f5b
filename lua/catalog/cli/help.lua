--- How the program is used, from the table of options. It needs nothing but that table.
-- @module catalog.cli.help
local options = require "catalog.cli.options"

local help = {}

local WIDTH <const>, COLUMN <const> = 80, 28

-- Words in lines of a width.
local function wrapped(text, indent)
  local lines, line = {}, ""
  for word in text:gmatch "%S+" do
    if line ~= "" and #line + #word + 1 > WIDTH - indent then
      lines[#lines + 1], line = line, word
    else
      line = line == "" and word or line .. " " .. word
    end
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n" .. (" "):rep(indent))
end

local function entry(left, right)
  local gap = #left + 4 > COLUMN and "\n" .. (" "):rep(COLUMN) or (" "):rep(COLUMN - 2 - #left)
  return "  " .. left .. gap .. wrapped(right, COLUMN)
end

--- An option as people write it.
-- @tparam table option
-- @treturn string such as `-q, --quiet` or `--format FORMAT`
function help.flag(option)
  return (option.short and "-" .. option.short .. ", " or "") .. "--" .. option.name
    .. (option.value and " " .. option.value or "")
end

--- What is said of an option or an argument: its text, the choices, the default.
-- @tparam table option
-- @treturn string
function help.text(option)
  local choices = option.choices and #option.choices > 2 and " " .. table.concat(option.choices, ", ") .. "." or ""
  local default = option.default and (" Default: %s."):format(option.default) or ""
  return option.help .. choices .. default
end

local function argument_of(argument)
  local shown = argument.value .. (argument.many and "..." or "")
  return argument.required and shown or "[" .. shown .. "]"
end

--- The line that says how a command is written.
-- @tparam ?table command
-- @treturn string
function help.usage(command)
  if not command then return "catalog [OPTIONS] COMMAND ..." end
  local words = { "catalog", command.name }
  for _, option in ipairs(command.options) do
    if option.required then words[#words + 1] = "--" .. option.name .. " " .. option.value end
  end
  words[#words + 1] = "[OPTIONS]"
  for _, argument in ipairs(command.arguments) do words[#words + 1] = argument_of(argument) end
  return table.concat(words, " ")
end

local function section(lines, title, list, show)
  if #list == 0 then return end
  lines[#lines + 1] = ""
  lines[#lines + 1] = title .. ":"
  for _, one in ipairs(list) do lines[#lines + 1] = entry(show(one)) end
end

local function shown_option(option) return help.flag(option), help.text(option) end
local function shown_argument(argument) return argument.value, help.text(argument) end
local function shown_pair(pair) return pair[1], pair[2] end

local function codes()
  local list = {}
  for i, code in ipairs(options.EXIT_CODES) do list[i] = code[1]:gsub(", ", "/") .. " " .. code[2] end
  return wrapped("Exit codes: " .. table.concat(list, ", ") .. ".", 0)
end

--- The help of a command, or of the program as a whole.
-- @tparam ?table command
-- @treturn string
function help.of(command)
  local lines = { "Usage: " .. help.usage(command), "", command and command.summary or options.SUMMARY }
  if command then
    section(lines, "Arguments", command.arguments, shown_argument)
    section(lines, "Options", command.options, shown_option)
    section(lines, "Options of all commands", options.GLOBAL, shown_option)
  else
    section(lines, "Commands", options.COMMANDS, function(one) return one.name, one.summary end)
    section(lines, "Options", options.GLOBAL, shown_option)
    section(lines, "Environment", options.ENVIRONMENT, shown_pair)
    lines[#lines + 1] = ""
    lines[#lines + 1] = codes()
    lines[#lines + 1] = "catalog help COMMAND says more of a command."
  end
  return table.concat(lines, "\n") .. "\n"
end

--- The command that is meant by a command line, found without a parser.
-- @tparam {string,...} words
-- @tparam[opt=1] integer from
-- @treturn ?table
function help.command(words, from)
  for i = from or 1, #words do
    local command = options.command(words[i])
    if command then return command end
  end
end

--- Which help is asked for: that works without a parser.
-- @tparam {string,...} words of the command line
-- @treturn boolean whether help is asked for
-- @treturn ?table the command of which
-- @treturn ?string a word in the place of a command that is none
function help.asked(words)
  local from, asked = 1, words[1] == "help"
  if asked then from = 2 end
  for _, word in ipairs(words) do
    if word == "--" then break end
    asked = asked or word == "-h" or word == "--help"
  end
  if not asked then return false end
  local command, topic = help.command(words, from), words[from]
  return true, command, not command and topic and topic:sub(1, 1) ~= "-" and topic or nil
end

return help
