--- What the service found wrong with a batch, however it says so: Adobe's guide shows a list of objects.
-- @module catalog.batch.problems
local core = require "catalog.core"

local problems = {}

--- A value of a reply as a word for people.
-- @param value
-- @treturn ?string nil: it is none
function problems.word(value)
  if type(value) == "string" and value ~= "" then return core.failure.line(value) end
  if type(value) == "number" then return ("%.14g"):format(value) end
end

local function text_of(problem)
  local rows = math.type(problem.recordCount) == "integer" and problem.recordCount or problem.rows
  local count = math.type(rows) == "integer" and (" (%d %s)"):format(rows, rows == 1 and "row" or "rows") or ""
  local code, description = problems.word(problem.code), problems.word(problem.description)
  return ("%s: %s%s"):format(code or "no code", description or "no description", count)
end

-- A problem of a shape that nobody has described.
local function read_other(value)
  local description = problems.word(value) or core.json.encode(value) or tostring(value)
  return { description = description, text = text_of { description = description } }
end

local function read(problem)
  if type(problem) ~= "table" or #problem > 0 then return read_other(problem) end
  local copy = {}
  for name, value in pairs(problem) do copy[name] = value end
  copy.text = text_of(problem)
  return copy
end

-- The list that `errors` is; one problem alone is a list of it.
local function entries_of(errors)
  if errors == nil or errors == core.json.null then return {} end
  if type(errors) ~= "table" or (#errors == 0 and next(errors) ~= nil) then return { errors } end
  return errors
end

--- Reads the field `errors` of a batch.
-- @param errors whatever the service sent
-- @treturn {table,...} each with `text`, a readable line; none is an empty list
function problems.list(errors)
  local list = {}
  for i, problem in ipairs(entries_of(errors)) do list[i] = read(problem) end
  return list
end

return problems
