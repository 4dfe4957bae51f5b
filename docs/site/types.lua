--- Types for editors, by LuaLS's annotations: `lua types.lua OUTPUT REFERENCE`, in the root of the repository.
package.path = "./?.lua;" .. package.path

local model = require "docs.site.model"
local reference = require "docs.site.reference"

local HEAD <const> = [[
---@meta %s
-- Made of the comments in the sources by `make types`: what is wrong here is wrong there.
]]

-- --- types ---

-- The alternatives of a type, as `string|{string,...}` has two.
local function alternatives(text)
  local list, depth, from = {}, 0, 1
  for at, char in text:gmatch "()([|{}])" do
    if char == "{" then depth = depth + 1 elseif char == "}" then depth = depth - 1 end
    if char == "|" and depth == 0 then
      list[#list + 1], from = text:sub(from, at - 1), at + 1
    end
  end
  list[#list + 1] = text:sub(from)
  return list
end

local NAMES <const> = { callable = "function", file = "file*" }

-- A type in LuaLS's words.
local function shown(text)
  local list = alternatives(text)
  for i, one in ipairs(list) do
    local key, value = one:match "^{%[(%w+)%]=(.*),%.%.%.}$"
    local element = one:match "^{(.*),%.%.%.}$"
    if key then
      list[i] = ("table<%s, %s>"):format(key, shown(value))
    elseif element then
      list[i] = (element:find("|", 1, true) and "(%s)[]" or "%s[]"):format(shown(element))
    else
      list[i] = NAMES[one] or one
    end
  end
  return table.concat(list, "|")
end

-- --- comments ---

local function add_text(out, text)
  if text == "" then return end
  for line in (text .. "\n"):gmatch "(.-)\n" do out[#out + 1] = "---" .. line end
end

-- In one line, as a tag has it.
local function line_of(text) return (text:gsub("%s+", " ")) end

local function add_field(out, field, kind)
  local about = field.unit and field.unit .. "; " or ""
  local default = field.default and (" (default: %s)"):format(field.default) or ""
  out[#out + 1] = ("---@field %s%s %s %s%s%s"):format(field.name, field.optional and "?" or "", kind, about,
    line_of(field.text), default):gsub("%s+$", "")
end

-- --- options ---

local function class_of(item, parameter) return ("%s.%s"):format(item.full:gsub(":", "."), parameter.name) end

-- The class of the options that an option has, which is a table.
local function option_type(option, class, groups)
  if not groups[option.name] then return shown(option.type) end
  local kind = shown(option.type):gsub("%f[%w]table%f[%W]", class .. "." .. option.name)
  return kind
end

-- A class for the options of a parameter, and one for each option that is a table of them.
local function add_options(out, item, parameter)
  local class, groups, names = class_of(item, parameter), {}, {}
  for _, option in ipairs(parameter.options) do
    local group, name = option.name:match "^([%w_]+)%.([%w_]+)$"
    if group then
      if not groups[group] then groups[group], names[#names + 1] = {}, group end
      table.insert(groups[group], {
        name = name, type = option.type, optional = option.optional, text = option.text, default = option.default,
        unit = option.unit,
      })
    end
  end
  out[#out + 1] = "\n---@class (exact) " .. class
  for _, option in ipairs(parameter.options) do
    if not option.name:find(".", 1, true) then add_field(out, option, option_type(option, class, groups)) end
  end
  for _, name in ipairs(names) do
    out[#out + 1] = ("\n---@class (exact) %s.%s"):format(class, name)
    for _, option in ipairs(groups[name]) do add_field(out, option, shown(option.type)) end
  end
end

-- The type of a parameter: its options, or those of the call that it has them from.
local function parameter_type(item, parameter, by_name)
  if parameter.options then return (shown(parameter.type):gsub("%f[%w]table%f[%W]", class_of(item, parameter))) end
  local other = by_name[parameter.text:match "^as in `([%w_.:]+)`" or ""]
  for _, one in ipairs(other and other.parameters or {}) do
    if one.options and (one.name == parameter.name or #other.parameters == 1 or one == other.parameters[2]) then
      return (shown(parameter.type):gsub("%f[%w]table%f[%W]", class_of(other, one)))
    end
  end
  return shown(parameter.type)
end

-- --- results ---

-- What a call returns at each place, in all its kinds of result.
local function results_of(item)
  local places, most = {}, 0
  for _, kind in ipairs(item.results) do most = math.max(most, #kind) end
  for i = 1, most do
    local place, seen = { types = {}, text = "" }, {}
    for _, kind in ipairs(item.results) do
      local value = kind[i]
      local name = value and shown(reference.type_of(value)) or "nil"
      if name == "nil" or value.optional then place.optional = true end
      if name ~= "nil" and not seen[name] then table.insert(place.types, name) end
      if place.text == "" and value then place.text = value.text end
      seen[name] = true
    end
    places[i] = place
  end
  return places
end

local function add_results(out, item)
  for _, place in ipairs(results_of(item)) do
    local kind = table.concat(place.types, "|")
    if kind == "" then kind = "nil" elseif place.optional and kind ~= "any" then kind = kind .. "|nil" end
    out[#out + 1] = ("---@return %s%s"):format(kind, place.text ~= "" and " # " .. line_of(place.text) or "")
  end
end

-- --- items ---

local function add_function(out, owner, item, by_name)
  for _, parameter in ipairs(item.parameters) do
    if parameter.options then add_options(out, item, parameter) end
  end
  out[#out + 1] = ""
  add_text(out, item.text)
  local names = {}
  for i, parameter in ipairs(item.parameters) do
    names[i] = parameter.name
    out[#out + 1] = ("---@param %s%s %s %s"):format(parameter.name, parameter.optional and "?" or "",
      parameter_type(item, parameter, by_name), line_of(parameter.text)):gsub("%s+$", "")
  end
  add_results(out, item)
  out[#out + 1] = ("function %s%s%s(%s) end"):format(owner, item.mark, item.name, table.concat(names, ", "))
end

local function add_page(out, page, by_name)
  out[#out + 1] = ""
  add_text(out, page.text)
  out[#out + 1] = "---@class " .. page.name
  for _, field in ipairs(page.fields or {}) do add_field(out, field, shown(field.type)) end
  if not page.items[1] then return end
  local owner = page.name:match "[%w_]+$"
  out[#out + 1] = ("local %s = {}"):format(owner)
  for _, item in ipairs(page.items) do
    if item.is_function then
      add_function(out, owner, item, by_name)
    else
      out[#out + 1] = ""
      add_text(out, item.text)
      out[#out + 1] = ("---@type %s"):format(item.name:find "^_" and "string" or "any")
      out[#out + 1] = ("%s.%s = nil"):format(owner, item.name)
    end
  end
end

local function write(path, lines)
  local file = assert(io.open(path, "wb"))
  assert(file:write(table.concat(lines, "\n"), "\n"))
  assert(file:close())
end

local output, dumped = arg[1], arg[2]
local all = model.read(dumped, io.popen("pwd"):read "l" .. "/")
local out, emulator = { HEAD:format "catalog" }, { HEAD:format "catalog.emulator" }
for _, page in ipairs(all.public) do
  local is_module = page.name:find "^catalog%.loop%.%l+$" and page.name ~= "catalog.loop.adapter"
  if not is_module then add_page(page.name:find "emulator" and emulator or out, page, all.by_name) end
end
out[#out + 1] = "\nreturn catalog"
emulator[#emulator + 1] = "\nreturn emulator"
assert(os.execute(("mkdir -p '%s'"):format((output:gsub("%.lua$", "")))))
write(output, out)
write((output:gsub("%.lua$", "/emulator.lua")), emulator)
