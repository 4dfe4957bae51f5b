--- What LDoc has read, in the shape of the reference: pages, public and internal, each with all that belongs to it,
-- in whichever file it is written.
local model = {}

-- The public pages, in their order. What is on none of them is internal, and so is what is tagged `@local`.
local PUBLIC <const> = {
  "catalog", "catalog.client", "catalog.batch", "catalog.writer", "catalog.dataset", "catalog.file", "catalog.checker",
  "catalog.sink", "catalog.drain", "catalog.task", "catalog.error", "catalog.loop.adapter", "catalog.loop.cqueues",
  "catalog.loop.luv", "catalog.emulator", "catalog.emulator.server",
}

local function trimmed(text) return (text or ""):match "^%s*(.-)%s*$" end

-- The lines of a comment that begins with `--- ` have a space before them.
local function prose(summary, description)
  local text = (summary or "") .. "\n" .. (description or "")
  return trimmed((text:gsub("\n ", "\n")))
end

-- The page of an item, and its name there; `:` before it where it is a method.
local function place_of(module, item)
  local class, mark, name = item.name:match "^(catalog[%w_.]*)([:.])([%w_]+)$"
  if class then return class, mark, name end
  local section = (item.section or ""):match "^Class (%S+)$"
  local receiver, method = item.name:match "^([%w_]+):([%w_]+)$"
  if receiver then return section or module.name, ":", method end
  return section or module.name, ".", item.name:match "[%w_]+$" or item.name
end

local function modifiers_of(item, name)
  local all = item.modifiers[item.parameter] or {}
  return all[name] or {}
end

local function parameter_of(item, full, name)
  local modifiers = modifiers_of(item, full)
  local kind = modifiers.type or "any"
  local default = modifiers.opt or modifiers.optchain
  return {
    name = name, type = kind:gsub("^%?", ""), optional = default ~= nil or kind:sub(1, 1) == "?",
    default = type(default) == "string" and default or nil, unit = modifiers.unit,
    text = trimmed(item.params.map[full]),
  }
end

local function parameters_of(item)
  local list = {}
  for _, name in ipairs(item.params or {}) do
    local parameter = parameter_of(item, name, name)
    for _, full in ipairs(item.subparams[name] or {}) do
      parameter.options = parameter.options or {}
      table.insert(parameter.options, parameter_of(item, full, full:sub(#name + 2)))
    end
    list[#list + 1] = parameter
  end
  return list
end

-- The kinds of result: each a list of values.
local function results_of(item)
  local kinds = {}
  for _, group in ipairs(item.retgroups or {}) do
    local values = {}
    for _, value in ipairs(group) do
      local kind = value.type ~= "" and value.type or "any"
      values[#values + 1] = {
        type = kind:gsub("^%?", ""), optional = kind:sub(1, 1) == "?", text = trimmed(value.text),
      }
    end
    if values[1] then kinds[#kinds + 1] = values end
  end
  return kinds
end

local function item_of(module, item, path)
  local page, mark, name = place_of(module, item)
  return page, {
    name = name, mark = mark, full = page .. mark .. name, text = prose(item.summary, item.description),
    is_internal = item.tags["local"] ~= nil or item.type == "lfunction",
    is_function = item.type == "function" or item.type == "lfunction", is_table = item.type == "table",
    parameters = parameters_of(item), results = results_of(item),
    raises = item.raise and trimmed(item.raise), usage = item.usage or {}, takes = item.tags.options,
    path = path, line = item.lineno,
  }
end

-- The options that a call has from another one: `catalog.client:create_batch -timeout` takes all but that.
local function add_taken(item, by_name)
  for _, text in ipairs(item.takes or {}) do
    local from, left_out = trimmed(text):match "^(%S+)%s*(.*)$"
    local other = assert(by_name[from], item.full .. ": no " .. from .. " to take options from")
    local parameter, options = item.parameters[#item.parameters], other.parameters[#other.parameters].options
    parameter.options = parameter.options or {}
    for _, option in ipairs(options) do
      local mark = (" -%s "):format(option.name:match "^[^.]*")
      if not (" " .. left_out .. " "):find(mark, 1, true) then table.insert(parameter.options, option) end
    end
  end
end

local function page_for(pages, name)
  pages[name] = pages[name] or { name = name, items = {}, texts = {} }
  return pages[name]
end

-- What files say of the page that they are part of. That which has its name says it first.
local function introduce(page, module, path)
  local text = prose(module.summary, module.description)
  local is_first = path:match "([%w_]+)%.%w+$" == page.name:match "[%w_]+$"
  table.insert(page.texts, is_first and 1 or #page.texts + 1, text)
end

-- The first sentence of all but the first is about a file alone.
local function join(page)
  local parts = { page.texts[1] }
  for i = 2, #page.texts do
    local rest = page.texts[i]:match "^.-%.%s+(.*)$"
    if rest and rest ~= "" then parts[#parts + 1] = rest end
  end
  if page.about and page.about ~= "" then parts[#parts + 1] = page.about end
  page.text = table.concat(parts, "\n\n")
end

local function add(pages, name, item)
  local page = page_for(pages, name)
  page.items[#page.items + 1] = item
end

-- A table that has the name of a page is what the page is about: its text, and its fields.
local function describe(page, item)
  page.about, page.fields = item.text, item.parameters
end

local function sorted(pages)
  local list = {}
  for _, page in pairs(pages) do list[#list + 1] = page end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

-- Where an item is on its page: classes that share one may have methods of a name.
local function set_anchors(page)
  local seen = {}
  for _, item in ipairs(page.items) do
    seen[item.name] = (seen[item.name] or 0) + 1
    item.anchor = seen[item.name] == 1 and item.name or ("%s-%d"):format(item.name, seen[item.name])
  end
end

--- Makes the pages.
-- @tparam {table,...} modules as LDoc has read them
-- @tparam string root the directory of the project, with `/` at its end
-- @treturn table `public` and `internal`, lists of pages: each `name`, `text` (markdown), `items`; and `by_name`, the
--   items by their names
function model.make(modules, root)
  local is_public, public, internal, by_name = {}, {}, {}, {}
  for _, name in ipairs(PUBLIC) do is_public[name] = true end
  for _, module in ipairs(modules) do
    local path = module.file:sub(#root + 1)
    introduce(page_for(is_public[module.name] and public or internal, module.name), module, path)
    for _, one in ipairs(module.items) do
      local name, item = item_of(module, one, path)
      local hidden = item.is_internal or not is_public[name]
      if item.is_table and is_public[item.full] then
        describe(page_for(public, item.full), item)
      else
        add(hidden and internal or public, hidden and module.name or name, item)
        by_name[item.full] = item
      end
    end
  end
  for _, item in pairs(by_name) do add_taken(item, by_name) end
  local ordered = {}
  for i, name in ipairs(PUBLIC) do
    ordered[i] = assert(public[name], "nothing is documented of " .. name)
    table.sort(ordered[i].items, function(a, b) return a.name < b.name end)
  end
  local inner = sorted(internal)
  for _, list in ipairs { ordered, inner } do
    for _, page in ipairs(list) do
      set_anchors(page)
      join(page)
    end
  end
  return { public = ordered, internal = inner, by_name = by_name }
end

--- Reads what `dump` has written.
-- @tparam string path
-- @tparam string root
-- @treturn table as of `make`
function model.read(path, root)
  local file <close> = assert(io.open(path))
  local text = file:read "a":match "\n?({\n.*})"
  return model.make(assert(load("return " .. text, "=" .. path, "t", {}))(), root)
end

return model
