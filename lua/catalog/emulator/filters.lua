--- Filters and orders of catalog listings. Source: Adobe's guide to filtering catalog data.
-- @module catalog.emulator.filters
local answers = require "catalog.emulator.answers"
local regex = require "catalog.query.regex"

local filters = {}

-- What batches can be asked for by `name=value`, and by which kind of value.
local BATCH <const> = {
  created = "integer", updated = "integer", started = "integer", completed = "integer", recordCount = "integer",
  failedRecordCount = "integer", size = "integer", status = "string", version = "string", imsOrg = "string",
  sandboxId = "string", externalId = "string", createdClient = "string", createdUser = "string",
  updatedUser = "string", batch = "string", dataSet = "string",
}

-- The same of data sets.
local DATASET <const> = {
  created = "integer", updated = "integer", name = "string", description = "string", version = "string",
  imsOrg = "string", sandboxId = "string", createdClient = "string", createdUser = "string", updatedUser = "string",
  enableErrorDiagnostics = "boolean",
}

-- What lies elsewhere in a batch than its name says.
local ELSEWHERE <const> = {
  batch = function(batch) return batch.id end,
  dataSet = function(batch) return batch.relatedObjects[1].id end,
  recordCount = function(batch) return batch.metrics and batch.metrics.inputRecordCount end,
  failedRecordCount = function(batch) return batch.metrics and batch.metrics.failedRecordCount end,
  size = function(batch) return batch.metrics and batch.metrics.inputByteSize end,
}

-- A filter is for batches and data sets alike; only batches have related objects.
local function value_of(object, name)
  local find = object.relatedObjects and ELSEWHERE[name]
  if find then return find(object) end
  return object[name]
end

local function refuse(format, ...)
  error(table.pack(answers.problem(400, format, ...)), 0)
end

local function integer(name, text)
  local value = math.tointeger(tonumber(text))
  if not value then refuse("%s is a whole number, and '%s' is none", name, text) end
  return value
end

