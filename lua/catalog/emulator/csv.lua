--- Rows of a CSV file, read line by line.
-- @module catalog.emulator.csv

-- The fields of a record, or nil when a quoted field goes on in the next line.
local function split(text, delimiter, quote)
  local fields, at = {}, 1
  while true do
    if text:sub(at, at) == quote then
      local stop, parts = at + 1, {}
      while true do
        local closing = text:find(quote, stop, true)
        if not closing then return nil end
        parts[#parts + 1] = text:sub(stop, closing - 1)
        stop = closing + 1
        if text:sub(stop, stop) ~= quote then break end
        parts[#parts + 1] = quote -- doubled: one of them is meant
        stop = stop + 1
      end
      fields[#fields + 1] = table.concat(parts)
      at = stop
    else
      local stop = text:find(delimiter, at, true) or #text + 1
      fields[#fields + 1] = text:sub(at, stop - 1)
      at = stop
    end
    if at > #text then return fields end
    at = at + #delimiter
    if at > #text then
      fields[#fields + 1] = ""
      return fields
    end
  end
end

--- Goes through the records of a file.
-- @function csv
-- @tparam string path
-- @tparam table format `delimiter`, `quote`
-- @treturn function gives fields and the text of a record; nil and the text for one whose quotes do not close
return function(path, format)
  local delimiter, quote = format.delimiter or ",", format.quote or '"'
  local lines = io.lines(path)
  local over = false
  return function()
    local text = not over and lines()
    if not text then return nil end
    text = text:gsub("\r$", "")
    local fields = split(text, delimiter, quote)
    while not fields do
      local more = lines()
      over = not more -- io.lines has closed the file, and is not to be called again
      if over then return false, text end
      text = text .. "\n" .. more:gsub("\r$", "")
      fields = split(text, delimiter, quote)
    end
    return fields, text
  end
end
