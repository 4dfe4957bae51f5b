--- The keys of a table, in order.
-- @module catalog.base.sorted

--- Lists the keys of a table.
-- @tparam table map whose keys are all numbers, or all strings
-- @treturn {string|number,...} the smallest first
local function sorted(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

return sorted
