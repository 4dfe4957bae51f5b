--- What lies in a spool for somebody to look at: batches that failed, those of which nobody can say what became of
-- them, and rows that the service has refused.
-- @module catalog.sink.quarantine
local core = require "catalog.core"
local problems = require "catalog.batch.problems"

local quarantine = {}

-- How often the rows of a batch are asked for, at the most.
local TRIES <const> = 5

-- How many bytes of rows are written at a time.
local PIECE <const> = 262144

local EXPLAINED <const> = {
  failed = "the service has refused this batch for its data; mend what errors and rows.jsonl name, and send the files "
    .. "again by `catalog spool retry`",
  unknown = "nobody can say whether the service has ingested this batch: look for its id in the platform, then send "
    .. "the files again by `catalog spool retry`, or remove this directory",
  damaged = "what lies on the disk is not what was written; nothing of it was ingested. Compare the files with their "
    .. "source",
}

-- A segment may have been moved before, by a run that came no further.
local function move_one(spool, from, to)
  local ok, err = spool:job("rename", from, to)
  if ok or err.code ~= "missing" then return ok, err end
  return true
end

-- Appends the rows that a batch was not ingested for to a file, in pieces. How many there were, or nil and an error.
local function append_rows(spool, name, rows)
  local ok, err = spool:job("remove", name)
  if not ok then return nil, err end
  local pieces, size, count = {}, 0, 0
  local function flush()
    if size == 0 then return true end
    local piece = table.concat(pieces, "\n") .. "\n"
    pieces, size = {}, 0
    return spool:job("append", name, piece)
  end
  for _, line in rows do
    pieces[#pieces + 1], size, count = line, size + #line + 1, count + 1
    if size >= PIECE then
      ok, err = flush()
      if not ok then return nil, err end
    end
  end
  ok, err = flush()
  if not ok then return nil, err end
  return count
end

--- Fetches the rows that the service has refused of a batch into a file of the spool, which is there as a whole or not
-- at all. After some tries it is done without them.
-- @tparam table store
-- @tparam table plan gets `refused`, how many there were
-- @tparam string name of the file
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error; it may be tried again
function quarantine.fetch_rows(store, plan, name)
  if plan.refused or not plan.id then return true end
  plan.row_tries = (plan.row_tries or 0) + 1
  local part = name .. ".part"
  local fine, count, err = pcall(append_rows, store.spool, part, store.rows(plan))
  if not fine then count, err = nil, count end
  if count == 0 then
    plan.refused = 0
    return true
  end
  local ok = count and store.spool:job("rename", part, name)
  if not ok and plan.row_tries < TRIES then return nil, err end
  plan.refused, plan.rows_error = count or 0, not ok and err and tostring(err) or nil
  return true
end

-- How many records and bytes segments have.
local function sums_of(store, segments)
  local records, bytes = 0, 0
  for _, number in ipairs(segments) do
    local segment = store.segments[number]
    records, bytes = records + segment.records, bytes + segment.bytes
  end
  return records, bytes
end

-- What somebody who looks has to know.
local function explanation(store, plan, segments)
  local fields = plan.fields or {}
  local texts = {}
  for i, problem in ipairs(problems.list(fields.errors)) do texts[i] = problem.text end
  local records, bytes = sums_of(store, segments)
  return {
    what_to_do = EXPLAINED[plan.state], batch = plan.id, status = fields.status, errors = core.json.array(texts),
    files = #segments, records = records, bytes = bytes, at = os.date("!%Y-%m-%dT%H:%M:%SZ"),
    damage = plan.damage, rows_error = plan.rows_error,
  }
end

--- Moves segments of a plan that has ended to a directory of their own, with `why.json`.
-- @tparam table store
-- @tparam table plan
-- @tparam string kind `failed` or `unknown`
-- @tparam {integer,...} segments
-- @treturn[1] table what is noted of them
-- @treturn[2] nil
-- @treturn[2] table error; it may be tried again
function quarantine.move(store, plan, kind, segments)
  local spool, directory = store.spool, ("%s/%d"):format(kind, plan.number)
  local ok, err = spool:job("mkdir", directory)
  if not ok then return nil, err end
  for _, number in ipairs(segments) do
    local name = store.name_of(number)
    ok, err = move_one(spool, "seg/" .. name, directory .. "/" .. name)
    if not ok then return nil, err end
  end
  if plan.state == "failed" then
    ok, err = quarantine.fetch_rows(store, plan, directory .. "/rows.jsonl")
    if not ok then return nil, err end
  end
  local why = explanation(store, plan, segments)
  local text, unfit = core.json.encode(why)
  if not text then return nil, unfit end
  ok, err = spool:job("save", directory .. "/why.json", text .. "\n")
  if not ok then return nil, err end
  return { segments = segments, records = why.records, bytes = why.bytes, batch = plan.id, at = why.at }
end

return quarantine
