--- Listings of the catalog, page by page: one page is held at a time.
-- @module catalog.query.pages
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local scheduler = require "catalog.scheduler.scheduler"

local PAGE <const> = 100

local pages = {}

-- nil comes first, and what cannot be compared is the same.
local function compare(a, b)
  if a == b then return 0 end
  if a == nil or b == nil then return a == nil and -1 or 1 end
  local fits = type(a) == type(b) and (type(a) == "number" or type(a) == "string")
  return not fits and 0 or a < b and -1 or 1
end

-- What compares entries in an order.
local function comparison(order)
  return function(a, b)
    for _, key in ipairs(order) do
      local difference = compare(a[key.name], b[key.name]) * key.sign
      if difference ~= 0 then return difference < 0 end
    end
    return a.id < b.id
  end
end

-- The same of one key that is a number in all of them, as most are; nil: it is none.
local function plain_comparison(order, list)
  if #order > 1 then return nil end
  local name, is_rising = order[1].name, order[1].sign > 0
  for i = 1, #list do
    if type(list[i][name]) ~= "number" then return nil end
  end
  return function(a, b)
    local x, y = a[name], b[name]
    if x == y then return a.id < b.id end
    if is_rising then return x < y end
    return x > y
  end
end

-- The entries of an answer in the order that was asked for: the answer is an object, and has none.
local function sorted(answer, order)
  local list = {}
  for id, fields in pairs(answer) do
    if type(id) ~= "string" or type(fields) ~= "table" or #fields > 0 then
      return failure("protocol", "the reply is no listing: an entry is no object")
    end
    if fields.id == nil or fields.id == core.json.null then fields.id = id end
    if fields.id ~= id then return failure("protocol", "the reply has another id under that of %s", id) end
    list[#list + 1] = fields
  end
  table.sort(list, plain_comparison(order, list) or comparison(order))
  return list
end

local function read(body, order)
  local answer, err = core.json.decode(body)
  if err then return nil, err end
  if type(answer) ~= "table" then return failure("protocol", "the reply is no listing") end
  return sorted(answer, order)
end

-- A listing by the time of creation goes on from the last entry, whatever was added or removed meanwhile. Any other
-- goes on by counting.
local function path_of(self)
  local query = { table.unpack(self.query) }
  local after, before = self.after, self.before
  if self.by_time and self.bound then
    if self.order[1].sign < 0 then before = self.bound + 1 else after = self.bound - 1 end
  end
  if after then query[#query + 1] = ("createdAfter=%d"):format(after) end
  if before then query[#query + 1] = ("createdBefore=%d"):format(before) end
  query[#query + 1] = ("limit=%d&start=%d"):format(PAGE, self.start)
  return self.path .. "?" .. table.concat(query, "&")
end

-- Where the next page begins, and which entries of this one may be in it again.
local function go_on(self, page, fresh)
  local last = page[#page]
  local created = self.by_time and math.type(last.created) == "integer" and last.created
  if created and created ~= self.bound then
    self.bound, self.start, self.seen = created, 0, {}
    for _, fields in ipairs(page) do
      if fields.created == created then self.seen[fields.id] = true end
    end
    return
  end
  self.start = self.start + #page
  if not self.by_time and #fresh > 0 then self.seen = {} end
  for _, fields in ipairs(fresh) do self.seen[fields.id] = true end
end

-- Whether an entry lies before where a listing by time has come to: a service that takes no notice of that sends it
-- again.
local function is_behind(self, fields)
  if not self.bound or math.type(fields.created) ~= "integer" then return false end
  return (fields.created - self.bound) * self.order[1].sign < 0
end

-- The entries of a page that were not among those before.
local function fresh_of(self, page)
  local fresh = {}
  for _, fields in ipairs(page) do
    if not self.seen[fields.id] and not is_behind(self, fields) then fresh[#fresh + 1] = fields end
  end
  return fresh
end

-- The next page; nil at the end, and nil and an error.
local function next_page(self)
  while not self.ended do
    local page, err = self.client:send {
      method = "GET", repeatable = true, path = path_of(self), sandbox = self.sandbox, process = self.process,
      read = function(body) return read(body, self.order) end,
    }
    if not page then return nil, err end
    local fresh = fresh_of(self, page)
    self.ended = #page < PAGE
    if #fresh > 0 then
      self.repeated = 0
      if not self.ended then go_on(self, page, fresh) end
      return fresh
    end
    self.repeated = self.repeated + 1
    if self.repeated > 1 and not self.ended then
      return failure("protocol", "GET %s: the service sends the same entries again and again", self.path)
    end
    if not self.ended then go_on(self, page, fresh) end
  end
end

-- The next entry; nil at the end, and nil and an error.
local function next_entry(self)
  if not self.page then
    if not self.query then
      local ok, err = self.begin(self)
      if not ok then return nil, err end
    end
    local page, err = next_page(self)
    if not page then return nil, err end
    self.page, self.index = page, 0
  end
  self.index = self.index + 1
  local fields = self.page[self.index]
  self.page[self.index] = false -- whoever has it lets go of it
  if self.index == #self.page then self.page = nil end
  return fields
end

-- The next result; nil at the end, and nil and an error.
local function next_result(self)
  while true do
    local fields, err = next_entry(self)
    if not fields then return nil, err end
    local result = self.each(fields)
    if result ~= nil then return result end
  end
end

local function new(given)
  local self = { start = 0, seen = {}, repeated = 0, process = scheduler.process() }
  for name, value in pairs(given) do self[name] = value end
  return self
end

--- Goes through a listing. It asks for the first page at the first step.
-- @tparam table given `client`; `sandbox`; `path`; `begin` (called with the listing before the first page: completes
--   it; gives true, or nil and an error); `each` (makes the result of the fields of an entry; nil: it is passed over).
--   What it is completed with: `query` (a list of `name=value`, encoded); `order`, as of `filters.order`; `after` and
--   `before` (milliseconds; nil: any); `by_time` (true: the order is that of creation, and the service knows
--   `createdAfter` and `createdBefore`)
-- @treturn function an iterator
-- @raise in the loop: the error table
function pages.each(given)
  local self = new(given)
  return function()
    local result, err = next_result(self)
    if err then error(err, 0) end
    return result
  end
end

--- The first of a listing.
-- @tparam table given as of `each`
-- @tparam integer most how many
-- @treturn[1] table a list
-- @treturn[2] nil
-- @treturn[2] table error
function pages.first(given, most)
  local self, list = new(given), {}
  while #list < most do
    local result, err = next_result(self)
    if err then return nil, err end
    if result == nil then break end
    list[#list + 1] = result
  end
  return list
end

return pages
