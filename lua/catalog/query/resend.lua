--- The rows of a batch that failed, mended and sent again.
-- @module catalog.query.resend
local batch = require "catalog.batch.batch"
local core = require "catalog.core"
local entry = require "catalog.batch.entry"
local failure = require "catalog.base.failure"
local options = require "catalog.base.options"
local sources = require "catalog.query.resend_sources"
local states = require "catalog.batch.states"

-- The tag by which a batch says whose rows it has.
local TAG <const> = "catalog_resend_of"

local NAME <const> = "resend.json"

-- From here on not every whole number is a float of its own.
local INEXACT <const> = 2 ^ 53

local SCHEMA <const> = { rows = "callable", whole = "boolean", again = "boolean" }

-- Whether a number in a value has lost digits when it was read.
local function has_inexact(value)
  if type(value) == "table" then
    for _, item in pairs(value) do
      if has_inexact(item) then return true end
    end
  end
  return math.type(value) == "float" and (value >= INEXACT or value <= -INEXACT) and value == value // 1
end

local Resend = {}
Resend.__index = Resend

-- What a batch is created with: what the first one had.
function Resend:creation()
  local fields = self.fields
  local tags = type(fields.tags) == "table" and fields.tags or {}
  local percent = tags.acp_partialIngestionPercent
  local format = type(fields.inputFormat) == "table" and fields.inputFormat or {}
  return {
    dataset = self.dataset, sandbox = self.kind.sandbox, format = format.format or "parquet", once = true,
    multiline = not self.by_rows and format.isMultiLineJson or nil, error_diagnostics = true,
    partial_ingestion = type(percent) == "number" and percent or nil, tags = { [TAG] = { self.of.id } },
    replay = self.whole and { predecessors = { self.of.id }, reason = "sent again" } or nil,
  }
end

-- Creates the batch, once there is something to be sent.
function Resend:begin()
  local created, err = self.kind.client:create_batch(self:creation())
  if not created then return nil, err end
  self.new = created
  return true
end

-- The line of what a row has become: nil and an error where it cannot be sent.
local function line_of(result, line)
  if type(result) == "string" then
    local text = result:match "^%s*(.-)%s*$"
    if text == "" or text:find "[\r\n]" then return failure("data", "the text of a row is one line, and not empty") end
    return text
  end
  local text, err = core.json.encode(result)
  if not text then return nil, err end
  if line and line:find "%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d" and has_inexact(result) then
    return failure("data", "a number of the row has more digits than are kept in a table, and would be another;"
      .. " give the row back as a text, made of the third argument")
  end
  return text
end

-- What a row becomes: a text to send, nil where it is dropped, or nil and an error.
function Resend:mend(row)
  local result = row.fields
  if self.rows then result = self.rows(row.fields, row.errors, row.line) end
  if result == nil or result == false then return nil end
  if result == row.fields and type(row.fields._corrupt_record) == "string" then result = row.fields._corrupt_record end
  if type(result) ~= "table" and type(result) ~= "string" then
    return failure("data", "rows gave a %s; a row is a table or a text, and nil where it is dropped", type(result))
  end
  local text, err = line_of(result, row.line)
  if err then err.message = ("the row %d cannot be sent again: %s"):format(self.count, err.message) end
  return text, err
end

-- Sends all rows, of which each is mended.
function Resend:send_rows(next_row)
  while true do
    local row, err = next_row()
    if err then return nil, err end
    if not row then break end
    self.count = self.count + 1
    local text, unfit = self:mend(row)
    if unfit then return nil, unfit end
    if text then
      local ok, failed = true, nil
      if not self.new then ok, failed = self:begin() end
      if ok and not self.out then
        self.out, failed = self.new:writer(NAME)
        ok = self.out
      end
      if ok then ok, failed = self.out:add(text .. "\n") end
      if not ok then return nil, failed end
      self.sent = self.sent + 1
    end
  end
  if not self.out then
    return failure("data", "none of the %d rows of the batch %s are left, and nothing was sent", self.count, self.of.id)
  end
  return self.out:close()
end

-- Sends all files as they were.
function Resend:send_files()
  local ok, err = self:begin()
  if not ok then return nil, err end
  local copy_of, unfit = sources.copies(self.of)
  if not copy_of then return nil, unfit end
  while true do
    local name, path, failed = copy_of()
    if not name then
      if failed then return nil, failed end
      return true
    end
    local sent, unsent = self.new:upload(name, { file = path })
    os.remove(path)
    if not sent then return nil, unsent end
    self.count, self.sent = self.count + 1, self.sent + 1
  end
end

