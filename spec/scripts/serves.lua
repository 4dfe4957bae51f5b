-- The program with a sink that is a file: `catalog serve` as long as there is no other. Where the spool has a file `full`
-- it is full, and where it has one `broken` it cannot go on.
local Client = require "catalog.client.client"
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local scheduler = require "catalog.scheduler.scheduler"

local Sink = {}
Sink.__index = Sink

local function is_there(path)
  local file = io.open(path)
  return file ~= nil and file:close()
end

function Client.sink(_, given)
  local directory = given.spool .. "/seg"
  assert(core.fs.mkdir(given.spool) and core.fs.mkdir(directory))
  given.record_bytes = given.record_bytes or 1000000
  return setmetatable({
    settings = given, file = assert(io.open(directory .. "/0000000001.jsonl", "ab")), last = {}, records = 0, rejected = 0,
    repeated = 0,
  }, Sink)
end

function Sink:write_lines(text, source, position)
  if is_there(self.settings.spool .. "/full") then
    local _, err = failure("limit", "the spool %s is full", self.settings.spool)
    err.code = "full"
    return nil, err
  end
  if is_there(self.settings.spool .. "/broken") then return failure("config", "the spool's directory was removed") end
  if source and self.last[source] and position <= self.last[source] then
    self.repeated = self.repeated + 1
    return 0, "repeated", {}
  end
  if source then self.last[source] = position end
  local taken, faults, number = 0, {}, 0
  for line in text:gmatch "[^\n]+" do
    number, line = number + 1, line:gsub("\r$", "")
    local reason = core.lines.fault(line)
    if reason then faults[#faults + 1] = { line = number, reason = reason } else self.file:write(line, "\n") end
    taken = taken + (reason and 0 or 1)
  end
  self.records, self.rejected = self.records + taken, self.rejected + #faults
  return taken, #faults, table.move(faults, 1, 10, 1, {})
end

function Sink:sync()
  scheduler.sleep(tonumber(os.getenv "SYNC" or 0.01))
  self.file:flush()
  return true
end

function Sink:metrics()
  return { records = self.records, rejected = self.rejected, repeated = self.repeated, batches = { success = 2 } }
end

function Sink:close()
  self.file:close()
  return true
end

dofile "lua/catalog/cli/main.lua"
