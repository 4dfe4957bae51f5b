--- Listings of data access, page by page. Source: Adobe's data access guide.
-- @module catalog.query.exports
local core = require "catalog.core"
local failure = require "catalog.base.failure"

local exports = {}

local PAGE <const> = 100

local function read(body)
  local answer, err = core.json.decode(body)
  if err then return nil, err end
  local data = type(answer) == "table" and answer.data
  if type(data) ~= "table" or (#data == 0 and next(data) ~= nil) then
    return failure("protocol", "the reply is no listing")
  end
  for i, entry in ipairs(data) do
    if type(entry) ~= "table" then return failure("protocol", "the entry %d of the listing is no object", i) end
  end
  return answer
end

-- Where the next page begins: the service counts, or says it in a link of which nothing else is taken.
local function start_of_next(answer, count)
  local link = type(answer._links) == "table" and type(answer._links.next) == "table" and answer._links.next.href
  local said = type(link) == "string" and link:match "[?&]start=([^&#]+)"
  if not said then return tostring(count) end
  return core.url.encode((said:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end)))
end

--- Goes through a listing; a page is held at a time.
-- @tparam table request for `client:send`, without `path`
-- @tparam catalog.client client
-- @tparam string path without `start` and `limit`
-- @tparam function key tells entries apart: gives a text, or nil and an error
-- @treturn function the next entry; nil at the end, and nil and an error
function exports.entries(request, client, path, key)
  local page, index, known, count, start, ended = {}, 0, {}, 0, "0", false
  local function turn()
    local copy = { method = "GET", repeatable = true, read = read }
    for name, value in pairs(request) do copy[name] = value end
    copy.path = ("%s%sstart=%s&limit=%d"):format(path, path:find("?", 1, true) and "&" or "?", start, PAGE)
    local answer, err = client:send(copy)
    if not answer then return nil, err end
    local fresh, names = {}, {}
    for _, entry in ipairs(answer.data) do
      local name, unfit = key(entry)
      if not name then return nil, unfit end
      if not known[name] then fresh[#fresh + 1] = entry end
      names[name] = true
    end
    ended = #answer.data < PAGE
    if #fresh == 0 and not ended then
      return failure("protocol", "GET %s: the service sends the same entries again and again", path)
    end
    count = count + #answer.data
    page, index, known, start = fresh, 0, names, start_of_next(answer, count)
    return true
  end
  return function()
    if index == #page and not ended then
      local ok, err = turn()
      if not ok then return nil, err end
    end
    index = index + 1
    return page[index]
  end
end

return exports
