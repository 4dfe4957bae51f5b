--- Rows that the service has refused of a batch it has ingested: they go where rejected messages go, before the offsets
-- go on. At least once: whoever inherits a partition of such a batch does the same.
-- @module catalog.drain.rows
local failure = require "catalog.base.failure"
local problems = require "catalog.batch.problems"
local rules = require "catalog.stream.rules"

local rows = {}

-- How often they are asked for, and how long to wait between, in seconds; it grows.
local TRIES <const>, AGAIN <const> = 5, 0.5

-- Why a row was refused, as it says itself.
local function reason_of(row)
  local why = problems.list(row._errors)[1] or {}
  local text = problems.word(why.message) or problems.word(why.description) or "the service does not say why"
  local code = problems.word(why.code)
  return code and ("%s: %s"):format(code, text) or text
end

-- Takes all rows. How many there were; or nil and an error.
local function take_all(service, rejected, sealed)
  local count = 0
  local fine, err = pcall(function()
    for row, line in service:rows(sealed) do
      rejected:add_row(sealed.id, line, reason_of(row))
      count = count + 1
    end
  end)
  if fine then return count end
  if type(err) ~= "table" then error(err, 0) end -- a callback has raised
  return nil, err
end

-- Fetches them, in some tries. Nil: the second value says whether they cannot be had.
local function fetch(sealed, service, rejected, host)
  local pause = AGAIN
  for try = 1, TRIES do
    local count, err = take_all(service, rejected, sealed)
    if count then return count end
    host.failed(err)
    if try < TRIES and not host.pause(pause) then return nil, false end
    pause = pause * 2
  end
  return nil, true
end

--- Fetches and keeps them, again and again where they cannot be kept. Where they cannot be had it is done without them,
-- which is told.
-- @tparam table sealed the batch
-- @tparam ?table fields as the service shows them
-- @tparam table service `rows(sealed)`
-- @tparam table rejected of `catalog.drain.rejected`
-- @tparam table host `pause(seconds)`: false when there is nothing more to be done; `failed(err)`
-- @treturn[1] integer how many there were
-- @treturn[2] nil there is nothing more to be done
function rows.keep(sealed, fields, service, rejected, host)
  if not rules.may_have_refused(fields) then return 0 end
  while true do
    local since = rejected.faults
    local count, are_gone = fetch(sealed, service, rejected, host)
    if are_gone then break end
    if not count or count == 0 then return count end
    local ok, err = rejected:flush(host.pause, since)
    if ok then return count end
    host.failed(err)
    if not host.pause(1) then return nil end
  end
  host.failed(select(2, failure("data", "the rows that were refused of the batch %s cannot be had, and are kept "
    .. "nowhere; catalog errors %s shows them, as long as the service has them", sealed.id, sealed.id)))
  return 0
end

return rows
