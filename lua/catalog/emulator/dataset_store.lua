--- The data sets: in memory, and those that were created or changed as files.
-- @module catalog.emulator.dataset_store
local core = require "catalog.core"
local derived = require "catalog.emulator.derived"
local sorted = require "catalog.base.sorted"

local Store = {}
Store.__index = Store

local function key_of(org, sandbox, id)
  return org .. "\0" .. sandbox .. "\0" .. id
end

-- Empty lists and objects are both tables; values of tags are lists.
local function mark_lists(fields)
  for _, tag in pairs(type(fields.tags) == "table" and fields.tags or {}) do
    if type(tag) == "table" and (#tag > 0 or next(tag) == nil) then core.json.array(tag) end
  end
end

local function remember(store, record)
  local key = key_of(record.org, record.sandbox, record.id)
  if not store.by_key[key] then store.records[#store.records + 1] = record end
  store.by_key[key] = record
end

local function path_of(store, record) return ("%s/datasets/%s.json"):format(store.directory, record.id) end

-- Written beside its place and moved there, so that a record is whole or not there.
local function write(store, record)
  if not store.lasting then return end
  local path = path_of(store, record)
  local file <close> = assert(io.open(path .. ".new", "wb"))
  assert(file:write(assert(core.json.encode(record))))
  assert(file:close())
  assert(os.rename(path .. ".new", path))
end

local function load(store)
  for _, name in ipairs(core.fs.list(store.directory .. "/datasets") or {}) do
    if name:find "%.json$" then
      local file <close> = assert(io.open(store.directory .. "/datasets/" .. name, "rb"))
      local record = core.json.decode(file:read "a")
      if type(record) == "table" and type(record.fields) == "table" then
        mark_lists(record.fields)
        remember(store, record)
      end
    end
  end
end

--- Makes the store.
-- @tparam string directory
-- @tparam boolean lasting whether what changes is kept in files
-- @tparam ?table given the data sets that are known everywhere, id to a name or to fields; nil: any is, once it is used
-- @treturn table
local function new(directory, lasting, given)
  local store = setmetatable({
    directory = directory, lasting = lasting, given = given, records = {}, by_key = {}, began = core.system.now(),
  }, Store)
  load(store)
  return store
end

--- Adds what the service says of each data set: the name of its table, its format, and who manages it. Source: Adobe's
-- catalog guide and the description of its API.
-- @tparam table fields
function Store.complete(fields)
  fields.tags = type(fields.tags) == "table" and fields.tags or {}
  local table_name = fields.name:lower():gsub("[^%w]+", "_")
  for name, value in pairs { ["adobe/pqs/table"] = table_name, ["adobe/siphon/table/format"] = "parquet" } do
    fields.tags[name] = fields.tags[name] or { value }
  end
  fields.classification = fields.classification or { dataBehavior = "record", managedBy = "CUSTOMER" }
end

-- A data set that nobody has created here: one that is given, or was used.
local function appear(store, org, sandbox, id)
  local known = store.given and store.given[id] or id
  local fields = {
    version = "1.0.0", imsOrg = org, sandboxId = derived.uuid(org .. "\0" .. sandbox), created = store.began,
    updated = store.began, createdClient = "emulator", createdUser = "emulator@AdobeID",
    updatedUser = "emulator@AdobeID", name = id, tags = {}, viewId = derived.view(id),
    files = "@/dataSetFiles?dataSetId=" .. id,
  }
  for name, value in pairs(type(known) == "table" and known or { name = known }) do fields[name] = value end
  Store.complete(fields)
  mark_lists(fields)
  local record = { id = id, org = org, sandbox = sandbox, fields = fields }
  remember(store, record)
  return record
end

--- A data set, or nil.
function Store:find(org, sandbox, id)
  local record = self.by_key[key_of(org, sandbox, id)]
  if record then return not record.deleted and record or nil end
  return self.given and self.given[id] and appear(self, org, sandbox, id) or nil
end

--- Finds a data set that is used; where no others were given, any is there once it is used.
-- @treturn ?table nil: there is none
function Store:use(org, sandbox, id)
  local record = self.by_key[key_of(org, sandbox, id)]
  if not record and not self.given then return appear(self, org, sandbox, id) end
  return self:find(org, sandbox, id)
end

--- The data sets of an organisation and a sandbox.
-- @treturn {table,...}
function Store:all(org, sandbox)
  for _, id in ipairs(sorted(self.given or {})) do self:find(org, sandbox, id) end
  local found = {}
  for _, record in ipairs(self.records) do
    if record.org == org and record.sandbox == sandbox and not record.deleted then found[#found + 1] = record end
  end
  return found
end

--- Adds a data set, or keeps what has changed of one.
-- @tparam table record `id`, `org`, `sandbox`, `fields`; `deleted` (boolean)
function Store:save(record)
  mark_lists(record.fields)
  write(self, record)
  remember(self, record)
end

return { new = new }
