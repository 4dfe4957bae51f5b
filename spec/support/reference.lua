-- The reference, read from the sources once: what LDoc reads, in the shape of the pages.
package.path = package.path .. ";./?.lua"
local model = require "docs.site.model"
local shell = require "support.shell"

local reference = {}

local known

local function read()
  if known then return known end
  shell.with_directory(function(directory)
    local command = "LUA_PATH='./?.lua;;' ldoc -c config.ld --filter docs.site.dump.write . >%s/read 2>%s/warnings"
    shell.run(command:format(directory, directory))
    known = {
      model = model.read(directory .. "/read", shell.run "pwd":gsub("%s+$", "") .. "/"),
      text = shell.read(directory .. "/read"), warnings = shell.read(directory .. "/warnings"),
    }
  end)
  return known
end

--- The pages, and what LDoc has to say about the comments.
function reference.read() return read().model, read().warnings end

--- What LDoc has read, as it is written.
function reference.text() return read().text end

return reference
