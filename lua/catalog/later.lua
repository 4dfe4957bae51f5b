--- Modules for later: read when the program begins, and compiled when they are first needed. So a program
-- that only creates batches starts the sooner, and one that is out of descriptors by then finds them all the same.
-- @module catalog.later

--- Reads a module for later. Where it cannot be read, `require` will say so.
-- @function later
-- @tparam string name as for `require`
return function(name)
  if package.loaded[name] or package.preload[name] then return end
  local path = package.searchpath(name, package.path)
  local file <close> = path and io.open(path, "rb") or nil
  local text = file and file:read "a"
  if not text then return end
  package.preload[name] = function() return assert(load(text, "@" .. path))(name, path) end
end
