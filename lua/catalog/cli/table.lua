--- Tables for people: a row at a time, in columns of fixed widths. On a terminal a row is a line of it: columns that
-- have no room are left out, and the last one is cut.
-- @module catalog.cli.table
local core = require "catalog.core"
local output = require "catalog.cli.output"

local Table = {}
Table.__index = Table

local GAP <const>, LEAST <const>, CUT <const> = 2, 8, "..."

-- How many columns of the terminal a text takes, about.
local function width_of(text) return utf8.len(text) or #text end

local function cut(text, width)
  if width_of(text) <= width then return text end
  local stop = utf8.offset(text, math.max(1, width - #CUT + 1))
  return text:sub(1, (stop or width - #CUT + 1) - 1) .. CUT
end

--- Begins a table.
-- @tparam {table,...} columns each a title and a width; that of the last one has no limit
-- @treturn table
local function new(columns)
  local room = core.system.isatty(1) and core.system.columns(1) or nil
  local self = setmetatable({ columns = {}, room = room }, Table)
  local used, titles = 0, {}
  for i, column in ipairs(columns) do
    titles[i] = column[1]
    local least = i == #columns and LEAST or column[2]
    local fits = not room or i == 1 or i == #self.columns + 1 and used + least <= room
    if fits then self.columns[i] = column end
    used = used + column[2] + GAP
  end
  self:row(table.unpack(titles))
  return self
end

--- Prints a row.
-- @tparam string ... the values, one for each column
function Table:row(...)
  local values, parts, used = { ... }, {}, 0
  for i, column in ipairs(self.columns) do
    local text, last = values[i], i == #self.columns
    if self.room then text = cut(text, last and self.room - used or column[2]) end
    local gap = last and "" or (" "):rep(math.max(column[2] - width_of(text), 0) + GAP)
    parts[#parts + 1] = text .. gap
    used = used + width_of(text) + #gap
  end
  output.line((table.concat(parts):gsub(" +$", "")))
end

return { new = new }
