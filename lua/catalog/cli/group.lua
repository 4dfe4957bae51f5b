--- `catalog group`: how far a group of drains is, and deciding by hand where it goes on.
-- @module catalog.cli.group
local kafka = require "catalog.cli.kafka"
local of_kafka = require "catalog.drain.group"
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"
local sorted = require "catalog.base.sorted"

local group = {}

local function fault_of_choices(choices)
  local seen = {}
  for _, choice in ipairs(choices) do
    local key, what = choice:match "^(.+/%d+)=(%w+)$"
    if not key or what ~= "done" and what ~= "again" and not what:find "^%d+$" then
      return ("'%s' is no TOPIC/N=done, =again or =OFFSET"):format(choice)
    end
    if seen[key] then return ("%s is given twice"):format(key) end
    seen[key] = true
  end
end

--- What is wrong with the options together, or nil.
function group.check(arguments)
  local fault = kafka.fault(arguments)
  if fault then return fault end
  local choices = arguments.choices or {}
  if arguments.action == "status" and #choices > 0 then return "group status takes no choices" end
  if arguments.action == "resolve" and #choices == 0 then
    return "group resolve needs TOPIC/N=done, TOPIC/N=again or TOPIC/N=OFFSET"
  end
  return fault_of_choices(choices)
end

local function show_row(row)
  output.line(("%-20s offset %s, %s behind it"):format(output.plain(row.key), row.offset or "none",
    output.count(row.lag, "message")))
  if row.gone then output.line(("%-20s -> %s of them were deleted before they were read"):format("", row.gone)) end
  if row.batch then
    output.line(("%-20s up to %d in the batch %s: %s"):format("", row.next, output.plain(row.batch),
      output.plain(row.status)))
  end
  if row.what_to_do then output.line(("%-20s -> %s"):format("", output.plain(row.what_to_do))) end
end

local function show(session, given)
  local rows, err = of_kafka.status(session.client, given)
  if not rows then return nil, err end
  if session.arguments.json then
    local partitions = table.move(rows, 1, #rows, 1, {})
    local shown, unfit = output.json { state = rows.state, members = rows.members, partitions = partitions }
    return shown and problem.OK, unfit
  end
  output.line(("%-20s %s, %s"):format(output.plain(given.group), output.plain(rows.state),
    output.count(rows.members, "member")))
  local any = false
  for _, row in ipairs(rows) do
    show_row(row)
    any = any or row.offset ~= nil
  end
  if not any then output.note "catalog: this group has committed nothing of these topics yet" end
  return problem.OK
end

local function resolve(session, given)
  local choices = {}
  for _, choice in ipairs(session.arguments.choices) do
    local key, what = choice:match "^(.+/%d+)=(%w+)$"
    choices[key] = what
  end
  local offsets, err = of_kafka.resolve(session.client, given, choices)
  if not offsets then return nil, err end
  for _, key in ipairs(sorted(offsets)) do output.line(("%s goes on at %d"):format(output.plain(key), offsets[key])) end
  return problem.OK
end

function group.run(session)
  local given, err = kafka.given(session.arguments)
  if not given then return nil, err end
  if session.arguments.action == "status" then return show(session, given) end
  return resolve(session, given)
end

return group
