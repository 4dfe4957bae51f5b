--- Files into a batch: small ones whole, large ones in parts, a bounded number of requests in flight.
-- @module catalog.batch.upload
local batch = require "catalog.batch.batch"
local Group = require "catalog.scheduler.group"
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local limits = require "catalog.base.limits"
local options = require "catalog.base.options"
local parts = require "catalog.batch.parts"
local paths = require "catalog.batch.paths"
local writer = require "catalog.batch.writer"

local upload = {}

local SCHEMA <const> = {
  part_size = "integer", part_threshold = "integer", parallel = "integer", timeout = "number",
}
local SOURCES <const> = {
  file = "string", data = "string", reader = "callable", offset = "integer", length = "integer",
}

local function was_changed(job)
  return failure("data", "%s was changed while it was sent; it is not part of the batch as a whole", job.source.file)
end

-- The file is there; so many of its bytes have not been said to have arrived.
local function finish(job, count)
  if job.source.file and job.body:close() then return was_changed(job) end
  return job.call:done(job, count)
end

local function complete(job, again)
  if job.source.file and job.body:changed() then return was_changed(job) end
  local ok, err = parts.complete(job.target, job.path, job.total, again)
  if not ok then return nil, err end
  return finish(job, 0)
end

-- The last byte of a part, given its first.
local function last_of(job, first)
  return math.min(first + job.part_size, job.total) - 1
end

-- Where what is sent begins in the source.
local function offset_of(job) return job.source.file and job.source.offset or 0 end

local function send_piece(job, first)
  local last, call = last_of(job, first), job.call
  local length = last - first + 1
  local ok, err = parts.send_part(job.target, job.path, first, length, job.body, offset_of(job) + first)
  if not ok then return nil, err end
  ok, err = call:part(job, first, last)
  if not ok then return nil, err end
  call:arrived(length)
  job.parts_left = job.parts_left - 1
  if job.parts_left > 0 then return true end
  return complete(job)
end

