--- `catalog completion`: what makes a shell complete this program's words, from the table of options. `make` writes it
-- into files with nothing but that table.
-- @module catalog.cli.completion
local options = require "catalog.cli.options"

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

-- What bash does for a value: its own completion knows how files are quoted.
local BASH_KINDS <const> = {
  files = "compopt -o default", folders = "compopt -o dirnames", datasets = "_catalog_datasets",
}

-- What bash is told to find for a value.
local function bash_values(element)
  if element.choices then return ("words='%s'"):format(table.concat(element.choices, " ")) end
  if element.value == "COMMAND" then return ("words='%s'"):format(COMMANDS) end
  return BASH_KINDS[element.completes] or "words="
end

-- The options that have a value, of all commands, as a pattern.
local function valued()
  local names, seen = {}, {}
  local function add(list)
    for _, option in ipairs(list) do
      if option.value and not seen[option.name] then names[#names + 1] = "--" .. option.name end
      seen[option.name] = true
    end
  end
  add(options.GLOBAL)
  for _, command in ipairs(options.COMMANDS) do add(command.options) end
  return table.concat(names, "|")
end

local BASH <const> = [==[
# bash completion of catalog; made from its table of options
_catalog_datasets() {
  local name
  while IFS= read -r name; do
    printf -v name %q "$name"
    if [[ $name == "$cur"* ]]; then COMPREPLY+=("$name"); fi
  done 2>/dev/null <"${XDG_CACHE_HOME:-$HOME/.cache}/catalog/datasets"
}
_catalog() {
  local line=${COMP_LINE:0:COMP_POINT} word words= list=() cur prev command= place=0 i
  COMPREPLY=()
  # bash takes words apart at = and :
  for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
    if [[ ${#list[@]} -eq 0 || $line == [[:space:]]* ]]; then list+=("$word")
    else list[${#list[@]}-1]+=$word; fi
    line=${line#"${line%%[![:space:]]*}"}
    line=${line#"$word"}
  done
  cur=${list[${#list[@]}-1]} prev=${list[${#list[@]}-2]}
  if [[ $cur == --*=* ]]; then prev=${cur%%=*} cur=${cur#*=}; fi
  for ((i = 1; i < ${#list[@]} - 1; i++)); do
    case ${list[i]} in
    VALUED) ((i++)) ;;
    -*) ;;
    *) if [[ $command ]]; then ((place++)); else command=${list[i]}; fi ;;
    esac
  done
  case $command:$prev in
VALUES
  *)
    case $command:$cur in
FLAGS
    :*) words='ALL' ;;
    *)
      case $command:$place in
ARGUMENTS
      esac ;;
    esac ;;
  esac
  [[ $words ]] && mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _catalog catalog
]==]

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
    for i, argument in ipairs(command.arguments) do
      local place = argument.many and "*" or i - 1
      arguments[#arguments + 1] = ("      %s:%s) %s ;;"):format(command.name, place, bash_values(argument))
    end
  end
  return (BASH:gsub("%f[%w_]%u%u+%f[^%w_]", {
    VALUED = valued(), VALUES = table.concat(values, "\n"), FLAGS = table.concat(flags, "\n"),
    ALL = COMMANDS, ARGUMENTS = table.concat(arguments, "\n"),
  }))
end

-- A text within a specification of zsh's, which is within single quotes.
local function zsh_text(text) return (text:gsub("[%[%]:\\]", "\\%0"):gsub("'", "'\\''")) end

local ZSH_KINDS <const> = { files = "_files", folders = "_files -/", datasets = "_catalog_datasets" }

-- What zsh is told to find for a value; `none` where it can only say what is meant.
local function zsh_values(element, none)
  local find = none
  if element.choices then find = ("(%s)"):format(table.concat(element.choices, " ")) end
  if element.value == "COMMAND" then find = ("(%s)"):format(COMMANDS) end
  if element.completes then find = ZSH_KINDS[element.completes] end
  return (":%s:%s"):format(zsh_text(element.value), find)
end

-- A value may stand behind a = as well. What has been given is not offered again.
local function zsh_option(option, names)
  local spec = ("[%s]%s"):format(zsh_text(option.help), option.value and zsh_values(option, " ") or "")
  local long, short = "--" .. option.name, option.short and "-" .. option.short
  local before = option.many and "*" or short and ("(%s %s)"):format(short, long) or ""
  names[#names + 1] = ("'%s%s%s%s'"):format(before, long, option.value and "=" or "", spec)
  if short then names[#names + 1] = ("'%s%s%s'"):format(before, short, spec) end
end

local function zsh_command(command)
  local specs = {}
  for _, list in ipairs { command.options, options.GLOBAL } do
    for _, option in ipairs(list) do zsh_option(option, specs) end
  end
  for i, argument in ipairs(command.arguments) do
    -- a message in the place of an argument would keep options from being completed there
    specs[#specs + 1] = ("'%s%s'"):format(argument.many and "*" or i, zsh_values(argument, "()"))
  end
  return ("    %s) _arguments %s ;;"):format(command.name, table.concat(specs, " "))
end

local ZSH <const> = [[
#compdef catalog
# zsh completion of catalog; made from its table of options
_catalog_datasets() {
  local -a names=(${(f)"$(cat "${XDG_CACHE_HOME:-$HOME/.cache}/catalog/datasets" 2>/dev/null)"})
  compadd -a names
}
_catalog() {
  local state
  local -a commands=(COMMANDS)
  _arguments -C GLOBAL '(-)1: :->command' '(-)*:: :->argument'
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

--- The text for a shell.
-- @tparam string shell `bash` or `zsh`
-- @treturn string
function completion.text(shell) return SHELLS[shell]() end

function completion.run(session)
  require("catalog.cli.output").line((completion.text(session.arguments.shell):gsub("\n$", "")))
  return require("catalog.cli.problem").OK
end

return completion
