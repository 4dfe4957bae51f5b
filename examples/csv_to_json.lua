-- Reads a CSV file and writes its rows as JSON records into a batch, as they are read: the file may be of any size.
-- Usage: lua5.4 csv_to_json.lua FILE.csv DATASET; configured as in the README
local catalog = require "catalog"

local path, dataset = arg[1], arg[2]
if not dataset then
  io.stderr:write "usage: lua5.4 csv_to_json.lua FILE.csv DATASET\n"
  os.exit(2)
end

-- The fields of a line; quoted ones may have commas in them.
local function split(line)
  local fields, at = {}, 1
  line = line:gsub("\r$", "") .. ","
  while at <= #line do
    local field, stop = line:match('^"([^"]*)",()', at)
    if not field then field, stop = line:match("^([^,]*),()", at) end
    fields[#fields + 1], at = field, stop
  end
  return fields
end

local function value_of(text)
  return tonumber(text) or text
end

local function fail(err)
  io.stderr:write(tostring(err), "\n")
  os.exit(1, true)
end

local function run()
  local batch <close> = assert(catalog.create_batch { dataset = dataset, format = "json" })
  local out = assert(batch:writer "rows.json")
  local header, skipped = nil, 0
  for line in io.lines(path) do
    local fields = split(line)
    if not header then
      header = fields
    elseif #fields ~= #header then
      skipped = skipped + 1
    else
      local record = {}
      for i, name in ipairs(header) do record[name] = value_of(fields[i]) end
      assert(out:write(record))
    end
  end
  local written = assert(out:close())
  assert(batch:complete())
  assert(batch:wait())
  print(("%d rows in batch %s, %d skipped"):format(written.records, batch.id, skipped))
end

local fine, err = pcall(run)
if not fine then fail(err) end
