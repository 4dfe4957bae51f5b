--- Links within the site: where files of the repository are on it, and names in texts that are in the reference.
local html = require "docs.site.html"

local links = {}

local MANUAL <const> = "https://www.lua.org/manual/5.4/manual.html#"

-- What of Lua's own is linked beside the functions of its libraries; other names are fields of ours as well.
local BASIC <const> = { warn = true, require = true, pcall = true, tostring = true, collectgarbage = true }

--- Where a file of the repository is on the site. Files that are no page are shown as they are.
-- @tparam string path in the repository
-- @treturn string path on the site
function links.place(path)
  if path == "README.md" then return "index.html" end
  local docs = path:match "^docs/(.*)%.md$"
  if docs then return docs .. ".html" end
  if path:find "^[^/]*%.md$" then return (path:lower():gsub("%.md$", ".html")) end
  if path:find "^docs/pictures/" then return (path:gsub("^docs/", "")) end
  return "source/" .. path .. ".html"
end

--- The path that a link in a file leads to.
-- @tparam string from the file
-- @tparam string target as it is written, without an anchor
-- @treturn ?string nil: it leads out of where the files are
function links.resolve(from, target)
  local parts = {}
  for part in (from:match "^(.*/)[^/]*$" or ""):gmatch "[^/]+" do parts[#parts + 1] = part end
  for part in target:gmatch "[^/]+" do
    if part == ".." and #parts == 0 then return nil end
    if part == ".." then parts[#parts] = nil elseif part ~= "." then parts[#parts + 1] = part end
  end
  return table.concat(parts, "/")
end

--- Leads the links of a page of the repository to where their targets are on the site.
-- @tparam string text HTML
-- @tparam string path the page, in the repository
-- @tparam table targets gets each file of the repository that is linked to, as a key
-- @treturn string
function links.lead(text, path, targets)
  local here = links.place(path)
  return (text:gsub('( [hs][rc][ec]f?=")([^"]*)"', function(attribute, link)
    local target, anchor = link:match "^([^#]*)(.*)$"
    if target == "" or target:find "^%a[%w+.-]*:" then return nil end
    local file = assert(links.resolve(path, target), link)
    targets[file] = true
    return attribute .. html.relative(here, links.place(file)) .. anchor .. '"'
  end))
end

local function manual_link(name)
  local library, member = name:match "^(%l[%w]*)%.(%l%w*)$"
  if library and type(_G[library]) == "table" and _G[library][member] then return MANUAL .. "pdf-" .. name end
  if BASIC[name] then return MANUAL .. "pdf-" .. name end
  if name == "<close>" or name == "&lt;close&gt;" then return MANUAL .. "3.3.8" end
end

-- The item that a text in code means: `catalog.client:ingest`, `client:ingest{ ... }`, or `ingest` on its own page.
local function item_of(text, reference, page)
  local name = text:gsub("%s*[%(%{].*$", "")
  if reference.by_name[name] then return reference.by_name[name] end
  local class, method = name:match "^(%l+):([%w_]+)$"
  local item = class and reference.by_name[("catalog.%s:%s"):format(class, method)]
  if item or not page then return item end
  return reference.by_name[page .. ":" .. name] or reference.by_name[page .. "." .. name]
end

local function link_of(text, site, here, page)
  if text == "catalog" then return nil end -- the program, as often
  local item = item_of(text, site.reference, page)
  if item and site.places[item.full] then return html.relative(here, site.places[item.full]) end
  local class = site.places[text]
  return class and html.relative(here, class) or manual_link(text)
end

--- Links the names of the reference, and of Lua, that are shown as code.
-- @tparam string text HTML
-- @tparam table site `reference`; `places`, name -> path on the site
-- @tparam string here path of the page on the site
-- @tparam[opt] string page the name of the page of the reference, whose own names are known
-- @treturn string
function links.names(text, site, here, page)
  local parts, at = {}, 1
  local function keep(first, last) parts[#parts + 1] = text:sub(first, last) end
  while true do
    local first = text:find("<[ahpc]", at)
    if not first then break end
    keep(at, first - 1)
    local tag = text:match("^<(%w+)", first)
    local last = select(2, text:find("</" .. tag .. ">", first, true)) or first
    if tag == "code" then
      local code = text:sub(first, last)
      local link = link_of(code:match "^<code>(.*)</code>$" or "", site, here, page)
      parts[#parts + 1] = link and ('<a href="%s">%s</a>'):format(link, code) or code
    elseif tag == "a" or tag == "pre" or tag:find "^h%d$" then
      keep(first, last)
    else
      last = first
      keep(first, first)
    end
    at = last + 1
  end
  keep(at, #text)
  return table.concat(parts)
end

return links
