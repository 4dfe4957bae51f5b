-- The pages of the documentation: their fenced blocks, their headings, their links.
local shell = require "support.shell"

local pages = {}

--- The paths of all pages, the README first.
function pages.list()
  local list = {}
  for path in shell.run "ls README.md; ls [A-Z]*.md | grep -v README; find docs -name '*.md' | sort":gmatch "[^\n]+" do
    list[#list + 1] = path
  end
  return list
end

-- What a comment above a block says of it, such as `<!-- file: fix.lua -->`.
local function directive(text)
  local name, value = text:match "^<!%-%- (%w+): (.-) %-%->$"
  return name, value
end

--- The fenced blocks of a page, in order: `language`, `text`, `line` (of its fence), `first` (its first line), and what
-- a comment right above says, such as `file`.
function pages.blocks(text)
  local blocks, block, said, number = {}, nil, {}, 0
  for line in (text .. "\n"):gmatch "(.-)\n" do
    number = number + 1
    local language = line:match "^```(.*)$"
    local name, value = directive(line)
    if language and block then
      block.first, block, said = block.text:match "^[^\n]*", nil, {}
    elseif language then
      block = { language = language, text = "", line = number }
      for key, what in pairs(said) do block[key] = what end
      blocks[#blocks + 1] = block
    elseif block then
      block.text = block.text .. line .. "\n"
    elseif name then
      said[name] = value
    elseif line ~= "" then
      said = {}
    end
  end
  assert(not block, "a fence is left open")
  return blocks
end

--- A page without its fenced blocks and comments.
function pages.prose(text)
  return (("\n" .. text):gsub("\n```.-\n```", ""):gsub("<!%-%-.-%-%->", ""))
end

-- What a heading is called in a link, as GitHub makes it.
local function slug(heading)
  local plain = heading:lower():gsub("%[(.-)%]%(.-%)", "%1"):gsub("`", ""):gsub("[^%w%s_-]", "")
  return (plain:gsub("%s", "-"))
end

--- The anchors of a page, a set.
function pages.anchors(text)
  local anchors, seen = {}, {}
  for heading in pages.prose(text):gmatch "\n#+ +([^\n]+)" do
    local name = slug(heading)
    anchors[seen[name] and ("%s-%d"):format(name, seen[name]) or name] = true
    seen[name] = (seen[name] or 0) + 1
  end
  for name in text:gmatch '<a id="([%w_-]+)">' do anchors[name] = true end
  return anchors
end

--- The targets of the links of a page, pictures among them.
function pages.links(text)
  local links = {}
  local prose = pages.prose(text):gsub("`[^`\n]*`", "")
  for target in prose:gmatch "%]%(([^%s%)]+)%)" do links[#links + 1] = target end
  return links
end

return pages
