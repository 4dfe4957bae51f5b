--- `catalog group`: how far a group of drains is, and deciding by hand where it goes on.
-- @module catalog.cli.group
local kafka = require "catalog.cli.kafka"
local of_kafka = require "catalog.drain.group"
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"

local group = {}

function group.check(arguments)
  local fault = kafka.fault(arguments)
  if fault then return fault end
  local choices = arguments.choices or {}
  if arguments.action == "status" and #choices > 0 then return "group status takes no choices" end
  if arguments.action == "resolve" and #choices == 0 then
    return "group resolve needs TOPIC/N=done, TOPIC/N=again or TOPIC/N=OFFSET"
  end
  for _, choice in ipairs(choices) do
    if not choice:find "^.+/%d+=%w+$" then return ("'%s' is no TOPIC/N=done, =again or =OFFSET"):format(choice) end
  end
end

local function show_row(row)
  print(("%-20s offset %s, %s behind it"):format(output.plain(row.key), row.offset or "none",
    output.count(row.lag, "message")))
  if row.gone then print(("%-20s -> %s of them were deleted before they were read"):format("", row.gone)) end
  if row.batch then
    print(("%-20s up to %d in the batch %s: %s"):format("", row.next, output.plain(row.batch),
      output.plain(row.status)))
  end
  if row.what_to_do then print(("%-20s -> %s"):format("", output.plain(row.what_to_do))) end
end

local function show(session, given)
  local rows, err = of_kafka.status(session.client, given)
  if not rows then return nil, err end
  if session.arguments.json then
    output.json(rows)
    return problem.OK
  end
  print(("%-20s %s, %s"):format(output.plain(given.group), output.plain(rows.state),
    output.count(rows.members, "member")))
  for _, row in ipairs(rows) do show_row(row) end
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
  for key, offset in pairs(offsets) do print(("%s goes on at %d"):format(output.plain(key), offset)) end
  return problem.OK
end

function group.run(session)
  local given, err = kafka.given(session.arguments)
  if not given then return nil, err end
  if session.arguments.action == "status" then return show(session, given) end
  return resolve(session, given)
end

return group
