--- Sinks of the bench, and the lines they get.
local catalog = require "catalog"
local core = require "catalog.core"
local profiles = require "spec.bench.profiles"

local sinks = {}

-- How many different records there are: more than a processor's caches hold.
local DIFFERENT <const> = 50000

local Directory = {
  __close = function(self) core.fs.remove(self.path) end,
}

--- Makes a directory on a disk: where spools are, which are never kept in memory.
-- @treturn table with `path`; the value of a `<close>` variable
function sinks.directory()
  return setmetatable({ path = assert(core.fs.temporary()) }, Directory)
end

--- Opens a sink in a spool of its own.
-- @tparam string path of the spool
-- @tparam ?table more options of the sink
-- @tparam ?string base_url nil: there is no network, and nothing is sent
-- @tparam ?table loop
-- @treturn catalog.sink
function sinks.open(path, more, base_url, loop)
  local client = assert(catalog.client {
    base_url = base_url or "http://127.0.0.1:9", org = "ORG@AdobeOrg", api_key = "key", token = "token", loop = loop,
  })
  local given = { dataset = "5c8c3c555033b814b69f947f", spool = path }
  for name, value in pairs(more or {}) do given[name] = value end
  return assert(client:sink(given))
end

--- Lines of profiles.
-- @tparam integer bytes so many in all, about
-- @treturn {string,...} without their newlines
-- @treturn integer how many bytes they have with these
function sinks.lines(bytes)
  local lines, total = {}, 0
  for i, record in ipairs(profiles(DIFFERENT, 20190318)) do
    lines[i] = assert(core.json.encode(record))
    total = total + #lines[i] + 1
    if total >= bytes then break end
  end
  return lines, total
end

--- Writes lines into a file, as often as it takes.
-- @tparam string path
-- @tparam {string,...} lines
-- @tparam integer times
function sinks.make_file(path, lines, times)
  local file <close> = assert(io.open(path, "wb"))
  local text = table.concat(lines, "\n") .. "\n"
  for _ = 1, times do assert(file:write(text)) end
end

--- Lines as pieces of whole ones.
-- @tparam {string,...} lines
-- @tparam integer bytes how many a piece has at the most
-- @treturn {string,...}
function sinks.pieces(lines, bytes)
  local pieces, piece, length = {}, {}, 0
  for _, line in ipairs(lines) do
    if length + #line + 1 > bytes then
      pieces[#pieces + 1] = table.concat(piece, "\n") .. "\n"
      piece, length = {}, 0
    end
    piece[#piece + 1], length = line, length + #line + 1
  end
  pieces[#pieces + 1] = table.concat(piece, "\n") .. "\n"
  return pieces
end

--- The seconds of the fastest block of a side. A sink has two threads at work, and where others use the processors, that
-- slows it more than a program with one: this is what is seen when they do not.
-- @tparam {table,...} turns
-- @tparam string side
-- @treturn number
function sinks.fastest(turns, side)
  local fastest = math.huge
  for _, turn in ipairs(turns) do fastest = math.min(fastest, turn[side].wall) end
  return fastest
end

return sinks
