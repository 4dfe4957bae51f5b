--- Markdown into HTML, by GitHub's own renderer, since that is where the pages are read as well. It is called once for
-- all texts.
local markdown = {}

local CUT <const> = "\n\n<!--cut-->\n\n"

-- What one call of the program makes of a text.
local function run(text)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
  -- --unsafe keeps the marks between the texts
  local pipe = assert(io.popen(("cmark-gfm --unsafe -e table -e autolink '%s'"):format(path)))
  local html = pipe:read "a"
  assert(pipe:close(), "cmark-gfm failed")
  os.remove(path)
  return html
end

--- Renders many texts.
-- @tparam {string,...} texts
-- @treturn {[string]=string,...} the HTML of each
function markdown.render(texts)
  local html, count = {}, 0
  for piece in (run(table.concat(texts, CUT)) .. "<!--cut-->"):gmatch "(.-)\n?<!%-%-cut%-%->\n?" do
    count = count + 1
    html[texts[count] or ""] = piece
  end
  assert(count == #texts, "a text leaves something open")
  return html
end

--- What is shown of HTML, as plain text.
-- @tparam string html
-- @treturn string
function markdown.plain(html)
  local text = html:gsub("<[^>]*>", ""):gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&quot;", '"'):gsub("&amp;", "&")
  return (text:gsub("%s+", " "):match "^%s*(.-)%s*$")
end

--- The first sentence of a text.
-- @tparam ?string html
-- @treturn string
function markdown.first_sentence(html) return markdown.plain(html or ""):match "^.-%.%f[%s\0]" or "" end

--- The anchor of a heading, as GitHub makes it.
-- @tparam string text what is shown
-- @treturn string
function markdown.slug(text)
  return (text:lower():gsub("[^%w%s_\x80-\xff-]", ""):gsub("%s", "-"))
end

return markdown
