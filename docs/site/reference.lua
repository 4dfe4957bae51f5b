--- The pages of the reference.
local html = require "docs.site.html"
local links = require "docs.site.links"
local markdown = require "docs.site.markdown"

local reference = {}

local escape <const> = html.escape

--- Where a page of the reference is on the site.
-- @tparam table page
-- @tparam boolean is_public
-- @treturn string
function reference.place(page, is_public)
  return (is_public and "reference/" or "reference/internal/") .. page.name .. ".html"
end

--- The type of a value; errors are told by their texts.
-- @tparam table value
-- @treturn string
function reference.type_of(value)
  local is_error = value.type == "table" and (value.text:find "^t?h?e? ?f?i?r?s?t? ?error" ~= nil)
  return is_error and "catalog.error" or value.type
end

--- How an item is called.
-- @tparam table item
-- @treturn string such as `batch:upload(name, source [, given])`
function reference.signature(item)
  local owner = item.full:sub(1, -#item.name - 2)
  local shown = item.mark == ":" and owner:match "[%w_]+$" or owner
  if not item.is_function then return shown .. "." .. item.name end
  local text = ""
  for i, parameter in ipairs(item.parameters) do
    local comma = i > 1 and ", " or ""
    if parameter.optional then
      text = ("%s%s[%s%s]"):format(text, i > 1 and " " or "", comma, parameter.name)
    else
      text = text .. comma .. parameter.name
    end
  end
  return ("%s%s%s(%s)"):format(shown, item.mark, item.name, text)
end

-- --- texts ---

local function each_text(page, take)
  local function values(list)
    for _, value in ipairs(list or {}) do
      take(value.text)
      if value.default then take(value.default) end
      values(value.options)
    end
  end
  take(page.text)
  values(page.fields)
  for _, item in ipairs(page.items) do
    take(item.text)
    if item.raises then take(item.raises) end
    values(item.parameters)
    for _, kind in ipairs(item.results) do values(kind) end
  end
end

--- Collects the texts that are markdown.
-- @tparam table model
-- @tparam function take is called with each
function reference.texts(model, take)
  for _, kind in ipairs { "public", "internal" } do
    for _, page in ipairs(model[kind]) do each_text(page, take) end
  end
end

-- --- parts of a page ---

-- What pages are made with: the site, the page, and its place.
local Writer = {}
Writer.__index = Writer

-- What is in it may be the names of others on the page.
function Writer:prose(text) return links.names(self.site.rendered[text] or "", self.site, self.here, self.page.name) end

-- A text within a line or a cell, where a name may be that of a field.
function Writer:inline(text)
  return (links.names(self.site.rendered[text] or "", self.site, self.here):gsub("^%s*<p>(.-)</p>%s*$", function(inner)
    return not inner:find("<p>", 1, true) and inner or nil
  end))
end

-- A long name may go on in the next line.
local function breakable(text) return (text:gsub("[._|=]%f[%w{%[]", "%0<wbr>")) end

function Writer:type(name)
  return "<code>" .. breakable(escape(name)):gsub("catalog%.<wbr>[%w_.]+", function(class)
    local place = self.site.places[class:gsub("<wbr>", "")]
    return place and ('<a href="%s">%s</a>'):format(html.relative(self.here, place), class) or nil
  end) .. "</code>"
end

local function with_commas(digits)
  local text = digits
  while true do
    local more, count = text:gsub("^(%d+)(%d%d%d)", "%1,%2")
    if count == 0 then return text end
    text = more
  end
end

-- A default: a value as code, else a text.
function Writer:default(option)
  local default = option.default
  if not default then return option.optional and "none" or "<strong>required</strong>" end
  if default:find "^%d+$" then return ("<code>%s</code>"):format(with_commas(default)) end
  if default == "none" or default:find "[%s`]" then return self:inline(default) end
  return ("<code>%s</code>"):format(escape(default))
end

local function table_of(heads, rows)
  local lines = { '<div class="table" tabindex="0"><table>\n<thead><tr>' }
  for _, head in ipairs(heads) do lines[#lines + 1] = ('<th scope="col">%s</th>'):format(head) end
  lines[#lines + 1] = "</tr></thead>\n<tbody>"
  for _, row in ipairs(rows) do lines[#lines + 1] = "\n" .. row end
  lines[#lines + 1] = "\n</tbody></table></div>\n"
  return table.concat(lines)
end

function Writer:parameters(item)
  if not item.parameters[1] then return "" end
  local rows = {}
  for i, parameter in ipairs(item.parameters) do
    local text = self:inline(parameter.text)
    if parameter.optional then
      text = (parameter.default and ("default %s; "):format(self:default(parameter)) or "optional; ") .. text
    end
    rows[i] = ("<tr><th scope=\"row\"><code>%s</code></th><td>%s</td><td>%s</td></tr>"):format(parameter.name,
      self:type(parameter.type), (text:gsub("; $", "")))
  end
  return "<h3>Parameters</h3>\n" .. table_of({ "Name", "Type", "Meaning" }, rows)
end

function Writer:options(item, parameter)
  local rows = {}
  for i, option in ipairs(parameter.options) do
    rows[i] = ('<tr id="%s.%s"><th scope="row"><code>%s</code></th><td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>')
      :format(item.anchor, option.name, breakable(option.name), self:type(option.type), self:default(option),
        option.unit or "", self:inline(option.text))
  end
  return ("<h3>Options in <code>%s</code></h3>\n"):format(parameter.name)
    .. table_of({ "Option", "Type", "Default", "Unit", "Meaning" }, rows)
end

function Writer:fields()
  if not self.page.fields or not self.page.fields[1] then return "" end
  local rows = {}
  for i, field in ipairs(self.page.fields) do
    rows[i] = ('<tr id="%s"><th scope="row"><code>%s</code></th><td>%s%s</td><td>%s</td></tr>'):format(field.name,
      field.name, self:type(field.type), field.optional and " or <code>nil</code>" or "", self:inline(field.text))
  end
  return "<h2>Fields</h2>\n" .. table_of({ "Field", "Type", "Meaning" }, rows)
end

function Writer:results(item)
  if not item.results[1] then return "" end
  local lines = { "<h3>Returns</h3>" }
  for i, kind in ipairs(item.results) do
    if i > 1 then lines[#lines + 1] = kind[1].type == "nil" and "<p>or, if not:</p>" or "<p>or:</p>" end
    lines[#lines + 1] = "<ol>"
    for _, value in ipairs(kind) do
      lines[#lines + 1] = ("<li>%s%s %s</li>"):format(self:type(reference.type_of(value)),
        value.optional and " or <code>nil</code>" or "", self:inline(value.text))
    end
    lines[#lines + 1] = "</ol>"
  end
  return table.concat(lines, "\n") .. "\n"
end

function Writer:item(item)
  local source = html.relative(self.here, links.place(item.path)) .. "#L" .. item.line
  local parts = {
    ('<section><h2 id="%s"><code>%s</code></h2>\n'):format(item.anchor, escape(reference.signature(item))),
    self:prose(item.text), self:parameters(item),
  }
  for _, parameter in ipairs(item.parameters) do
    if parameter.options then parts[#parts + 1] = self:options(item, parameter) end
  end
  parts[#parts + 1] = self:results(item)
  if item.raises then parts[#parts + 1] = "<h3>Raises</h3>\n<p>" .. self:inline(item.raises) .. "</p>\n" end
  for _, usage in ipairs(item.usage) do
    parts[#parts + 1] = "<h3>Example</h3>\n" .. self.site.code(usage:gsub("%s+$", ""), "lua")
  end
  parts[#parts + 1] = ('<p class="source"><a href="%s">%s, line %d</a></p></section>\n'):format(source, item.path,
    item.line)
  return table.concat(parts)
end

-- What is on the page, in a line each.
function Writer:contents()
  local rows = {}
  for i, item in ipairs(self.page.items) do
    local first = markdown.first_sentence(self.site.rendered[item.text])
    rows[i] = ('<tr><th scope="row"><a href="#%s"><code>%s</code></a></th><td>%s</td></tr>'):format(item.anchor,
      escape(item.name), escape(first))
  end
  return #rows > 1 and table_of({ "Name", "What it does" }, rows) or ""
end

local NOTE <const> = "<p class=\"note\">Internal: for who changes the module. It may be another thing tomorrow.</p>\n"

--- The body of a page.
-- @tparam table site `places`, `rendered`, `code`, `reference`
-- @tparam table page
-- @tparam boolean is_public
-- @treturn string HTML
function reference.body(site, page, is_public)
  local writer = setmetatable({ site = site, page = page, here = reference.place(page, is_public) }, Writer)
  local parts = { ("<h1><code>%s</code></h1>\n"):format(escape(page.name)), is_public and "" or NOTE,
    writer:prose(page.text), writer:fields(), writer:contents() }
  for _, item in ipairs(page.items) do parts[#parts + 1] = writer:item(item) end
  return table.concat(parts)
end

--- What search knows of a page: entries of a title, where, a path and a text.
-- @tparam table site
-- @tparam table page
-- @treturn {table,...}
function reference.entries(site, page)
  local path, list = reference.place(page, true), {}
  list[1] = { page.name, "Reference", path, markdown.plain(site.rendered[page.text] or "") }
  for _, field in ipairs(page.fields or {}) do
    list[#list + 1] = { page.name .. "." .. field.name, "Reference", path .. "#" .. field.name,
      markdown.plain(site.rendered[field.text] or "") }
  end
  for _, item in ipairs(page.items) do
    list[#list + 1] = { item.full, "Reference", path .. "#" .. item.anchor,
      markdown.plain(site.rendered[item.text] or "") }
    for _, parameter in ipairs(item.parameters) do
      for _, option in ipairs(parameter.options or {}) do
        list[#list + 1] = { option.name, "option of " .. item.full, path .. "#" .. item.anchor .. "." .. option.name,
          markdown.plain(site.rendered[option.text] or "") }
      end
    end
  end
  return list
end

return reference
