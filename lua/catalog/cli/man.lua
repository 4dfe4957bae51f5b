--- The man page, from the table of options. `make man` writes it.
-- @module catalog.cli.man
local help = require "catalog.cli.help"
local options = require "catalog.cli.options"

local man = {}

-- A text as roff has it.
local function roff(text)
  return (text:gsub("\\", "\\e"):gsub("-", "\\-"):gsub("^['.]", "\\&%0"))
end

local function entry(lines, left, right)
  lines[#lines + 1] = (".TP\n\\fB%s\\fR\n%s"):format(roff(left), roff(right))
end

local function add_options(lines, list)
  for _, option in ipairs(list) do entry(lines, help.flag(option), help.text(option)) end
end

local function add_command(lines, command)
  lines[#lines + 1] = (".SS \\fB%s\\fR\n%s"):format(roff(help.usage(command)), roff(command.summary))
  for _, argument in ipairs(command.arguments) do entry(lines, argument.value, help.text(argument)) end
  add_options(lines, command.options)
end

--- The page.
-- @tparam string version
-- @treturn string
function man.page(version)
  local lines = {
    ('.TH CATALOG 1 "" "catalog %s"'):format(version), ".SH NAME", "catalog \\- " .. roff(options.SUMMARY),
    ".SH SYNOPSIS", "\\fB" .. roff(help.usage()) .. "\\fR", ".SH OPTIONS",
  }
  add_options(lines, options.GLOBAL)
  lines[#lines + 1] = ".SH COMMANDS"
  for _, command in ipairs(options.COMMANDS) do add_command(lines, command) end
  lines[#lines + 1] = ".SH ENVIRONMENT"
  for _, variable in ipairs(options.ENVIRONMENT) do entry(lines, variable[1], variable[2]) end
  lines[#lines + 1] = ".SH EXIT STATUS"
  for _, code in ipairs(options.EXIT_CODES) do entry(lines, code[1], code[2]) end
  return table.concat(lines, "\n") .. "\n"
end

return man
