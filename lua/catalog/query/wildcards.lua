--- Names in which `*` stands for any text, and `**` for the mark itself.
-- @module catalog.query.wildcards
local core = require "catalog.core"
local failure = require "catalog.base.failure"

local wildcards = {}

-- A name as a list of texts, between which is any text.
local function parts_of(name)
  local parts = {}
  for part in (name:gsub("%*%*", "\0") .. "*"):gmatch "([^*]*)%*" do parts[#parts + 1] = part:gsub("%z", "*") end
  return parts
end

local function joined(parts, escape, any)
  local escaped = {}
  for i, part in ipairs(parts) do escaped[i] = escape(part) end
  return "^" .. table.concat(escaped, any) .. "$"
end

local function lua_escape(text) return (text:gsub("%p", "%%%0")) end
local function regex_escape(text) return (text:gsub("[][^$.(){}*+?|\\]", "\\%0")) end

--- A name that has no such marks.
-- @tparam string name as it is
-- @treturn string
function wildcards.literal(name) return (name:gsub("%*", "**")) end

--- What tells whether a name fits.
-- @tparam string name
-- @treturn function
function wildcards.test(name)
  local pattern = joined(parts_of(name), lua_escape, ".*")
  return function(text) return type(text) == "string" and text:find(pattern) ~= nil end
end

--- A name as a filter of the service: as it is where that can be, else as a regular expression. Source: Adobe's guide
-- to filtering catalog data.
-- @tparam string name
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function wildcards.filter(name)
  if name == "" then return failure("config", "name is empty") end
  local parts = parts_of(name)
  if #parts == 1 and not parts[1]:find "[,*]" and parts[1]:sub(1, 1) ~= "!" then
    return "name=" .. core.url.encode(parts[1])
  end
  return "property=" .. core.url.encode("name~" .. joined(parts, regex_escape, ".*"))
end

return wildcards
