-- Somebody who takes lines of sources with positions, and remembers where each source stands, as a sink does.
local Taker = {}
Taker.__index = Taker

local taker = {}

function taker.new()
  return setmetatable({ positions = {}, text = "", notes = {} }, Taker)
end

--- What a follower is given.
function Taker:given(more)
  local given = {
    most = 1000, note = function(text) self.notes[#self.notes + 1] = text end,
    known = function(beginning)
      local found = {}
      for name, position in pairs(self.positions) do
        if name:sub(1, #beginning) == beginning then found[name] = position end
      end
      return found
    end,
  }
  for name, value in pairs(more or {}) do given[name] = value end
  return given
end

--- Takes what is there now. Gives what is new, with its newlines.
function Taker:take(from, ...)
  local before = #self.text
  while true do
    local lines, source, position = from:next(...)
    if lines == nil then
      assert(not source, source)
      return self.text:sub(before + 1)
    end
    if lines then
      assert(position > (self.positions[source] or 0), "a position that does not grow")
      self.positions[source], self.text = position, self.text .. lines
    end
  end
end

return taker