-- Splits at commas; a part of no length is refused.
local function split(name, text)
  local parts = {}
  for part in (text .. ","):gmatch "([^,]*)," do
    if part == "" then refuse("%s has an empty value", name) end
    parts[#parts + 1] = part
  end
  return parts
end

-- `name=a`, `name=a,b`, `name=!a,b`
local function simple(name, text, fields)
  local inverse, list = text:match "^(!?)(.*)$"
  local wanted = {}
  for _, part in ipairs(split(name, list)) do
    wanted[fields[name] == "integer" and integer(name, part) or part] = true
  end
  return function(object)
    local value = value_of(object, name)
    if type(value) == "boolean" then value = tostring(value) end
    return (value ~= nil and wanted[value] or false) == (inverse == "")
  end
end

-- A text with wildcards as a pattern of Lua: `*` is any text, `**` the mark itself.
local function wildcards(text)
  local pattern = text:gsub("%W", "%%%0"):gsub("%%%*%%%*", "\0"):gsub("%%%*", ".*"):gsub("%z", "%%*")
  return "^" .. pattern .. "$"
end

local function has(tag, pattern)
  for _, value in ipairs(type(tag) == "table" and tag or { tag }) do
    if tostring(value):find(pattern) then return true end
  end
  return false
end

-- `tags=name:value,name:val*,name:*`: all of them. A tag without values is there, too.
local function by_tags(_, text)
  local wanted = {}
  for _, part in ipairs(split("tags", text)) do
    local name, value = part:match "^([^:]+):(.+)$"
    if not name then refuse("tags is name:value, or several separated by commas, and '%s' is none", part) end
    wanted[#wanted + 1] = { name = name, value = value, pattern = wildcards(value) }
  end
  return function(batch)
    for _, each in ipairs(wanted) do
      local tag = (batch.tags or {})[each.name]
      if tag == nil or each.value ~= "*" and not has(tag, each.pattern) then return false end
    end
    return true
  end
end

-- Versions are compared number by number, numbers as such, and all else as text.
local function compare(a, b)
  if type(a) == "number" then b = tonumber(b) end
  if type(a) == "string" and a:find "^[%d.]+$" and b:find "^[%d.]+$" then
    local left, right = a:gmatch "%d+", b:gmatch "%d+"
    repeat
      local x, y = left(), right()
      local difference = tonumber(x or -1) - tonumber(y or -1)
      if difference ~= 0 then return difference end
    until not x
    return 0
  end
  return a == b and 0 or a < b and -1 or 1
end

local ORDERS <const> = {
  ["<"] = function(order) return order < 0 end, ["<="] = function(order) return order <= 0 end,
  [">"] = function(order) return order > 0 end, [">="] = function(order) return order >= 0 end,
}

local function by_expression(name, pattern)
  local matches, why = regex.compile(pattern)
  if not matches then refuse("property: '%s' is no regular expression: %s", pattern, why) end
  return function(batch)
    local value = value_of(batch, name)
    if type(value) ~= "string" then return false end
    local fine, found = pcall(matches, value)
    if not fine then refuse("property: the regular expression '%s' takes too long", pattern) end
    return found
  end
end

local function by_value(name, operator, text)
  return function(batch)
    local value = value_of(batch, name)
    local same = value == text or type(value) == "number" and value == tonumber(text)
    return same == (operator == "==")
  end
end

local function by_order(name, operator, text)
  return function(batch)
    local value = value_of(batch, name)
    if type(value) == "number" and not tonumber(text) then return false end
    return (type(value) == "number" or type(value) == "string") and ORDERS[operator](compare(value, text))
  end
end

-- `property=name`, `!name`, `name~regex`, and `name` with `==`, `!=`, `<`, `<=`, `>` or `>=` and a value
local function by_property(_, text, fields)
  local inverse, only = text:match "^(!?)([%w_]+)$"
  if only then
    return function(batch) return (value_of(batch, only) ~= nil) == (inverse == "") end
  end
  local name, pattern = text:match "^([%w_]+)~(.+)$"
  if name then return by_expression(name, pattern) end
  local compared, operator, value = text:match "^([%w_]+)([=!<>]=?)(.+)$"
  local by = ORDERS[operator] and by_order or (operator == "==" or operator == "!=") and by_value
  if not by then refuse("property is no condition: '%s'", text) end
  if fields[compared] == "integer" and not tonumber(value) then
    refuse("property: %s is a number, and '%s' is none", compared, value)
  end
  return by(compared, operator, value)
end

-- A batch has no dates of availability before somebody says so.
local function by_date(field, fits)
  return function(name, text)
    local limit = integer(name, text)
    return function(batch)
      local value = field(batch)
      return value ~= nil and fits(value, limit)
    end
  end
end

local function after(value, limit) return value > limit end
local function before(value, limit) return value < limit end
local function created(batch) return batch.created end
local function starts(batch) return batch.availableDates and batch.availableDates.startDate end
local function ends(batch) return batch.availableDates and batch.availableDates.endDate end

local KINDS <const> = {
  tags = by_tags, property = by_property,
  createdAfter = by_date(created, after), createdBefore = by_date(created, before),
  startAfter = by_date(starts, after), startBefore = by_date(starts, before),
  endAfter = by_date(ends, after), endBefore = by_date(ends, before),
}

-- Calls a function that may refuse a query. Gives what it gives, or nil and the refusal.
local function guarded(call, ...)
  local results = table.pack(pcall(call, ...))
  if results[1] then return table.unpack(results, 2, results.n) end
  if type(results[2]) ~= "table" then error(results[2], 0) end
  return nil, results[2]
end

filters.guarded, filters.DATASET = guarded, DATASET

--- Reads the filters of a query.
-- @tparam {table,...} pairs_of_query names and values, in their order; what is no filter is passed over
-- @tparam ?table fields `filters.DATASET`; default: those of batches
-- @treturn[1] function says whether a batch or a data set passes all of them; may refuse (see `filters.guarded`)
-- @treturn[2] nil
-- @treturn[2] table the refusal, packed
function filters.read(pairs_of_query, fields)
  fields = fields or BATCH
  return guarded(function()
    local tests = {}
    for _, pair in ipairs(pairs_of_query) do
      local make = KINDS[pair[1]] or fields[pair[1]] and simple
      if make then tests[#tests + 1] = make(pair[1], pair[2], fields) end
    end
    return function(batch)
      for _, test in ipairs(tests) do
        if not test(batch) then return false end
      end
      return true
    end
  end)
end

-- nil comes first.
local function before_or_after(a, b)
  if a == nil or b == nil then return a == b and 0 or a == nil and -1 or 1 end
  return compare(a, b)
end

--- Reads an order.
-- @tparam ?string text `asc:created,desc:updated,status`; default: the newest first
-- @tparam ?table fields as of `filters.read`
-- @treturn[1] function sorts a list of batches, which come in the order of their creation
-- @treturn[2] nil
-- @treturn[2] table the refusal, packed
function filters.order(text, fields)
  fields = fields or BATCH
  return guarded(function()
    local keys = {}
    for i, part in ipairs(split("orderBy", text or "desc:created")) do
      local direction, name = part:match "^(%a+):([%w_]+)$"
      if not direction then direction, name = "asc", part end
      if direction ~= "asc" and direction ~= "desc" or name ~= "id" and not fields[name] then
        refuse("orderBy is asc:field or desc:field, or several separated by commas, and '%s' is none", part)
      end
      keys[i] = { name = name, sign = direction == "asc" and 1 or -1 }
    end
    return function(batches)
      local place = {}
      for i, batch in ipairs(batches) do place[batch] = i end
      table.sort(batches, function(a, b)
        for _, key in ipairs(keys) do
          local order = before_or_after(value_of(a, key.name), value_of(b, key.name)) * key.sign
          if order ~= 0 then return order < 0 end
        end
        return (place[a] - place[b]) * keys[1].sign < 0
      end)
    end
  end)
end

return filters
