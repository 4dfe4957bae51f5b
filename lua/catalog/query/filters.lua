--- Options of listings as the query of a request. Source: Adobe's guide to filtering catalog data.
-- @module catalog.query.filters
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local moment = require "catalog.query.moment"

local filters = {}

local function encoded(name, value) return name .. "=" .. core.url.encode(value) end

-- A value or a list of them as a list of texts; nil and an error where one is none.
local function texts_of(given, what)
  local texts = {}
  for i, value in ipairs(type(given) == "table" and given or { given }) do
    if type(value) ~= "string" then return failure("config", "%s: %s is no text", what, tostring(value)) end
    if value == "" then return failure("config", "%s is empty", what) end
    texts[i] = value
  end
  if #texts == 0 then return failure("config", "%s is empty", what) end
  return texts
end

-- The service takes several values with commas between them, `!` as the opposite, and has no way to write either.
local function is_plain(text) return not text:find "," and text:sub(1, 1) ~= "!" end

--- Several values of which one has to fit, as the service takes them.
-- @tparam string name that of the service
-- @tparam string|table given
-- @tparam string what the option, for the message
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function filters.any_of(name, given, what)
  local texts, err = texts_of(given, what)
  if not texts then return nil, err end
  for _, text in ipairs(texts) do
    if not is_plain(text) then
      return failure("config", "%s is '%s'; the service cannot be asked for what has a comma in it, or ! in front",
        what, text)
    end
  end
  return encoded(name, table.concat(texts, ","))
end

--- States of batches; of `failed` the service knows two names.
-- @tparam string|table given
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function filters.status(given)
  local texts, err = texts_of(given, "status")
  if not texts then return nil, err end
  local names, known = {}, {}
  for _, text in ipairs(texts) do
    local failed = text == "failed" or text == "failure"
    for _, name in ipairs(failed and { "failed", "failure" } or { text }) do
      if not known[name] then names[#names + 1] = name end
      known[name] = true
    end
  end
  return filters.any_of("status", names, "status")
end

local function add_tag(parts, name, value)
  local text = type(value) == "boolean" and tostring(value) or value
  if type(text) ~= "string" or text == "" or name:find "[,:]" or text:find "," then
    return failure("config", "tags.%s cannot be asked for: a value is a text without commas, in which * is any text",
      name)
  end
  parts[#parts + 1] = name .. ":" .. text
  return true
end

--- Tags, all of which a batch or a data set has to have.
-- @tparam string|table given name to value, or to a list of values, in which `*` stands for any text; or a text as the
--   service takes it
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function filters.tags(given)
  if type(given) == "string" then return filters.text("tags", given, "tags") end
  local names, parts = {}, {}
  for name in pairs(given) do
    if type(name) ~= "string" then return failure("config", "tags are names with values") end
    names[#names + 1] = name
  end
  if #names == 0 then return failure("config", "tags is empty") end
  table.sort(names)
  for _, name in ipairs(names) do
    for _, value in ipairs(type(given[name]) == "table" and given[name] or { given[name] }) do
      local ok, err = add_tag(parts, name, value)
      if not ok then return nil, err end
    end
  end
  return encoded("tags", table.concat(parts, ","))
end

--- A text as it is.
-- @tparam string name that of the service
-- @tparam string given
-- @tparam string what the option, for the message
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function filters.text(name, given, what)
  if given == "" then return failure("config", "%s is empty", what) end
  return encoded(name, given)
end

--- When something was created.
-- @tparam table given `since`, `created_after`, `created_before`
-- @treturn[1] table `after` and `before`, in milliseconds; neither is among what is asked for
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function filters.times(given)
  if given.since and given.created_after then
    return failure("config", "since and created_after say the same; give one of them")
  end
  local times = {}
  for option, name in pairs { since = "after", created_after = "after", created_before = "before" } do
    local at, err
    if given[option] then at, err = moment(given[option], option) end
    if err then return nil, err end
    -- what happened then is after `since`, and not after `created_after`
    times[name] = at and (option == "since" and at - 1 or at) or times[name]
  end
  return times
end

--- The fields that are wanted.
-- @tparam ?string|table given nil: all
-- @tparam {table,...} order as of `filters.order`: what is ordered by comes along
-- @tparam ?string also what else comes along
-- @treturn[1] ?string
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function filters.properties(given, order, also)
  if not given then return nil end
  local names, known = {}, {}
  for _, text in ipairs(type(given) == "table" and given or { given }) do
    if type(text) ~= "string" then return failure("config", "properties are names of fields") end
    for name in text:gmatch "[^,%s]+" do names[#names + 1] = name end
  end
  if #names == 0 then return failure("config", "properties is empty") end
  for _, key in ipairs(order) do names[#names + 1] = key.name end
  names[#names + 1] = also
  local list = {}
  for _, name in ipairs(names) do
    if not known[name] then list[#list + 1] = name end
    known[name] = true
  end
  return encoded("properties", table.concat(list, ","))
end

--- An order.
-- @tparam ?string|table given `asc:created`, `desc:updated`, `status`; default: the newest first
-- @treturn[1] {table,...} each `name`, and `sign`: 1 from the least to the largest, -1 the other way
-- @treturn[1] string as the service takes it
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function filters.order(given)
  local text = type(given) == "table" and table.concat(given, ",") or given or "desc:created"
  local keys = {}
  for part in (text .. ","):gmatch "([^,]*)," do
    local direction, name = part:match "^(%a+):([%w_.]+)$"
    if not direction then direction, name = "asc", part:match "^[%w_.]+$" end
    if not name or direction ~= "asc" and direction ~= "desc" then
      return failure("config", "order_by is '%s'; write asc:created or desc:updated, or several of them", text)
    end
    keys[#keys + 1] = { name = name, sign = direction == "asc" and 1 or -1 }
  end
  return keys, encoded("orderBy", text)
end

--- Completes a listing with what was asked for.
-- @tparam table listing of `catalog.query.pages`
-- @tparam table given `since`, `created_after`, `created_before`, `order_by`, `properties`
-- @tparam {table,...} makers of the filters: each the name of an option, and a function that makes a part of the query
--   of its value, or gives nil and an error
-- @tparam table values of those options
-- @tparam ?string also a field that comes along
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function filters.complete(listing, given, makers, values, also)
  local times, no_time = filters.times(given)
  if not times then return nil, no_time end
  local order, order_text = filters.order(given.order_by)
  if not order then return nil, order_text end
  local properties, unfit = filters.properties(given.properties, order, also)
  if unfit then return nil, unfit end
  local query = { order_text, properties }
  for _, maker in ipairs(makers) do
    local option, make = table.unpack(maker)
    local text, err
    if values[option] then text, err = make(values[option]) end
    if err then return nil, err end
    query[#query + 1] = text
  end
  listing.query, listing.order, listing.after, listing.before = query, order, times.after, times.before
  listing.by_time = #order == 1 and order[1].name == "created"
  return true
end

return filters
