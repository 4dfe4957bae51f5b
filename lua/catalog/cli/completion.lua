--- `catalog completion`: what makes a shell complete this program's words, from the table of options.
-- @module catalog.cli.completion
local options = require "catalog.cli.options"
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"

local completion = { offline = true }

local function names_of(list)
  local names = {}
  for i, one in ipairs(list) do names[i] = one.name end
  return names
end

local function flags_of(command)
  local flags = {}
  for _, list in ipairs { command and command.options or {}, options.GLOBAL } do
    for _, option in ipairs(list) do flags[#flags + 1] = "--" .. option.name end
  end
  return table.concat(flags, " ")
end

local COMMANDS <const> = table.concat(names_of(options.COMMANDS), " ")

-- What bash is told to find for a value.
local function bash_values(element)
  if element.choices then return ("words='%s'"):format(table.concat(element.choices, " ")) end
  if element.value == "COMMAND" then return ("words='%s'"):format(COMMANDS) end
  return element.completes and "kind=" .. element.completes or "words="
end

local BASH <const> = [[
# bash completion of catalog; made from its table of options
_catalog() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= words= kind= i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
    COMMANDS) command=${COMP_WORDS[i]}; break ;;
    esac
  done
  case $command:$prev in
VALUES
  *)
    case $command:$cur in
FLAGS
    :*) words='ALL' ;;
ARGUMENTS
    esac ;;
  esac
  case $kind in
  files) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
  folders) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
  *) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur") ;;
  esac
}
complete -F _catalog catalog
]]

local function bash()
  local values, flags, arguments = {}, { ("    :-*) words='%s' ;;"):format(flags_of()) }, {}
  local function add_values(pattern, option)
    if not option.value then return end
    values[#values + 1] = ("  %s:--%s) %s ;;"):format(pattern, option.name, bash_values(option))
  end
  for _, option in ipairs(options.GLOBAL) do add_values("*", option) end
  for _, command in ipairs(options.COMMANDS) do
    for _, option in ipairs(command.options) do add_values(command.name, option) end
    flags[#flags + 1] = ("    %s:-*) words='%s' ;;"):format(command.name, flags_of(command))
    local last = command.arguments[#command.arguments]
    if last then arguments[#arguments + 1] = ("    %s:*) %s ;;"):format(command.name, bash_values(last)) end
  end
  return (BASH:gsub("%u%u+", {
    COMMANDS = COMMANDS:gsub(" ", "|"), VALUES = table.concat(values, "\n"), FLAGS = table.concat(flags, "\n"),
    ALL = COMMANDS, ARGUMENTS = table.concat(arguments, "\n"),
  }))
end

-- A text within a specification of zsh's, which is within single quotes.
local function zsh_text(text) return (text:gsub("[%[%]:\\]", "\\%0"):gsub("'", "'\\''")) end

local function zsh_values(element)
  local find = " "
  if element.choices then find = ("(%s)"):format(table.concat(element.choices, " ")) end
  if element.value == "COMMAND" then find = ("(%s)"):format(COMMANDS) end
  if element.completes then find = element.completes == "files" and "_files" or "_files -/" end
  return (":%s:%s"):format(zsh_text(element.value), find)
end

local function zsh_option(option, names)
  local spec = ("[%s]%s"):format(zsh_text(option.help), option.value and zsh_values(option) or "")
  local repeated = option.many and "*" or ""
  for _, name in ipairs { "--" .. option.name, option.short and "-" .. option.short } do
    names[#names + 1] = ("'%s%s%s'"):format(repeated, name, spec)
  end
end

local function zsh_command(command)
  local specs = {}
  for _, list in ipairs { command.options, options.GLOBAL } do
    for _, option in ipairs(list) do zsh_option(option, specs) end
  end
  for i, argument in ipairs(command.arguments) do
    specs[#specs + 1] = ("'%s%s'"):format(argument.many and "*" or i, zsh_values(argument))
  end
  return ("    %s) _arguments %s ;;"):format(command.name, table.concat(specs, " "))
end

local ZSH <const> = [[
#compdef catalog
# zsh completion of catalog; made from its table of options
_catalog() {
  local state
  local -a commands=(COMMANDS)
  _arguments -C GLOBAL '1: :->command' '*:: :->argument'
  case $state in
  command) _describe command commands ;;
  argument)
    case $words[1] in
ALL
    esac ;;
  esac
}
if [ "$funcstack[1]" = _catalog ]; then _catalog "$@"; else compdef _catalog catalog; fi
]]

local function zsh()
  local described, global, all = {}, {}, {}
  for i, command in ipairs(options.COMMANDS) do
    described[i] = ("'%s:%s'"):format(command.name, zsh_text(command.summary))
    all[i] = zsh_command(command)
  end
  for _, option in ipairs(options.GLOBAL) do zsh_option(option, global) end
  return (ZSH:gsub("%u%u+", {
    COMMANDS = table.concat(described, " "), GLOBAL = table.concat(global, " "), ALL = table.concat(all, "\n"),
  }))
end

local SHELLS <const> = { bash = bash, zsh = zsh }

function completion.run(session)
  output.line((SHELLS[session.arguments.shell]():gsub("\n$", "")))
  return problem.OK
end

return completion
