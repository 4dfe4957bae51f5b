--- Batches that failed, or of which nobody knows what became of them, are sent again when somebody asks for it: by a
-- file `retry` beside their files. The files go back to where they were, and become part of the next batch.
--
-- First the journal has the segments again, as they are by now, and that they are on their way; then the files are
-- moved; then the journal forgets that they had failed. Whoever comes after a crash goes on with the moving.
-- @module catalog.sink.retry
local core = require "catalog.core"
local sorted = require "catalog.base.sorted"

local null <const> = core.json.null

local retry = {}

--- The name of the file that asks for it.
retry.REQUEST = "retry"

-- What lies beside the files.
local OTHERS <const> = { "why.json", "rows.jsonl", retry.REQUEST }

-- A segment as the journal has it; the core reads its fields in this order.
local SEGMENT <const> = '"segment/%d":{"bytes":%d,"records":%d,"crc":"%s","since":%d,"sealed":true,"from":{}}'

-- What the files are now: somebody may have mended them, or taken one away.
local function sum_up(store, key, numbers)
  local segments = {}
  for _, number in ipairs(numbers) do
    local sum, err = store.spool:job("sum", key .. "/" .. store.name_of(number))
    if sum then
      segments[#segments + 1] = {
        number = number, bytes = sum.bytes, records = sum.records, crc = sum.crc, since = core.system.now(), from = {},
      }
    elseif err.code ~= "missing" then
      return nil, err
    end
  end
  return segments
end

-- Notes that they come back.
local function note_begin(store, key, segments)
  local parts, numbers = {}, core.json.array {}
  for i, one in ipairs(segments) do
    parts[i] = SEGMENT:format(one.number, one.bytes, one.records, one.crc, one.since)
    numbers[i] = one.number
  end
  parts[#parts + 1] = ('"retry/%s":%s'):format(key, assert(core.json.encode(numbers)))
  return store.spool:job("note", "{" .. table.concat(parts, ",") .. "}")
end

-- One may have been moved before a crash.
local function move(store, key, number)
  local name = store.name_of(number)
  local ok, err = store.spool:job("rename", key .. "/" .. name, "seg/" .. name)
  if ok or err.code ~= "missing" then return ok, err end
  return true
end

-- Moves the files, and forgets that they had failed. What else lies there goes with its directory, which stays when
-- somebody has put something into it.
local function finish(store, key, numbers)
  for _, number in ipairs(numbers) do
    local ok, err = move(store, key, number)
    if not ok then return nil, err end
  end
  for _, name in ipairs(OTHERS) do store.spool:job("remove", key .. "/" .. name) end
  store.spool:job("remove", key)
  local ok, err = store.spool:note { ["retry/" .. key] = null, [key] = null }
  if not ok then return nil, err end
  store:take_back(key)
  return true
end

local function begin(store, key, kept)
  local segments, err = sum_up(store, key, kept.segments)
  if not segments then return nil, err end
  local ok, unnoted = note_begin(store, key, segments)
  if not ok then return nil, unnoted end
  store:expect_back(key, segments)
  return true
end

local function is_asked_for(store, key)
  return store.spool:job("sum", key .. "/" .. retry.REQUEST) and true or false
end

--- Sends again what is asked for, and goes on with what was begun.
-- @tparam table store
-- @treturn[1] boolean whether anything was
-- @treturn[2] nil
-- @treturn[2] table error; it may be tried again
function retry.look(store)
  for _, key in ipairs(sorted(store.kept)) do
    local ok, err = true, nil
    if not store.returning[key] and is_asked_for(store, key) then ok, err = begin(store, key, store.kept[key]) end
    if not ok then return nil, err end
  end
  local returning = sorted(store.returning)
  for _, key in ipairs(returning) do
    local ok, err = finish(store, key, store.returning[key])
    if not ok then return nil, err end
  end
  return #returning > 0
end

return retry
