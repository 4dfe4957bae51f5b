-- Replies with each of their values in turn replaced by what nobody expects there, or left out.
local core = require "catalog.core"

local mutations = {}

local INSTEAD <const> = {
  "null", "true", "0", "-1", "1e300", '""', '"x"', "[]", "{}", "[null]", '{"x":null}', '["boom"]', "[[1]]",
}

local function is_list(value) return #value > 0 or next(value) == nil end

-- The texts of a value in which one value was replaced; `whole(text)` is what stands around it.
local function mutate(value, whole, texts)
  for _, text in ipairs(INSTEAD) do texts[#texts + 1] = whole(text) end
  if type(value) ~= "table" then return end
  local parts, keys = {}, {}
  for key, item in pairs(value) do
    keys[#keys + 1] = key
    parts[key] = (is_list(value) and "" or core.json.encode(tostring(key)) .. ":") .. core.json.encode(item)
  end
  table.sort(keys)
  local function around(changed, text)
    local kept = {}
    for _, key in ipairs(keys) do kept[#kept + 1] = key == changed and text or key ~= changed and parts[key] or nil end
    local body = table.concat(kept, ",")
    return whole(is_list(value) and "[" .. body .. "]" or "{" .. body .. "}")
  end
  for _, key in ipairs(keys) do
    texts[#texts + 1] = around(key, nil)
    local name = is_list(value) and "" or core.json.encode(key) .. ":"
    mutate(value[key], function(text) return around(key, name .. text) end, texts)
  end
end

--- All mutations of a reply.
-- @tparam string body JSON
-- @treturn {string,...}
function mutations.of(body)
  local texts = {}
  mutate(assert(core.json.decode(body)), function(text) return text end, texts)
  return texts
end

return mutations
