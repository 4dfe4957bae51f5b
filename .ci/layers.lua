-- Checks the layers of the house: a file uses its own layer and those below it, never one above; and no two files use
-- each other, be it by way of others. `make check` runs it from the repository's root.

-- From the top to the ground. A file that stands in no folder of a layer is named.
local LUA_LAYERS <const> = {
  "catalog/cli/", "catalog/emulator%.lua", "catalog/emulator/", "catalog/serve/", "catalog%.lua", "catalog/drain/",
  "catalog/sink/", "catalog/stream/", "catalog/ingest/", "catalog/query/", "catalog/batch/", "catalog/client/",
  "catalog/loop/", "catalog/scheduler/", "catalog/base/",
}
-- What csrc/ has in folders is above what lies in it.
local C_LAYERS <const> = { "httpd/", "kafka/", "" }

local function lines_of(command)
  local lines, pipe <close> = {}, assert(io.popen(command))
  for line in pipe:lines() do lines[#lines + 1] = line end
  return lines
end

local function text_of(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function layer_of(name, layers)
  for number, pattern in ipairs(layers) do
    if name:find("^" .. pattern) then return number end
  end
end

local OF_C <const> = { ["catalog.core"] = true, ["catalog.httpd"] = true, ["catalog.kafka"] = true }

-- Which files a Lua file requires, now or later. What is of C is below all of them.
local function required(text)
  local uses = {}
  for module in text:gsub("%-%-[^\n]*", ""):gmatch "require%s*%(?%s*[\"'](catalog[%w_.]*)[\"']" do
    if not OF_C[module] then uses[module:gsub("%.", "/") .. ".lua"] = true end
  end
  return uses
end

-- Which parts a C file includes: a part is a name, with .c or .h or both.
local function included(text, folder)
  local uses = {}
  for header in text:gmatch '#include "([^"]+)%.h"' do
    local path = (folder .. header):gsub("[^/]+/%.%./", "")
    uses[path] = true
  end
  return uses
end

local function lua_files()
  local graph = {}
  for _, path in ipairs(lines_of "cd lua && find . -name '*.lua' | sort") do
    local name = path:sub(3)
    graph[name] = required(text_of("lua/" .. name))
  end
  return graph
end

local function c_files()
  local graph = {}
  for _, path in ipairs(lines_of "cd csrc && find . -name '*.[ch]' | sort") do
    local name = path:sub(3):gsub("%.[ch]$", "")
    graph[name] = graph[name] or {}
    for used in pairs(included(text_of("csrc/" .. path:sub(3)), name:match "^.*/" or "")) do
      if used ~= name then graph[name][used] = true end
    end
  end
  return graph
end

local faults = 0

local function complain(...)
  faults = faults + 1
  io.stderr:write(string.format(...), "\n")
end

local function sorted(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

local function check_layers(graph, layers)
  for _, name in ipairs(sorted(graph)) do
    local own = layer_of(name, layers)
    if not own then complain("%s is in no layer", name) end
    for _, used in ipairs(sorted(graph[name])) do
      local other = graph[used] and layer_of(used, layers)
      if not graph[used] then complain("%s uses %s, which is not there", name, used) end
      if own and other and other < own then complain("%s uses %s, which is in a layer above", name, used) end
    end
  end
end

local function place_of(list, wanted)
  for number, name in ipairs(list) do
    if name == wanted then return number end
  end
end

local function check_circles(graph)
  local state, path = {}, {}
  local function visit(name)
    state[name] = "open"
    path[#path + 1] = name
    for _, used in ipairs(sorted(graph[name] or {})) do
      if state[used] == "open" then
        complain("a circle: %s -> %s", table.concat(path, " -> ", place_of(path, used)), used)
      elseif not state[used] then
        visit(used)
      end
    end
    path[#path] = nil
    state[name] = "done"
  end
  for _, name in ipairs(sorted(graph)) do
    if not state[name] then visit(name) end
  end
end

local lua_graph, c_graph = lua_files(), c_files()
check_layers(lua_graph, LUA_LAYERS)
check_layers(c_graph, C_LAYERS)
check_circles(lua_graph)
check_circles(c_graph)
os.exit(faults == 0)
