--- One line of a journal: a checksum, a blank, and JSON whose first field is the event. The checksum is CRC-32C, in
-- hexadecimal, of the line's number, a blank, and the JSON: so a flipped bit is found, and a line that is missing,
-- doubled, or out of order. Journals of before have lines without a checksum.
-- @module catalog.ingest.journal_line
local core = require "catalog.core"

local line = {}

local checksum <const> = core.journal.checksum

--- Encodes a line, as `core.journal.line`.
line.encode = core.journal.line

--- Decodes a line.
-- @tparam integer number of the line in the file, from 1
-- @tparam string text without its newline
-- @tparam boolean checked true: a line before it had a checksum, so this one has to have one
-- @treturn[1] table its fields
-- @treturn[1] boolean whether it has a checksum
-- @treturn[2] nil it is no line of a journal, or not as it was written
function line.decode(number, text, checked)
  local sum, json = text:match "^(%x%x%x%x%x%x%x%x) (.*)$"
  if sum and sum ~= checksum(json, number) or not sum and checked then return nil end
  local fields = core.json.decode(json or text)
  if type(fields) ~= "table" then return nil end
  return fields, sum ~= nil
end

--- Whether a text is how the first line of a journal begins.
-- @tparam string text
-- @treturn boolean
function line.is_beginning(text)
  return text:find '^{"event":"run",' ~= nil or text:find '^%x%x%x%x%x%x%x%x {"event":"run",' ~= nil
end

return line
