--- Errors of the module as people who have typed a command read them, and the exit codes they come to.
-- @module catalog.cli.problem
local options = require "catalog.cli.options"
local output = require "catalog.cli.output"

local problem = {}

problem.OK, problem.FAILED, problem.USAGE, problem.BATCH_FAILED, problem.LATER = 0, 1, 2, 3, 75

-- What the module says to who calls it from Lua, and what that is on the command line. The first that fits is taken.
local TRANSLATIONS <const> = {
  { "set it in the client's table, or (AEP_[%u_]+) in the environment", "set %1 in the environment" },
  { "%f[%a][%a_]+ %((AEP_[%u_]+)%)", "%1" },
  { "split = true", "--split" },
  { "overwrite = true", "--overwrite" }, { "whole = true", "--whole" }, { "again = true", "--again" },
  { "leave whole out", "leave --whole out" },
  { "multiline = true", "--multiline" },
  { "; give format, ", "; give --format, " },
  { " %(or say insecure = true%)", "" },
  { "; check proxy, ", "; check the proxy, " },
  { "; check proxy and ", "; check the proxy and " },
  { "^proxy (%l)", "--proxy %1" },
  { "(cannot send .*: it is a directory)", "%1; name the files in it, or ingest it with --dir" },
  { "(cannot listen on port %d+: Address already in use)", "%1; give another --port, or 0 for any that is free" },
  { "format = '(%a+)'", "--format %1" },
  { "give it: client:batch%(id, { dataset = %.%.%. }%)", "give it with --dataset" },
  { "give a smaller part_size", "give a smaller --part-size" },
  { "or lower parallel", "or lower --parallel" },
  { "%f[%w]roll%.(%l+)", "--roll-%1" },
  { "%f[%w]limit%.(%l+)", "--limit-%1" },
  { "^kafka%.config has (%S+), which a drain sets", "a drain sets the property %1 by itself" },
  { "`from`", "--from" }, { '%f[%w]from = "beginning" or "end"', "--from beginning or --from end" },
  { "%f[%w]kafka%.topics", "--topic" }, { "%f[%w]kafka%.(%l+)", "--%1" },
  { "the batch (%S+) (.*) once it is completed", "the batch %1 %2 once it is completed (catalog complete %1)" },
}

-- The names of Lua's that the rest may have: those of the options that have more than one word, or a fixed place.
local FLAGS <const> = {}
for _, command in ipairs(options.COMMANDS) do
  for _, option in ipairs(command.options) do
    local field = options.field(option)
    if field:find("_", 1, true) then FLAGS[field] = "--" .. option.name end
  end
end
FLAGS.ca_file = "--ca-file"
for field, variable in pairs { base_url = "AEP_BASE_URL", ims_url = "AEP_IMS_URL" } do FLAGS[field] = variable end

--- What the module says, without Lua in it. What is in a path of somebody's is no option's name.
-- @tparam string text
-- @treturn string
function problem.translate(text)
  for _, pair in ipairs(TRANSLATIONS) do text = text:gsub(pair[1], pair[2]) end
  return (text:gsub("%f[%w_/.%-]([%a_]+)%f[^%w_/.%-]", FLAGS))
end

-- Whether the words are the service's own.
local function is_foreign(err) return err.kind == "http" or err.kind == "protocol" or err.kind == "auth" end

--- An error for people, in one line.
-- @tparam table err
-- @tparam[opt] boolean bare true: what happened, without kind and code
-- @treturn string
function problem.text(err, bare)
  local text = bare and err.message or tostring(err)
  return is_foreign(err) and text or problem.translate(text)
end

--- The exit code of an error.
-- @tparam table err
-- @treturn integer
function problem.code(err)
  if err.kind == "batch" then return problem.BATCH_FAILED end
  return err.retryable and problem.LATER or problem.FAILED
end

--- Says what went wrong.
-- @tparam table err
-- @treturn integer the exit code
function problem.tell(err)
  output.note("catalog: " .. problem.text(err))
  return problem.code(err)
end

--- Says that the command was written wrongly.
-- @tparam string text
-- @tparam ?table command
-- @treturn integer the exit code
function problem.usage(text, command)
  output.note(("catalog: %s%s catalog %s--help shows how"):format(text, text:find "%?$" and "" or ";",
    command and command.name .. " " or ""))
  return problem.USAGE
end

--- An error of the module that was raised. What is none goes on: a signal, an output that is closed, a mistake.
-- @param raised
-- @treturn table err
-- @raise what is none
function problem.raised(raised)
  if type(raised) == "table" and raised.kind and not raised.signal then return raised end
  error(raised, 0)
end

return problem
