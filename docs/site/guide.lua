--- The pages that are markdown in the repository: the README, the guide, and what else is in docs.
local html = require "docs.site.html"
local links = require "docs.site.links"
local markdown = require "docs.site.markdown"

local guide = {}

-- The pages at the end of a site, by their names in the repository; the others in docs come before them.
local PROJECT <const> = { "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "THIRD_PARTY.md", "CODE_OF_CONDUCT.md" }

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a"
end

local function paths_in(directory)
  local pipe <close> = assert(io.popen(("ls %s/*.md"):format(directory)))
  local list = {}
  for path in pipe:lines() do list[#list + 1] = path end
  return list
end

-- Those that the first page of the guide links to, in its order, and then the others.
local function ordered(paths)
  local is_there, list = {}, {}
  for _, path in ipairs(paths) do is_there[path] = true end
  local function take(path)
    if is_there[path] then list[#list + 1], is_there[path] = path, nil end
  end
  take "docs/guide/index.md"
  for link in read "docs/guide/index.md":gmatch "%]%(([^)#]*)" do take(links.resolve("docs/guide/index.md", link)) end
  for _, path in ipairs(paths) do take(path) end
  return list
end

-- A heading of the text of a page gets an anchor.
local function with_anchors(body, page)
  local seen = {}
  page.sections = {}
  return (body:gsub("<h(%d)>(.-)</h%d>", function(level, inner)
    local shown = markdown.plain(inner)
    local slug = markdown.slug(shown)
    seen[slug] = (seen[slug] or -1) + 1
    if seen[slug] > 0 then slug = slug .. "-" .. seen[slug] end
    if level == "1" then page.title = page.title or shown end
    page.sections[#page.sections + 1] = { level = tonumber(level), title = shown, slug = slug }
    return ('<h%s id="%s">%s</h%s>'):format(level, slug, inner, level)
  end))
end

-- What a reader without eyes needs of a table, and who has no mouse of a wide one.
local function with_tables(body)
  return (body:gsub("<table>", '<div class="table" tabindex="0"><table>'):gsub("</table>", "</table></div>")
    :gsub("<th([^>]*)></th>", "<td%1></td>"):gsub("<th([ >])", '<th scope="col"%1'):gsub('align="%a+"', ""))
end

local function with_code(body, code)
  local function unescape(text)
    return text:gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&quot;", '"'):gsub("&amp;", "&"):gsub("\n$", "")
  end
  return (body:gsub('<pre><code class="language%-(%w+)">(.-)</code></pre>', function(language, text)
    return code((unescape(text)), language)
  end):gsub("<pre><code>(.-)</code></pre>", function(text) return code((unescape(text)), "text") end))
end

--- Reads the pages.
-- @treturn {table,...} each `file` (in the repository), `path` (on the site), `text` (markdown), `kind` (`home`,
--   `guide`, `more` or `project`)
function guide.read()
  local pages = {}
  local function add(file, kind)
    local text = read(file)
    if text then pages[#pages + 1] = { file = file, path = links.place(file), text = text, kind = kind } end
  end
  add("README.md", "home")
  for _, file in ipairs(ordered(paths_in "docs/guide")) do add(file, "guide") end
  for _, file in ipairs(paths_in "docs") do add(file, "more") end
  for _, file in ipairs(PROJECT) do add(file, "project") end
  return pages
end

--- Makes the body of a page from its HTML.
-- @tparam table site `rendered`, `code`, `targets`
-- @tparam table page gets `title`, `sections` and `body`
function guide.finish(site, page)
  local body = with_code(with_tables(with_anchors(site.rendered[page.text], page)), site.code)
  page.title = page.title or page.file
  page.body = links.names(links.lead(body, page.file, site.targets), site, page.path)
end

--- What search knows of a page: an entry for each section.
-- @tparam table page that is finished
-- @treturn {table,...}
function guide.entries(page)
  local list, at = {}, 1
  for i, section in ipairs(page.sections) do
    local first = page.body:find('<h%d id="' .. section.slug:gsub("%p", "%%%0") .. '">', at) or at
    local following = page.sections[i + 1]
    local last = following and page.body:find('<h%d id="' .. following.slug:gsub("%p", "%%%0") .. '">', first + 1)
    local text = markdown.plain(page.body:sub(first, (last or #page.body + 1) - 1):gsub("^<h%d.-</h%d>", ""))
    list[i] = { section.title, section.level > 1 and page.title or "", page.path .. "#" .. section.slug, text }
    at = first
  end
  return list
end

--- The sections below the title of a page, for the navigation.
-- @tparam table page
-- @treturn {table,...}
function guide.below(page)
  local list = {}
  for _, section in ipairs(page.sections) do
    if section.level == 2 then list[#list + 1] = { path = page.path .. "#" .. section.slug, title = section.title } end
  end
  return list
end

--- A page that shows a file as it is, or what is in a directory.
-- @tparam string path in the repository
-- @tparam table site `code`, `targets`
-- @treturn ?string HTML; nil: there is no such thing
function guide.source(path, site)
  local pipe <close> = assert(io.popen(("test -d '%s' && cd '%s' && ls"):format(path, path)))
  local names = {}
  for name in pipe:lines() do names[#names + 1] = name end
  local parts = { ("<h1><code>%s</code></h1>\n"):format(html.escape(path)) }
  if names[1] then
    parts[2] = "<ul>"
    for _, name in ipairs(names) do
      local file = path .. "/" .. name
      site.targets[file] = true
      parts[#parts + 1] = ('<li><a href="%s">%s</a></li>'):format(
        html.relative(links.place(path), links.place(file)), html.escape(name))
    end
    return table.concat(parts, "\n") .. "</ul>"
  end
  local text = read(path)
  if not text then return nil end
  local number = 0
  local lines = site.code(text:gsub("\n$", ""), path:find "%.lua$" and "lua" or "text"):gsub("\n", "\n\0")
  lines = lines:gsub("<code>", "<code>\0", 1):gsub("%z", function()
    number = number + 1
    return ('<span id="L%d"></span>'):format(number)
  end)
  return parts[1] .. lines
end

return guide
