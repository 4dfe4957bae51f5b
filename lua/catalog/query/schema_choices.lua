--- What fits a value under a condition: `anyOf`, `oneOf`, `if`, `not`. Where it is not sure whether a part fits, since
-- not all that it says is looked at, nothing follows from it.
-- @module catalog.query.schema_choices
local parts = require "catalog.query.schema_parts"

local choices = {}

-- Asks a part. One that is asked of the same value within itself has nothing to say.
local function ask(check, value, state, depth)
  local before = state.asked[check]
  if before == value then return end
  state.asked[check] = value
  check(value, state, depth)
  state.asked[check] = before
end

-- How many problems a value has by a part, and the first of them.
local function count_of(check, value, state, depth)
  local found, count, most = state.found, state.count, state.most
  state.found, state.count, state.most = {}, 0, 1
  ask(check, value, state, depth)
  local first, problems = state.found[1], state.count
  state.found, state.count, state.most = found, count, most
  return problems, first
end

local function of_list(list, kind, of)
  local checks, known = {}, {}
  for i, part in ipairs(list) do checks[i], known[i] = of.lenient(part), parts.is_known(part, of.all) end
  if #checks == 0 then return nil end
  return function(value, state, depth)
    local nearest, first, fit = math.huge, nil, 0
    for i = 1, #checks do
      local count, problem = count_of(checks[i], value, state, depth)
      if count == 0 and (kind == "anyOf" or not known[i]) then return end
      if count == 0 then fit = fit + 1 end
      if count < nearest then nearest, first = count, problem end
    end
    if fit == 0 then
      state:add(depth, "choice", ("it fits none of %d alternatives; the nearest says of %s: %s"):format(#checks,
        first.path == "" and "it" or first.path, first.message))
    elseif fit > 1 then
      state:add(depth, "choice", ("it fits %d alternatives, and may fit one"):format(fit))
    end
  end
end

local MAKERS <const> = {}

function MAKERS.anyOf(condition, of) return of_list(condition.part, "anyOf", of) end
function MAKERS.oneOf(condition, of) return of_list(condition.part, "oneOf", of) end
function MAKERS.allOf(condition, of) return of.lenient(condition.part) end

MAKERS["if"] = function(condition, of)
  local test, is_known = of.lenient(condition.part), parts.is_known(condition.part, of.all)
  local yes, no = of.lenient(condition.yes), of.lenient(condition.no)
  return function(value, state, depth)
    local unfit = count_of(test, value, state, depth) > 0
    if unfit or is_known then ask(unfit and no or yes, value, state, depth) end
  end
end

MAKERS["not"] = function(condition, of)
  if not parts.is_known(condition.part, of.all) then return nil end
  local check = of.lenient(condition.part)
  return function(value, state, depth)
    if state.asked[check] == value then return end
    if count_of(check, value, state, depth) == 0 then state:add(depth, "choice", "it is what it may not be") end
  end
end

--- What fits a value that is to fit something else, and conditions.
-- @tparam function base called with a value, a state and a depth, as in `catalog.query.schema`
-- @tparam ?{table,...} conditions as of `catalog.query.schema_parts`; nil: there are none
-- @tparam table of `lenient(part)` gives what fits a part, for which fields that it does not name are no problem; `all`
--   as of `schema_parts.gather`
-- @treturn function
function choices.with(base, conditions, of)
  local checks = {}
  for _, condition in ipairs(conditions or {}) do checks[#checks + 1] = MAKERS[condition.kind](condition, of) end
  if #checks == 0 then return base end
  return function(value, state, depth)
    base(value, state, depth)
    for i = 1, #checks do checks[i](value, state, depth) end
  end
end

return choices