-- The batch that has these rows already, or will have them; nil: there is none. Nil and an error when that is not
-- known.
function Resend:earlier()
  local known = self.kind.client.resent and self.kind.client.resent[self.of.id]
  local found, unknown
  if known then found, unknown = self.kind.client:batch(known, { sandbox = self.kind.sandbox }):get() end
  if found and not states.is_failure(found.status) then return known end
  if unknown and unknown.status == 404 then return known end -- the catalog does not know it yet
  if unknown then return nil, unknown end
  local listing = self.kind.client:batches { tags = { [TAG] = self.of.id }, sandbox = self.kind.sandbox }
  while true do
    local fine, other = pcall(listing)
    if not fine then return sources.caught(other) end
    if not other then return nil end
    if not states.is_failure(other.status) then return other.id end
  end
end

-- What stands against it, as nil and an error; true: nothing does.
local function check(self)
  local status = self.fields.status
  if not states.is_success(status) and not states.is_failure(status) then
    return failure("batch", "the batch %s is %s; what failed of it is known when it has ended", self.of.id,
      tostring(status))
  end
  if not self.whole and not states.is_success(status) then
    return failure("batch", "the batch %s is %s, and none of its rows are in; whole = true sends all of it again",
      self.of.id, status)
  end
  if self.whole and states.is_success(status) then
    return failure("batch", "the batch %s is %s, and the service does not give back what was sent; leave whole out to"
      .. " send the rows that failed", self.of.id, status)
  end
  local format = type(self.fields.inputFormat) == "table" and self.fields.inputFormat or {}
  if self.by_rows and (tostring(format.format):lower() ~= "json" or self.whole and format.isMultiLineJson == true) then
    return failure("data", "rows are lines of JSON, and the batch %s is of another format", self.of.id)
  end
  if self.again then return true end
  local earlier, err = self:earlier()
  if err then return nil, err end
  if earlier then
    local _, again = failure("conflict", "these rows of the batch %s were sent again already, in the batch %s;"
      .. " again = true sends them once more", self.of.id, earlier)
    again.batch = earlier
    return nil, again
  end
  return true
end

local function run(self)
  if not self.by_rows then return self:send_files() end
  local next_row, err = sources.rows(self.of, self.whole)
  if not next_row then return nil, err end
  return self:send_rows(next_row)
end

-- Leaves nothing behind of what did not come to its end.
local function give_up(self)
  if self.out then self.out:cancel() end
  if self.new then self.new:abort() end
end

--- Sends the rows of the batch that failed again, as a batch of their own: what is kept in memory does not depend on
-- how many there are. The new batch is completed, and goes on; its tag `catalog_resend_of` has the id of this one.
-- @function catalog.batch:resend
-- @tparam ?table given
-- @tparam[opt] function given.rows called with each row, a table; its errors, a list of `code` and `message`; and its
--   line as the service gave it: gives back the mended row, or its line of JSON as a text, or nil to drop it; without
--   it all are sent as they were
-- @tparam[opt=false] boolean given.whole `true`: all of a batch that failed is sent again, as a replacement of it, each
--   row through `rows`, where that is given
-- @tparam[opt=false] boolean given.again `true`: also where that was done before
-- @treturn[1] catalog.batch the new batch
-- @treturn[1] table `rows`, `sent`, `dropped`: how many; of files where there is no `rows` with `whole`
-- @treturn[2] nil
-- @treturn[2] table error: of kind `conflict` when it was done before, with the id of the `batch`; of kind `data` when
--   no row is left or one cannot be sent; nothing is left of the new batch then
-- @raise an option is unknown or has a wrong type; what `rows` raises, after the new batch was aborted
-- @usage local again = assert(batch:resend { rows = function(row) row.age = tonumber(row.age) return row end })
function batch.methods:resend(given)
  local checked = options.check(given, SCHEMA, "resend", 2)
  local fields, err = batch.fetch(self)
  if not fields then return nil, err end
  local _, kind = batch.state(self)
  local known, unknown = batch.dataset(self)
  if unknown then return nil, unknown end
  local this = setmetatable({
    of = self, fields = fields, kind = kind, dataset = known or entry.dataset(fields), rows = checked.rows,
    whole = checked.whole, again = checked.again, by_rows = checked.rows ~= nil or not checked.whole, count = 0,
    sent = 0,
  }, Resend)
  local ok, refused = check(this)
  if not ok then return nil, refused end
  local fine, done, failed = xpcall(run, debug.traceback, this)
  if fine and done then done, failed = this.new:complete() end
  if not fine or not done then give_up(this) end
  if not fine then error(done, 0) end
  if not done then return nil, failed end
  kind.client.resent = kind.client.resent or {}
  kind.client.resent[self.id] = this.new.id
  return this.new, { rows = this.count, sent = this.sent, dropped = this.count - this.sent }
end
