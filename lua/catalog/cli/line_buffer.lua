--- Whole lines of what comes in pieces: the rest waits for its end. Of a line that is longer than a record may be, only
-- so much is kept as shows that it is.
-- @module catalog.cli.line_buffer

-- How much of a piece's end has a newline in it as a rule, bytes.
local NEAR <const> = 4096

local LineBuffer = {}
LineBuffer.__index = LineBuffer

--- Makes one.
-- @tparam integer most bytes that a record may have
-- @treturn table
function LineBuffer.new(most)
  return setmetatable({ most = most, parts = {}, length = 0, is_long = false }, LineBuffer)
end

-- Keeps what has no end yet; of a long line its beginning alone, which is too long for a record with its CR, too.
local function keep(self, text)
  if self.is_long or text == "" then return end
  self.parts[#self.parts + 1], self.length = text, self.length + #text
  if self.length <= self.most + 1 then return end
  self.parts, self.length, self.is_long = { table.concat(self.parts):sub(1, self.most + 2) }, self.most + 2, true
end

-- What was kept, with the end of its line.
local function join(self, text)
  if self.is_long then text = text:match "\n.*" or "" end
  if self.length > 0 then text = table.concat(self.parts) .. text end
  self.parts, self.length, self.is_long = {}, 0, false
  return text
end

-- Where the last newline is. Most often it is near the end, and looking through all of a piece takes its time.
local function last_newline(text)
  return text:match("^.*()\n", math.max(1, #text - NEAR)) or text:match "^.*()\n"
end

--- Takes a piece.
-- @tparam string piece
-- @treturn[1] string lines, each with its newline
-- @treturn[1] integer how many bytes of this piece were needed for them
-- @treturn[2] nil no line has ended
function LineBuffer:add(piece)
  local last = last_newline(piece)
  if not last then return keep(self, piece) end
  local lines = join(self, piece:sub(1, last))
  keep(self, piece:sub(last + 1))
  return lines, last
end

--- Nothing more will come: what is there is a line without a newline.
-- @treturn ?string nil: there is nothing
function LineBuffer:finish()
  if self.length > 0 then return join(self, "") end
end

return LineBuffer
