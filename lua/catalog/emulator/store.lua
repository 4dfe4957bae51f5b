--- The batches: in memory, and as files.
-- @module catalog.emulator.store
local core = require "catalog.core"

local Store = {}
Store.__index = Store

local function key_of(org, sandbox, id)
  return org .. "\0" .. sandbox .. "\0" .. id
end

-- A record is what is kept: the batch as the service shows it, and whose it is.
local function remember(store, record)
  store.records[#store.records + 1] = record
  store.by_id[key_of(record.org, record.sandbox, record.batch.id)] = record
  local key = key_of(record.org, "", record.batch.externalId)
  local same = store.by_external_id[key] or {}
  store.by_external_id[key] = same
  same[#same + 1] = record
end

-- Empty lists and objects are both tables; the fields that hold lists are marked, so that they stay lists.
local function mark_lists(batch)
  core.json.array(batch.relatedObjects)
  for _, tag in pairs(batch.tags) do
    if type(tag) == "table" then core.json.array(tag) end
  end
  if batch.errors then core.json.array(batch.errors) end
  for _, name in ipairs { "predecessors", "predecessorsByExternalId" } do
    if batch.replay and batch.replay[name] then core.json.array(batch.replay[name]) end
  end
end

local function read_record(path)
  local file <close> = assert(io.open(path, "rb"))
  local record = core.json.decode(file:read "a")
  if type(record) ~= "table" or type(record.batch) ~= "table" then return nil end
  mark_lists(record.batch)
  record.files, record.large, record.file_count, record.bytes = {}, {}, 0, 0
  return record
end

-- The files of a batch that was there before: those on disk. Parts of files that were not completed are lost.
local function find_files(record, path, prefix)
  local names = core.fs.list(path)
  for _, name in ipairs(names or {}) do
    local file = core.file.open(path .. "/" .. name)
    if file then
      record.files[prefix .. name], record.file_count = file:size(), record.file_count + 1
      record.bytes = record.bytes + file:size()
      file:close()
    else
      find_files(record, path .. "/" .. name, prefix .. name .. "/")
    end
  end
end

-- Written beside its place and moved there, so that a record is whole or not there.
local function write_record(store, record)
  if not store.lasting then return end
  local path = ("%s/%s.json"):format(store.directory, record.batch.id)
  local file <close> = assert(io.open(path .. ".new", "wb"))
  local kept = {
    batch = record.batch, org = record.org, sandbox = record.sandbox, completed_at = record.completed_at,
    row_errors = record.row_errors and core.json.array(record.row_errors), counts = record.counts,
    ingested = record.ingested,
  }
  assert(file:write(assert(core.json.encode(kept))))
  assert(file:close())
  assert(os.rename(path .. ".new", path))
end

local function load_records(store)
  local found = {}
  for _, name in ipairs(assert(core.fs.list(store.directory))) do
    if name:find "%.json$" then
      local record = read_record(store.directory .. "/" .. name)
      if record then
        find_files(record, ("%s/files/%s"):format(store.directory, record.batch.id), "")
        found[#found + 1] = record
      else
        io.stderr:write("emulator: ", store.directory, "/", name, " is no batch, and is left alone\n")
      end
    end
  end
  table.sort(found, function(a, b)
    if a.batch.created ~= b.batch.created then return a.batch.created < b.batch.created end
    return a.batch.id < b.batch.id
  end)
  for _, record in ipairs(found) do remember(store, record) end
end

local function new(directory, lasting)
  local store = setmetatable({
    directory = directory, lasting = lasting, records = {}, by_id = {}, by_external_id = {},
  }, Store)
  load_records(store)
  return store
end

--- Adds a batch.
-- @tparam table batch as the service shows it
-- @tparam string org
-- @tparam string sandbox
-- @treturn table the record: `batch`, `org`, `sandbox`; `files` (name -> bytes), how many (`file_count`) and their size
--   (`bytes`); `large` (name -> the `parts` that have arrived, or `size` once it is complete); `completed_at`
--   (milliseconds since the epoch), `row_errors` (names of files), `counts` (name -> records) and `ingested` (name ->
--   bytes, where not all rows of a file are in) when there are
function Store:add(batch, org, sandbox)
  local record = { batch = batch, org = org, sandbox = sandbox, files = {}, large = {}, file_count = 0, bytes = 0 }
  mark_lists(batch)
  write_record(self, record)
  remember(self, record)
  return record
end

--- Keeps what has changed of a batch.
-- @tparam table record
function Store:save(record)
  write_record(self, record)
end

--- The record of a batch, or nil.
function Store:find(org, sandbox, id)
  return self.by_id[key_of(org, sandbox, id)]
end

--- The records of the batches of an organisation with an external id, oldest first.
-- @treturn {table,...}
function Store:with_external_id(org, external_id)
  return self.by_external_id[key_of(org, "", external_id)] or {}
end

return { new = new }
