--- Ids that are made of names, so that the same name has the same id after a restart too.
-- @module catalog.emulator.derived
local derived = {}

-- FNV-1a, 64 bits.
local function hash(text)
  local value = 0xcbf29ce484222325
  for i = 1, #text do value = (value ~ text:byte(i)) * 0x100000001b3 end
  return value
end

local uuids = {} -- there are few sandboxes, and each batch asks for the id of its own

--- The id of a sandbox, of its organisation and name.
-- @tparam string text
-- @treturn string
function derived.uuid(text)
  if not uuids[text] then
    local digits = ("%016x%016x"):format(hash(text), hash(text .. "\0"))
    uuids[text] = digits:gsub("^(........)(....).(...).(...)(............)$", "%1-%2-4%3-8%4-%5")
  end
  return uuids[text]
end

--- The id of a view, of its data set.
-- @tparam string text
-- @treturn string 24 hexadecimal digits
function derived.view(text)
  return ("%016x%016x"):format(hash(text), hash(text .. "\0")):sub(1, 24)
end

return derived
