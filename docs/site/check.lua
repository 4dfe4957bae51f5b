--- Checks the links of the site: `lua check.lua OUTPUT`. Prints those that lead nowhere, and fails then. What is beyond
-- the site is not asked for.
package.path = "./?.lua;" .. package.path

local links = require "docs.site.links"

local root = arg[1]

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function files_of(name)
  local pipe <close> = assert(io.popen(("cd '%s' && find . -type f -name '%s' | sort"):format(root, name)))
  local list = {}
  for path in pipe:lines() do list[#list + 1] = path:sub(3) end
  return list
end

local is_there, anchors, faults, count = {}, {}, {}, 0

local function blame(path, text, ...) faults[#faults + 1] = path .. ": " .. text:format(...) end

for _, path in ipairs(files_of "*") do is_there[path] = true end
for _, path in ipairs(files_of "*.html") do
  anchors[path] = {}
  for id in read(root .. "/" .. path):gmatch ' id="([^"]*)"' do
    if anchors[path][id] then blame(path, "the id %s is there twice", id) end
    anchors[path][id] = true
  end
end

local function check(path, link)
  local scheme = link:match "^(%a[%w+.-]*):"
  if scheme then
    if scheme ~= "https" and scheme ~= "mailto" and link ~= "data:," then blame(path, "%s is not https", link) end
    return
  end
  count = count + 1
  local target, anchor = link:match "^([^#?]*)%??[^#]*#?(.*)$"
  local place = target == "" and path or links.resolve(path, target)
  if not place or not is_there[place] then return blame(path, "%s is not there", link) end
  local known = anchors[place]
  if anchor ~= "" and not (known and known[anchor]) then blame(path, "%s has no such place", link) end
end

for path in pairs(anchors) do
  local text = read(root .. "/" .. path):gsub("<pre.->.-</pre>", "")
  for _, attribute in ipairs { "href", "src", "action" } do
    for link in text:gmatch("[%s]" .. attribute .. '="([^"]*)"') do check(path, link) end
  end
end
for link in read(root .. "/search-index.js"):gmatch '\n%["[^\n]-","[^"]-","([^"]-)"' do check("search.html", link) end

table.sort(faults)
for _, fault in ipairs(faults) do print(fault) end
print(("%d links, %d of them lead nowhere or are wrong"):format(count, #faults))
os.exit(#faults == 0)
