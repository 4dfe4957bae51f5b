-- Makes one file of many: what `make bundle` runs.
--
--   lua5.4 csrc/bundle.lua TARGET ROOT FILE...
--
-- Each FILE is below ROOT, as a module is below an entry of package.path: ROOT/catalog/client.lua is the module
-- catalog.client. The bundle puts all into package.preload, where `require` looks first, and returns the first. It
-- keeps them as text under the names of their files, so that an error tells the file and the line in the repository.
-- None is compiled before it is required, so what one requires in its turn (an event loop) need not be there.

local HEAD <const> = [=[
-- Made by `make bundle`. Run it, and it returns the module; from then on `require` finds all of its parts.
local function add(name, file, text)
  package.preload[name] = function(...)
    return assert(load(text, "@" .. file, "t"))(...)
  end
end
]=]

-- Text as a long string, whatever is in it and at its end. The line break at its beginning is not part of it.
local function quote(text)
  local level = ""
  while (text .. "]"):find("]" .. level .. "]", 1, true) do level = level .. "=" end
  return ("[%s[\n%s]%s]"):format(level, text, level)
end

local function read(path)
  assert(loadfile(path, "t")) -- what does not compile ends the build, not the program it gets into
  local file <close> = assert(io.open(path, "rb"))
  return assert(file:read "a")
end

local function bundle(root, paths)
  local parts, first = { HEAD }, nil
  for _, path in ipairs(paths) do
    assert(path:sub(1, #root + 1) == root .. "/", path .. " is not below " .. root)
    local file = path:sub(#root + 2)
    local name = assert(file:match "^(.+)%.lua$", path .. " is no Lua file"):gsub("/", ".")
    first = first or name
    parts[#parts + 1] = ("add(%q, %q, %s)\n"):format(name, file, quote(read(path)))
  end
  parts[#parts + 1] = ("return (require %q)\n"):format(assert(first, "no files"))
  return table.concat(parts)
end

local target, root = arg[1], arg[2]
if not root then
  io.stderr:write "usage: lua5.4 bundle.lua TARGET ROOT FILE...\n"
  os.exit(2)
end
local text = bundle(root, { table.unpack(arg, 3) })
local file <close> = assert(io.open(target, "wb"))
assert(file:write(text))
