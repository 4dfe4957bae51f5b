--- Records that go into the batch as they are: the consumer puts them into the buffer of a file, and tells how far each
-- partition came.
-- @module catalog.drain.intake
local Intake = {}
Intake.__index = Intake

--- @tparam table kafka the consumer: `fill(buffer, most, partitions, reached, longest, records)`
-- @tparam table assignment of `catalog.drain.assignment`
-- @tparam table given `file_bytes`, `record_bytes`
-- @tparam table taken counts what was taken: `records`, `bytes`, `dropped` (messages without a value)
-- @treturn table
function Intake.new(kafka, assignment, given, taken)
  return setmetatable({ kafka = kafka, assignment = assignment, given = given, taken = taken, reached = {} }, Intake)
end

-- What was taken of partitions is part of the batch, also where nothing of it is in a file.
local function advance(self, filling)
  for partition, next in pairs(self.reached) do
    if next > partition.next then filling:advance(partition, next) end
    self.reached[partition] = nil
  end
end

--- Takes records into a batch, a turn's worth, or until something else has come.
-- @tparam table filling of `catalog.drain.filling`
-- @tparam integer most records
-- @treturn ?string what has come, as of `kafka:fill`; nil: nothing more
-- @return
-- @return
function Intake:take(filling, most)
  local records, bytes, dropped, name, value, why = self.kafka:fill(filling:room(), self.given.file_bytes,
    self.assignment.partitions, self.reached, self.given.record_bytes, most)
  if not records then return nil end
  advance(self, filling)
  local taken = self.taken
  taken.records, taken.bytes, taken.dropped = taken.records + records, taken.bytes + bytes, taken.dropped + dropped
  filling:count(records, bytes)
  if name ~= "full" then return name, value, why end
  filling:dispatch()
  return "more"
end

return Intake
