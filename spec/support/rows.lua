-- Files of rows, and whether the service has them.
local core = require "catalog.core"
local shell = require "support.shell"

local rows = {}

--- Makes files of rows in a new directory: small ones, and some of some tens of kilobytes.
-- @treturn table name -> text
function rows.make(directory, small, large)
  assert(core.fs.mkdir(directory))
  local texts = {}
  for i = 1, small + large do
    local name = ("f%02d.json"):format(i)
    texts[name] = ('{"file":%d}\n'):format(i):rep(i <= small and 15 * i or 2000 + 97 * i)
    shell.write(directory .. "/" .. name, texts[name])
  end
  return texts
end

--- The name of a file that is not there byte for byte, or nil.
function rows.difference(directory, texts)
  for name, text in pairs(texts) do
    local file = io.open(directory .. "/" .. name, "rb")
    local kept = file and file:read "a"
    if file then file:close() end
    if kept ~= text then return name end
  end
end

return rows