-- The first bytes of the parts that have not arrived.
local function parts_to_send(job, arrived)
  local firsts = {}
  for first = 0, job.total - 1, job.part_size do
    if arrived[first] == last_of(job, first) then
      job.call:arrived(last_of(job, first) - first + 1)
    else
      firsts[#firsts + 1] = first
    end
  end
  return firsts
end

-- Begins a large file, or goes on with it; its parts are jobs of their own, and whichever is done last completes
-- it.
local function send_in_parts(job)
  local known, call = job.known, job.call
  local arrived = known and known.parts or {}
  job.part_size = known and known.part_size
    or parts.part_size(job.target, call.given.part_size or parts.FILE_PART)
  if next(arrived) == nil then -- no part was acknowledged
    local ok, err = call:begun(job)
    if ok then ok, err = parts.initialize(job.target, job.path) end
    if not ok then return nil, err end
  end
  local firsts, sent = parts_to_send(job, arrived), 0
  if #firsts == 0 then return complete(job, true) end
  job.parts_left = #firsts
  call.jobs:add(function()
    sent = sent + 1
    return send_piece(job, firsts[sent])
  end, #firsts)
  return true
end

-- Sends a small file in one request, or in parts where that is too much.
local function send_whole(job)
  local ok, err, in_parts = parts.send_whole(job.target, job.path, job.body, offset_of(job), job.total)
  if in_parts then return send_in_parts(job) end
  if not ok then
    if job.source.file then job.body:close() end
    return nil, err
  end
  return finish(job, job.total)
end

-- Opens a file, of which a range may be meant.
local function open_file(job)
  local source, known = job.source, job.known
  local file, err = core.file.open(source.file)
  if not file then return nil, err end
  -- the sum of its contents was compared before; it is not made again for each
  local size, seen = file:size(), known and known.fingerprint
  if seen and (known.bytes ~= size or not file:has_stamp_of(seen)) then
    return failure("data", "%s was changed since it was first looked at", source.file)
  end
  local offset = source.offset or 0
  local length = source.length or size - offset
  if offset < 0 or length < 0 or offset + length > size then
    return failure("data", "%s has %d bytes; %d from %d on cannot be sent", source.file, size, length, offset)
  end
  job.body, job.total = file, length
  return true
end

--- Sends one file, as a job of a group.
-- @tparam table call what the files of one call have in common: `jobs`, that group, which gets the parts of a large
--   file; `given`, the upload options; and methods, each of which is called on the way with the job, and gives true,
--   or nil and an error: `begun(job)`, before it goes in parts of `job.part_size`; `part(job, first, last)`: that has
--   arrived; `done(job, count)`: the file has, `job.source` of `job.total` bytes, which was begun at `job.began`
--   (seconds on the monotonic clock). `arrived(count)` is called with a count of bytes; what `done` has is not in it
-- @tparam table target
-- @tparam string name in the batch
-- @tparam table source `file` (a path), with `offset` and `length`; or `data`
-- @tparam ?table known what has arrived before: `part_size` of a file that was begun, its `parts` (first byte -> last),
--   its `bytes` and `fingerprint`
-- @treturn[1] boolean true: it was sent, or its parts are jobs by now
-- @treturn[2] nil
-- @treturn[2] table error
function upload.file(call, target, name, source, known)
  local path, err = paths.file(target, name)
  if not path then return nil, err end
  local job = {
    call = call, target = target, path = path, source = source, known = known, began = core.system.monotonic(),
    body = source.data, total = source.data and #source.data or 0,
  }
  if not job.body then
    local ok, unread = open_file(job)
    if not ok then return nil, unread end
  end
  local total, refused = job.total, target.refused
  local is_large = total > (call.given.part_threshold or limits.LARGEST_PUT) or refused and total >= refused
  if is_large or known and known.part_size then return send_in_parts(job) end
  return send_whole(job)
end

-- A call of one file, where nobody has to hear of anything on the way.
local Alone = {}
Alone.__index = Alone

function Alone.arrived() return true end
Alone.begun, Alone.part = Alone.arrived, Alone.arrived

function Alone:done(job)
  self.bytes = job.total
  return true
end

local function check_source(source, level)
  options.check(source, SOURCES, "upload's source", level + 1)
  local given = 0
  for _, kind in ipairs { "file", "data", "reader" } do given = given + (source and source[kind] ~= nil and 1 or 0) end
  if given ~= 1 then
    error("upload needs one source: { file = path }, { data = string } or { reader = function }", level + 1)
  end
end

-- All that a reader gives, by way of a writer, which cuts it into parts.
local function copy(self, name, source, given)
  local out <close>, err = writer.open(self, name, given)
  if not out then return nil, err end
  while true do
    local chunk = source.reader()
    if chunk == nil then break end
    if type(chunk) ~= "string" then
      out:cancel()
      return failure("data", "the reader of %s gave a %s; it gives strings, and nil at the end", name, type(chunk))
    end
    local ok, failed = out:add(chunk)
    if not ok then return nil, failed end
  end
  return out:close()
end

--- Uploads a file.
-- @function catalog.batch:upload
-- @tparam string name in the batch; may have slashes in it
-- @tparam table source one of `file`, `data` and `reader`
-- @tparam[opt] string source.file a path
-- @tparam[opt=0,unit=bytes] integer source.offset of the file, before what is sent of it
-- @tparam[opt=the rest,unit=bytes] integer source.length of the file that are sent
-- @tparam[opt] string source.data what is sent, as it is
-- @tparam[opt] function source.reader gives a chunk, a string, each time it is called, and nil at the end
-- @tparam ?table given
-- @tparam[opt=67108864; of readers 8388608,unit=bytes] integer given.part_size of a part; at most 512,000,000
-- @tparam[opt=256000000,unit=bytes] integer given.part_threshold that go in one request at the most; that is the
--   maximum, too. A file that is too large for the service, or takes too long for its gateway, goes on in parts
-- @tparam[opt=the client's,unit=requests] integer given.parallel in flight at a time
-- @tparam[opt=the client's,unit=seconds] number given.timeout for which an upload may stand still
-- @treturn[1] table `name`, `bytes`, `seconds`
-- @treturn[2] nil
-- @treturn[2] table error: of kind `data` when the name or the source cannot be used, or the file was changed
-- @raise an option is unknown or has a wrong type; what the reader raises
function batch.methods:upload(name, source, given)
  if type(name) ~= "string" then error("bad argument to upload (the name is a string)", 2) end
  check_source(source, 2)
  given = options.check(given, SCHEMA, "upload", 2)
  local ok, wrong = parts.check_options(given, given.timeout)
  if not ok then return nil, wrong end
  if source.reader then return copy(self, name, source, given) end
  local target, err = parts.target(self, given.timeout)
  if not target then return nil, err end
  local jobs <close> = Group.new(nil, given.parallel or target.client.parallel)
  local call, began = setmetatable({ jobs = jobs, given = given, bytes = 0 }, Alone), core.system.monotonic()
  jobs:add(function() return upload.file(call, target, name, source) end)
  local sent, failed = jobs:wait()
  if not sent then return nil, failed end
  return { name = name, bytes = call.bytes, seconds = core.system.monotonic() - began }
end

return upload
