--- What all pages have in common.
local html = {}

--- Escapes text.
-- @tparam string text
-- @treturn string
function html.escape(text)
  return (text:gsub("[&<>\"]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }))
end

--- The way from one page to another.
-- @tparam string from a path below the root of the site
-- @tparam string to likewise; may have an anchor
-- @treturn string
function html.relative(from, to)
  if to:sub(1, 1) == "#" then return to end
  local here, there = {}, {}
  for part in from:gmatch "([^/]*)/" do here[#here + 1] = part end
  for part in to:gmatch "([^/]*)/" do there[#there + 1] = part end
  local same = 0
  while here[same + 1] and here[same + 1] == there[same + 1] do same = same + 1 end
  local up = ("../"):rep(#here - same)
  for i = same + 1, #there do up = up .. there[i] .. "/" end
  return up .. to:match "[^/]*$"
end

--- A page.
-- @tparam table page `path`, `title`, `body`, `nav` (the HTML of the navigation at its side; nil: none)
-- @tparam table site `version`
-- @treturn string
function html.page(page, site)
  local function to(path) return html.relative(page.path, path) end
  local title = page.title == "catalog" and "catalog: data into Adobe Experience Platform" or page.title .. " - catalog"
  return ([[
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>%s</title>
<link rel="stylesheet" href="%s">
<link rel="icon" href="data:,">
<script defer src="%s"></script>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header>
<a class="brand" href="%s">catalog</a> <span class="version">%s</span>
<nav aria-label="Site">
<a href="%s">Guide</a>
<a href="%s">Reference</a>
<a href="https://www.lua.org/manual/5.4/">Lua 5.4 manual</a>
</nav>
<form role="search" action="%s"><input type="search" name="q" aria-label="Search the documentation"
 placeholder="Search ( / )" autocomplete="off"></form>
</header>
<div class="columns">
%s<main id="content" tabindex="-1">
%s
</main>
</div>
<footer>catalog %s. <a href="%s">Home</a></footer>
</body>
</html>
]]):format(html.escape(title), to "style.css", to "keys.js", to "index.html", site.version, to "guide/index.html",
    to "reference/index.html", to "search.html",
    page.nav and ('<nav class="side" aria-label="Pages">\n%s</nav>\n'):format(page.nav) or "", page.body, site.version,
    to "index.html")
end

--- A list of links, of which that to the page itself is marked.
-- @tparam string from the path of the page
-- @tparam {table,...} entries each `path` and `title`, and perhaps `below`, a list of them
-- @treturn string
function html.list(from, entries)
  local lines = { "<ul>" }
  for _, entry in ipairs(entries) do
    local is_here = entry.path == from
    lines[#lines + 1] = ('<li><a href="%s"%s>%s</a>%s</li>'):format(html.relative(from, entry.path),
      is_here and ' aria-current="page"' or "", html.escape(entry.title),
      is_here and entry.below and entry.below[1] and html.list(from, entry.below) or "")
  end
  lines[#lines + 1] = "</ul>\n"
  return table.concat(lines, "\n")
end

return html
