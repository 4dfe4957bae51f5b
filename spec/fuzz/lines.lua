-- Lines: what passes the check our decoder takes for an object, and the other way round, but for what each is known to
-- see otherwise; and arrays as lines.
local core = require "catalog.core"

local fault, split_array, decode <const> = core.lines.fault, core.lines.split_array, core.json.decode

-- Why lua-cjson refuses what is JSON: it has limits, and pairs of surrogates only.
local ITS_REASONS <const> = { "too many nested data structures", "invalid unicode escape code" }
-- What it takes, and JSON has not; and what JSON has, and a line has not.
local OUR_REASONS <const> = {
  ["a number in it lacks a digit"] = true, ["there is a control character in a string"] = true,
  ["there is a line break in it"] = true, ["it begins with a byte-order mark"] = true,
}

local function is_limit(err)
  for _, reason in ipairs(ITS_REASONS) do
    if err.message:find(reason, 1, true) then return true end
  end
  return false
end

local function is_object(text, value)
  return type(value) == "table" and text:find "^[%s\u{feff}]*{" ~= nil
end

local function check_line(text)
  local reason = fault(text)
  local value, err = decode(text)
  if reason == nil then
    assert(not text:find "[\r\n]", "it is more than one line")
    assert(is_object(text, value) or is_limit(err), "it passes, and is no object")
  else
    assert(type(reason) == "string")
    assert(OUR_REASONS[reason] or not is_object(text, value), "an object is refused: " .. reason)
  end
  return reason
end

-- Checks the lines of an array. Gives them as an array again, and whether each is an object.
local function check_lines(lines, count)
  local list, all = {}, true
  for line in lines:gmatch "(.-)\n" do
    list[#list + 1] = line
    all = check_line(line) == nil and all
  end
  assert(#list == count and (lines == "" or lines:sub(-1) == "\n"), "lines that are not counted")
  return "[" .. table.concat(list, ",") .. "]", all
end

local function check_array(text)
  local lines, count = split_array(text)
  if not lines then
    assert(type(count) == "string")
    local value = decode(text)
    assert(type(value) ~= "table" or not text:find "^%s*%[", "an array is refused: " .. count)
    return
  end
  local again, all = check_lines(lines, count)
  if all then
    local value, err = decode(text)
    assert(value and #value == count or is_limit(err), "lines of what is no array")
  end
  assert(select(2, split_array(again)) == count, "its lines are another array")
end

return function(data)
  check_line(data)
  check_array(data)
  check_array("[" .. data .. "]")
end
