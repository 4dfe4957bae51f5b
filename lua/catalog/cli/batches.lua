--- `catalog batches`: the batches that fit.
-- @module catalog.cli.batches
local entry = require "catalog.batch.entry"
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"
local rows = require "catalog.cli.table"

local batches = {}

local USUAL <const> = "24h"

local COLUMNS <const> = {
  { "batch", 26 }, { "created", 23 }, { "status", 9 }, { "records", 9 }, { "failed", 7 }, { "dataset", 24 },
}

--- What is wrong with the arguments, or nil.
function batches.check(arguments)
  if arguments.failed and arguments.status then return "--failed and --status say two things; give one of them" end
end

local function states_of(arguments)
  if arguments.failed then return "failed" end
  if not arguments.status then return nil end
  local states = {}
  for state in arguments.status:gmatch "[^,]+" do states[#states + 1] = state end
  return states
end

local function options_of(arguments)
  local given = {
    since = arguments.since, created_before = arguments.before, dataset = arguments.dataset,
    external_id = arguments.external_id, tags = arguments.tags,
  }
  if next(given) == nil then
    given.since = USUAL
    if not arguments.quiet then output.note "catalog: batches of the last 24 hours; --since shows others" end
  end
  given.status, given.sandbox = states_of(arguments), arguments.sandbox
  return given
end

local function count_of(batch, name)
  local count = type(batch.metrics) == "table" and batch.metrics[name]
  return math.type(count) == "integer" and tostring(count) or "-"
end

local function add(shown, batch)
  shown:row(output.plain(batch.id), output.moment(batch.created) or "-", output.plain(batch.status or "-"),
    count_of(batch, "inputRecordCount"), count_of(batch, "failedRecordCount"),
    output.plain(entry.dataset(batch) or "-"))
end

--- Prints the entries of a listing.
-- @tparam table arguments
-- @tparam function listing an iterator
-- @tparam {table,...} columns as of `catalog.cli.table`
-- @tparam function print_row is given the table and an entry
-- @tparam string brief the field that is printed alone where --quiet is given
-- @treturn[1] integer the exit code
-- @treturn[2] nil
-- @treturn[2] table error
function batches.list(arguments, listing, columns, print_row, brief)
  local shown, count = nil, 0
  for one in listing do
    if arguments.json then
      local ok, err = output.json(one)
      if not ok then return nil, err end
    elseif arguments.quiet then
      output.line(output.plain(one[brief]))
    else
      shown = shown or rows.new(columns)
      print_row(shown, one)
    end
    count = count + 1
    if count == arguments.limit then break end
  end
  if count == 0 and not (arguments.json or arguments.quiet) then output.note "catalog: there are none" end
  return problem.OK
end

function batches.run(session)
  local arguments = session.arguments
  return batches.list(arguments, session.client:batches(options_of(arguments)), COLUMNS, add, "id")
end

return batches
