--- Makes the site: `lua build.lua OUTPUT REFERENCE`, in the root of the repository. REFERENCE is what `dump` has
-- written.
package.path = "./?.lua;" .. package.path

local guide = require "docs.site.guide"
local highlight = require "docs.site.highlight"
local html = require "docs.site.html"
local links = require "docs.site.links"
local markdown = require "docs.site.markdown"
local model = require "docs.site.model"
local reference = require "docs.site.reference"

local output, dumped = arg[1], arg[2]

local function write(path, text)
  local file = io.open(output .. "/" .. path, "wb")
  if not file then
    assert(os.execute(("mkdir -p '%s'"):format((output .. "/" .. path):match "^(.*)/")))
    file = assert(io.open(output .. "/" .. path, "wb"))
  end
  assert(file:write(text))
  assert(file:close())
end

local function code(text, language)
  return ('<pre tabindex="0"><code>%s</code></pre>\n'):format(highlight(text, language))
end

-- A text of JSON, which is one of JavaScript as well.
local function quoted(text)
  return '"' .. text:gsub('[%c"\\<]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
end

local function new_site()
  local root = io.popen("pwd"):read "l" .. "/"
  local site = {
    version = dofile "lua/catalog/base/version.lua", reference = model.read(dumped, root), pages = guide.read(),
    code = code, places = {}, targets = {}, entries = {},
  }
  for _, kind in ipairs { "internal", "public" } do
    for _, page in ipairs(site.reference[kind]) do
      local place = reference.place(page, kind == "public")
      site.places[page.name] = place
      for _, item in ipairs(page.items) do site.places[item.full] = place .. "#" .. item.anchor end
    end
  end
  local texts, seen = {}, {}
  local function take(text)
    if text ~= "" and not seen[text] then texts[#texts + 1], seen[text] = text, true end
  end
  reference.texts(site.reference, take)
  for _, page in ipairs(site.pages) do take(page.text) end
  site.rendered = markdown.render(texts)
  return site
end

-- The navigation: of the guide and what belongs to it, or of the reference.
local function guide_nav(site, from)
  local parts, heads = {}, { guide = "Guide", more = "Background", project = "Project" }
  for _, kind in ipairs { "guide", "more", "project" } do
    local entries = {}
    for _, page in ipairs(site.pages) do
      if page.kind == kind then
        entries[#entries + 1] = { path = page.path, title = page.title, below = guide.below(page) }
      end
    end
    if entries[1] then parts[#parts + 1] = ("<h2>%s</h2>\n%s"):format(heads[kind], html.list(from, entries)) end
  end
  return table.concat(parts)
end

local function reference_nav(site, from)
  local entries = { { path = "reference/index.html", title = "Overview" } }
  for _, page in ipairs(site.reference.public) do
    local below, place = {}, reference.place(page, true)
    for i, item in ipairs(page.items) do below[i] = { path = place .. "#" .. item.anchor, title = item.name } end
    entries[#entries + 1] = { path = place, title = page.name, below = below }
  end
  entries[#entries + 1] = { path = "reference/internal/index.html", title = "Internal" }
  return "<h2>Reference</h2>\n" .. html.list(from, entries)
end

local function publish(site, page) write(page.path, html.page(page, site)) end

local function add_entries(site, list)
  for _, entry in ipairs(list) do site.entries[#site.entries + 1] = entry end
end

local function publish_guide(site)
  for _, page in ipairs(site.pages) do guide.finish(site, page) end
  for _, page in ipairs(site.pages) do
    page.nav = guide_nav(site, page.path)
    publish(site, page)
    add_entries(site, guide.entries(page))
  end
end

local function index_of(site, path, pages, title, text)
  local rows = {}
  for i, page in ipairs(pages) do
    rows[i] = ('<tr><th scope="row"><a href="%s"><code>%s</code></a></th><td>%s</td></tr>'):format(
      html.relative(path, site.places[page.name]), html.escape(page.name),
      html.escape(markdown.first_sentence(site.rendered[page.text])))
  end
  publish(site, {
    path = path, title = title, nav = reference_nav(site, path),
    body = ('<h1>%s</h1>\n<p>%s</p>\n<div class="table" tabindex="0"><table><thead><tr><th scope="col">Page</th>'
      .. '<th scope="col">About</th></tr></thead><tbody>\n%s\n</tbody></table></div>\n'):format(title, text,
      table.concat(rows, "\n")),
  })
end

local function publish_reference(site)
  for _, kind in ipairs { "public", "internal" } do
    for _, page in ipairs(site.reference[kind]) do
      local is_public, path = kind == "public", reference.place(page, kind == "public")
      publish(site, {
        path = path, title = page.name, nav = reference_nav(site, path), body = reference.body(site, page, is_public),
      })
      for _, item in ipairs(page.items) do site.targets[item.path] = true end
      if is_public then add_entries(site, reference.entries(site, page)) end
    end
  end
  index_of(site, "reference/index.html", site.reference.public, "Reference",
    "What a program uses: the module and what its calls give. Made from the sources of version " .. site.version
    .. ". <code>fun():T</code> is a function that gives a T each time it is called. The standard functions are in "
    .. "<a href=\"https://www.lua.org/manual/5.4/\">Lua 5.4's manual</a>.")
  local public = {}
  for _, page in ipairs(site.reference.public) do public[page.name] = true end
  local inner = {}
  for _, page in ipairs(site.reference.internal) do
    if not public[page.name] then inner[#inner + 1] = page end
  end
  index_of(site, "reference/internal/index.html", inner, "Internal",
    "For who changes the module: what its files give one another. All of it may be another thing tomorrow.")
end

-- The files that pages link to and that are no pages.
local function publish_sources(site)
  local done, more = {}, true
  while more do
    more = false
    local paths = {}
    for path in pairs(site.targets) do paths[#paths + 1] = path end
    for _, path in ipairs(paths) do
      local place = links.place(path)
      if not done[path] and place:find "^source/" then
        done[path], more = true, true
        local body = guide.source(path, site)
        if body then publish(site, { path = place, title = path, body = body }) end
      end
    end
  end
end

local function publish_search(site)
  local lines = {}
  for i, entry in ipairs(site.entries) do
    lines[i] = ("[%s,%s,%s,%s]"):format(quoted(entry[1]), quoted(entry[2]), quoted(entry[3]), quoted(entry[4]))
  end
  write("search-index.js", '"use strict";\nconst SEARCH = [\n' .. table.concat(lines, ",\n") .. "\n];\n")
  publish(site, {
    path = "search.html", title = "Search", body = [[
<h1>Search</h1>
<form><input type="search" name="q" aria-label="Words to search for" autocomplete="off"></form>
<noscript><p>The search is a script of this page, which needs JavaScript.</p></noscript>
<p id="status" role="status"></p>
<ol id="results"></ol>
<script src="search-index.js"></script>
<script src="search.js"></script>]],
  })
end

local site = new_site()
publish_guide(site)
publish_reference(site)
publish_sources(site)
publish_search(site)
assert(os.execute(("cp docs/site/style.css docs/site/search.js docs/site/keys.js '%s'"):format(output)))
assert(os.execute(("if [ -d docs/pictures ]; then cp -r docs/pictures '%s'; fi"):format(output)))
