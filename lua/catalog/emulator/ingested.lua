--- What of a batch's files got into its data set, where some of their rows did not: files of the rows that did.
-- @module catalog.emulator.ingested
local core = require "catalog.core"

local Ingested = {}
Ingested.__index = Ingested

local function directory_of(service, record) return ("%s/ingested/%s"):format(service.directory, record.batch.id) end

-- Where the rows of a file are, by its number among the names of the batch.
local function path_of(service, record, number) return ("%s/%d"):format(directory_of(service, record), number) end

local ingested = {}

--- Begins anew.
-- @tparam table service
-- @tparam table record
-- @treturn table
function ingested.new(service, record)
  assert(core.fs.remove(directory_of(service, record)))
  assert(core.fs.mkdir(directory_of(service, record)))
  return setmetatable({ service = service, record = record, sizes = {} }, Ingested)
end

--- The next rows are those of a file.
-- @tparam integer number
-- @tparam string name
function Ingested:begin(number, name)
  self:close()
  self.name, self.file = name, assert(io.open(path_of(self.service, self.record, number), "wb"))
end

--- Adds a row.
-- @tparam string text
function Ingested:add(text) assert(self.file:write(text, "\n")) end

--- Ends the file.
function Ingested:close()
  if not self.file then return end
  self.sizes[self.name] = self.file:seek "end"
  assert(self.file:close())
  self.file = nil
end

--- Ends all of it.
-- @tparam boolean is_kept true: not all rows are in, and these are what there is of the files
function Ingested:finish(is_kept)
  self:close()
  self.record.ingested = is_kept and self.sizes or nil
  if not is_kept then assert(core.fs.remove(directory_of(self.service, self.record))) end
end

--- What there is of a file in the data set.
-- @tparam table service
-- @tparam table record
-- @tparam string name
-- @tparam integer number
-- @treturn ?string where it is; nil: it is as it came
-- @treturn integer bytes
function ingested.file(service, record, name, number)
  local size = record.ingested and record.ingested[name]
  if not size then return nil, record.files[name] end
  return path_of(service, record, number), size
end

return ingested
