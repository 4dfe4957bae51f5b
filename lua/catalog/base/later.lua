--- Modules that are read when the program begins, and compiled when they are first needed. So a program that only
-- creates batches starts the sooner, and one that has run out of descriptors by then finds them all the same.
-- @module catalog.base.later
local later = {}

--- Reads a module. Where it cannot be read, `require` will say so.
-- @tparam string name as for `require`
function later.module(name)
  if package.loaded[name] or package.preload[name] then return end
  local path = package.searchpath(name, package.path)
  local file <close> = path and io.open(path, "rb") or nil
  local text = file and file:read "a"
  if not text then return end
  package.preload[name] = function() return assert(load(text, "@" .. path))(name, path) end
end

--- Gives a class the methods of a module, which is compiled when the first of them is called. The module puts its own
-- functions in their place. The calls are tail calls, so that the caller is to blame for a mistake in the arguments.
-- @tparam table class
-- @tparam string name of the module, as for `require`
-- @tparam {string,...} methods
function later.methods(class, name, methods)
  later.module(name)
  for _, method in ipairs(methods) do
    local function first(...)
      require(name)
      if class[method] == first then error(("%s was loaded for another class; load it anew"):format(name), 2) end
      return class[method](...)
    end
    class[method] = class[method] or first
  end
end

return later
