--- The files that a batch has become.
-- @classmod catalog.file
local batch = require "catalog.batch.batch"
local core = require "catalog.core"
local exports = require "catalog.query.exports"
local failure = require "catalog.base.failure"
local later = require "catalog.base.later"
local options = require "catalog.base.options"

--- `catalog.batch:files` gives them.
-- @table catalog.file
-- @tfield string name
-- @tfield ?integer bytes where the service says it
-- @tfield ?string id of the data set's file which it is a part of

local EXPORT <const> = "/data/foundation/export/"

local files = {}

local methods = {}

local File = { __name = "catalog.file", __index = methods }

function File:__tostring()
  local length = self.bytes and self.bytes .. " bytes" or "length unknown"
  return core.failure.line(("file %s (%s)"):format(self.name, length))
end

-- What is known of a file besides its fields: the batch, and the path at which it is.
local origins = setmetatable({}, { __mode = "k" })

--- Where a file comes from.
-- @local
-- @tparam catalog.file self
-- @treturn table `batch`; `path`, that of the request which gives it
function files.origin(self) return origins[self] end

--- The request that gets a file, or a part of one.
-- @local
-- @tparam catalog.file self
-- @treturn table for `client:send`, without `read`
-- @treturn catalog.client
function files.request(self)
  local origin = origins[self]
  local state, kind = batch.state(origin.batch)
  return {
    method = "GET", repeatable = true, path = origin.path, sandbox = kind.sandbox, process = state.process,
    accept = "*/*",
  }, kind.client
end

-- How many bytes an entry says its file has; nil where it says none.
local function bytes_of(entry)
  local bytes = math.tointeger(tonumber(entry.length))
  return bytes and bytes >= 0 and bytes or nil
end

local function key_of(field)
  return function(entry)
    local text = entry[field]
    if type(text) == "string" and text ~= "" then return text end
    return failure("protocol", "an entry of the listing has no %s", field)
  end
end

-- The files below a path: what gives the next one, or nil at the end, or nil and an error.
local function below(self, path, id)
  local state, kind = batch.state(self)
  local next_entry = exports.entries({ sandbox = kind.sandbox, process = state.process }, kind.client, path,
    key_of "name")
  return function()
    local entry, err = next_entry()
    if not entry then return nil, err end
    local file = setmetatable({ name = entry.name, bytes = bytes_of(entry), id = id }, File)
    origins[file] = { batch = self, path = path .. "?path=" .. core.url.encode(entry.name) }
    return file
  end
end

--- What gives the files of a batch one by one.
-- @local
-- @tparam catalog.batch self
-- @tparam ?boolean failed true: those that a batch that failed was sent
-- @treturn[1] function gives the next file; nil at the end; nil and an error
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`: the id cannot be that of a batch
function files.each(self, failed)
  local segment, unfit = core.url.segment(self.id, "batch id")
  if not segment then return nil, unfit end
  local base = ("%sbatches/%s/"):format(EXPORT, segment)
  if failed then return below(self, base .. "failed") end
  local state, kind = batch.state(self)
  local next_entry = exports.entries({ sandbox = kind.sandbox, process = state.process }, kind.client,
    base .. "files", key_of "dataSetFileId")
  local next_file
  return function()
    while true do
      local file, err
      if next_file then file, err = next_file() end
      if file or err then return file, err end
      local entry, no_entry = next_entry()
      if not entry then return nil, no_entry end
      local id, bad = core.url.segment(entry.dataSetFileId, "file id")
      if not id then return nil, bad end
      next_file = below(self, EXPORT .. "files/" .. id, entry.dataSetFileId)
    end
  end
end

--- Goes through the files that the batch has become in its data set; there are none before it is ingested.
-- @function catalog.batch:files
-- @tparam ?table given
-- @tparam[opt=false] boolean given.failed `true`: the files that a batch was sent which failed
-- @treturn fun():catalog.file an iterator of files: `name`, `bytes` (nil where the service does not say), `id` (that of
--   the data set's file which it is a part of)
-- @raise an option is unknown or has a wrong type; in the loop: the error table, when a page cannot be had
-- @usage for file in batch:files() do print(file.name, file.bytes) end
function batch.methods:files(given)
  local checked, next_file = options.check(given, { failed = "boolean" }, "files", 2), nil
  return function()
    local err
    if not next_file then next_file, err = files.each(self, checked.failed) end
    local file
    if next_file then file, err = next_file() end
    if err then error(err, 0) end
    return file
  end
end

--- What is in the file, in memory: at most `max_reply` of the client's.
-- @function catalog.file:read
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] table error: of kind `limit` when it is too large; of kind `protocol` when it has another length than the
--   listing says
function methods:read()
  local request, client = files.request(self)
  request.read = function(body)
    if self.bytes and #body ~= self.bytes then
      return failure("protocol", "the file %s has %d bytes, and not %d as its listing says", self.name, #body,
        self.bytes)
    end
    return body
  end
  return client:send(request)
end

later.methods(methods, "catalog.query.download", { "download" })

--- The methods.
-- @local
files.methods = methods

return files
