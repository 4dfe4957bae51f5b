--- Files into a batch: small ones whole, large ones in parts, a bounded number of requests in flight.
-- @module catalog.upload
local batch = require "catalog.batch"
local Group = require "catalog.scheduler.group"
local core = require "catalog.core"
local entry = require "catalog.entry"
local failure = require "catalog.failure"
local options = require "catalog.options"
local paths = require "catalog.paths"

local upload = {}

-- Source: Adobe's batch ingestion guide, in decimal bytes.
local LARGEST_PUT <const>, LARGEST_PART <const> = 256000000, 512000000

local MIB <const> = 1024 * 1024

-- When a gateway's patience may have ended a request, in seconds; Adobe's have 60. And what is so small, in bytes, that
-- a gateway which gave up had other reasons.
local LONG <const>, SMALL <const> = 50, MIB

--- The size of parts unless it is given, in bytes.
upload.FILE_PART = 64 * MIB
upload.STREAM_PART = 8 * MIB

local OCTETS <const> = "application/octet-stream"

local SCHEMA <const> = {
  part_size = "integer", part_threshold = "integer", parallel = "integer", timeout = "number",
}
local SOURCES <const> = {
  file = "string", data = "string", reader = "callable", offset = "integer", length = "integer",
}

local function check_range(name, value, most)
  if value and (value < 1 or value > most) then
    return failure("config", "%s is from 1 to %d", name, most)
  end
  return true
end

--- Checks the values of upload options; their types are checked already.
-- @tparam table given `part_size`, `part_threshold`, `parallel`, `timeout`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function upload.check_values(given)
  for _, limit in ipairs {
    { "part_size", LARGEST_PART }, { "part_threshold", LARGEST_PUT }, { "parallel", 1000 },
  } do
    local ok, err = check_range(limit[1], given[limit[1]], limit[2])
    if not ok then return nil, err end
  end
  return batch.check_timeout(given.timeout)
end

-- The dataset of a batch: known, or among its fields, or looked up.
local function dataset_of(self)
  local state = batch.state(self)
  if not state.dataset then state.dataset = entry.dataset(self) end
  if not state.dataset then
    local fresh, err = batch.fetch(self)
    if not fresh then return nil, err end
    state.dataset = entry.dataset(fresh)
  end
  if state.dataset then return state.dataset end
  return failure("batch", "the batch %s names no dataset; give it: client:batch(id, { dataset = ... })", self.id)
end

--- Where files of a batch go.
-- @tparam catalog.batch self
-- @tparam table given upload options
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] table error: the batch has ended, or its dataset is not known
function upload.place(self, given)
  local ended = batch.state(self).ended
  if ended then
    return failure("batch", "the batch %s takes no more files: %s was called", self.id, ended:lower())
  end
  local dataset, err = dataset_of(self)
  if not dataset then return nil, err end
  local client, sandbox = batch.home(self)
  return {
    client = client, sandbox = sandbox, base_url = client.base_url, batch = self.id, dataset = dataset,
    timeout = given.timeout, home = batch.state(self).home,
  }
end

--- Sends one request about a file.
-- @tparam table place
-- @tparam string method
-- @tparam string path of the file, and `?action=`
-- @tparam ?string|buffer|file body
-- @tparam ?table more `offset` and `length` of what is sent of the body; `range`; `ends`, `final` as of `client:send`
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function upload.send(place, method, path, body, more)
  more = more or {}
  return place.client:send {
    method = method, path = path, body = body or "", content_type = body and OCTETS or "application/json",
    upload = body ~= nil, offset = more.offset, length = more.length, range = more.range,
    sandbox = place.sandbox, timeout = place.timeout, ends = more.ends, final = more.final, repeatable = true,
    read = batch.accept, home = place.home,
  }
end

--- Whether a file was too much for one request, and is to go in parts. Source: Adobe's batch ingestion guide, for what
-- is too large and for a gateway's time-out; that may also be a connection that breaks.
-- @tparam table err what came of a PUT
-- @tparam integer length of the file, in bytes
-- @treturn boolean
function upload.is_too_much(err, length)
  if err.method ~= "PUT" or length < 2 then return false end
  if err.status == 408 or err.status == 504 then return length > SMALL end
  return err.status == 413 or err.kind == "network" and (err.seconds or 0) >= LONG
end

--- Sends a whole file in one request.
-- @tparam table place gets `refused`, the size of the smallest file that was too much
-- @tparam string path
-- @tparam buffer|file|string body
-- @tparam integer offset where the file begins in the body
-- @tparam integer length bytes
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
-- @treturn[2] boolean true: it is to go in parts
function upload.send_whole(place, path, body, offset, length)
  local function is_final(err) return upload.is_too_much(err, length) end
  local ok, err = upload.send(place, "PUT", path, body, { offset = offset, length = length, final = is_final })
  if ok then return true end
  if not is_final(err) then return nil, err, false end
  place.refused = math.min(place.refused or length, length)
  return nil, err, true
end

--- The size of the parts of a file: what was asked for, and smaller than what was too much.
-- @tparam table place
-- @tparam integer part_size
-- @treturn integer
function upload.part_size(place, part_size)
  return place.refused and math.min(part_size, (place.refused + 1) // 2) or part_size
end

--- Sends one part.
-- @tparam table place
-- @tparam string path
-- @tparam integer first the first byte of the part in the file that results
-- @tparam integer length bytes
-- @tparam buffer|file|string body
-- @tparam ?integer offset where the part begins in a body that has more than the part
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function upload.send_part(place, path, first, length, body, offset)
  local ok, err = upload.send(place, "PATCH", path, body, {
    offset = offset, length = offset and length, range = ("bytes %d-%d"):format(first, first + length - 1),
  })
  if ok then return true end
  if err.status == 413 then
    err.message = ("%s (a part of %d bytes is too large; give a smaller part_size)"):format(err.message, length)
  end
  return nil, err
end

-- How many bytes of a file the service has without a gap.
local function read_extent(_, transfer)
  local last = (transfer:header "range" or ""):match "^%s*bytes=0%-(%d+)%s*$"
  return last and tonumber(last) + 1 or 0
end

--- Ends a file that was sent in parts. An end that was asked for, and whose answer was lost, may be refused when it is
-- asked for again; what the service has got decides then. So it does for a run that goes on where another stopped.
-- @tparam table place
-- @tparam string path
-- @tparam integer total how many bytes the parts have together
-- @tparam ?boolean again true: it may have been asked for in an earlier run
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function upload.complete(place, path, total, again)
  local ends = place.client:ends()
  local ok, err = upload.send(place, "POST", path .. "?action=COMPLETE", nil, { ends = ends })
  if ok then return true end
  if not ((again or err.ambiguous) and err.kind == "http" and err.status < 500) then return nil, err end
  local extent = place.client:send {
    method = "HEAD", path = path, sandbox = place.sandbox, timeout = place.timeout, ends = ends, repeatable = true,
    read = read_extent, home = place.home,
  }
  if extent == total then return true end
  return nil, err
end

local function check_unchanged(task)
  if task.file and task.file:changed() then
    return failure("data", "%s was changed while it was sent; it is not part of the batch as a whole", task.path)
  end
  return true
end

local function finish(task)
  local ok, err = check_unchanged(task)
  if task.file then task.file:close() end
  if not ok then return nil, err end
  return task.heard.done(task.total)
end

local function complete(task, again)
  local ok, err = check_unchanged(task)
  if not ok then return nil, err end
  ok, err = upload.complete(task.place, task.target, task.total, again)
  if not ok then return nil, err end
  return finish(task)
end

-- The last byte of a part, given its first.
local function last_of(task, first)
  return math.min(first + task.part_size, task.total) - 1
end

local function send_piece(task, first)
  local last = last_of(task, first)
  local length = last - first + 1
  local ok, err = upload.send_part(task.place, task.target, first, length, task.file or task.data, task.offset + first)
  if not ok then return nil, err end
  ok, err = task.heard.part(first, last)
  if not ok then return nil, err end
  task.heard.bytes(length)
  task.parts_left = task.parts_left - 1
  if task.parts_left > 0 then return true end
  return complete(task)
end

-- The first bytes of the parts that have not arrived.
local function parts_to_send(task)
  local firsts = {}
  for first = 0, task.total - 1, task.part_size do
    if task.known.parts[first] == last_of(task, first) then
      task.heard.bytes(last_of(task, first) - first + 1)
    else
      firsts[#firsts + 1] = first
    end
  end
  return firsts
end

-- Begins a large file, or goes on with it; its parts are jobs of their own, and whichever is done last completes
-- it.
local function send_in_parts(task, jobs)
  local begun = next(task.known.parts) ~= nil -- a part was acknowledged
  if not begun then
    if not task.known.part_size then task.part_size = upload.part_size(task.place, task.part_size) end
    local ok, err = task.heard.begun(task.part_size)
    if ok then ok, err = upload.send(task.place, "POST", task.target .. "?action=INITIALIZE") end
    if not ok then return nil, err end
  end
  local firsts, sent = parts_to_send(task), 0
  if #firsts == 0 then return complete(task, true) end
  task.parts_left = #firsts
  jobs:add(function()
    sent = sent + 1
    local first = firsts[sent]
    return first and function() return send_piece(task, first) end
  end, #firsts)
  return true
end

-- Sends a small file in one request, or in parts where that is too much.
local function send_whole(task, jobs)
  local ok, err, in_parts = upload.send_whole(task.place, task.target, task.file or task.data, task.offset, task.total)
  if in_parts then return send_in_parts(task, jobs) end
  if not ok then
    if task.file then task.file:close() end
    return nil, err
  end
  task.heard.bytes(task.total)
  return finish(task)
end

local function open_source(task, source)
  if source.data then
    task.data, task.total = source.data, #source.data
    return true
  end
  local file, err = core.file.open(source.file)
  if not file then return nil, err end
  if task.known.fingerprint and task.known.fingerprint ~= file:fingerprint() then
    return failure("data", "%s was changed since it was first looked at", source.file)
  end
  local offset = source.offset or 0
  local length = source.length or file:size() - offset
  if offset < 0 or length < 0 or offset + length > file:size() then
    return failure("data", "%s has %d bytes; %d from %d on cannot be sent", source.file, file:size(), length, offset)
  end
  task.file, task.path, task.offset, task.total = file, source.file, offset, length
  return true
end

-- What nobody wants to hear.
local UNHEARD <const> = { __index = function() return function() return true end end }

--- The job that sends one file. It is opened when its turn comes.
-- @tparam table jobs the group that runs the job, and gets the parts of a large file
-- @tparam table place
-- @tparam string name in the batch
-- @tparam table source `file` (a path), with `offset` and `length`; or `data`
-- @tparam table given upload options
-- @tparam table heard is told how far it is, each a function that gives true, or nil and an error: `begun(part_size)`,
--   before it goes in parts; `part(first, last)`, `bytes(count)`: they have arrived; `done(total)`: the file has
-- @tparam ?table known what has arrived before: `part_size` of a file that was begun, its `parts` (first byte -> last),
--   its `fingerprint`
-- @treturn[1] function
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`: the name cannot be used
function upload.job(jobs, place, name, source, given, heard, known)
  local target, err = paths.file(place, name)
  if not target then return nil, err end
  known = known or { parts = {} }
  local task = {
    place = place, target = target, offset = 0, known = known, heard = setmetatable(heard, UNHEARD),
    part_size = known.part_size or given.part_size or upload.FILE_PART,
  }
  return function()
    local ok, unread = open_source(task, source)
    if not ok then return nil, unread end
    local small = task.total <= (given.part_threshold or LARGEST_PUT) and task.total < (place.refused or math.huge)
    if small and not known.part_size then return send_whole(task, jobs) end
    return send_in_parts(task, jobs)
  end
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
  -- not above: a writer requires this file; it has been read by now
  local out <close>, err = require "catalog.writer".open(self, name, given)
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
-- @tparam table source `{ file = path }` (with `offset` and `length`, in bytes, for a range of it), or
--   `{ data = string }`, or `{ reader = function }` that gives a chunk each time it is called, and nil at the end
-- @tparam ?table given `part_size` (bytes; default 64 MiB, for readers 8 MiB; at most 512,000,000), `part_threshold`
--   (up to so many bytes go in one request; default and maximum 256,000,000; a file that is too large for the service
--   or takes too long for its gateway goes on in parts), `parallel` (requests in flight; default
--   the client's), `timeout` (seconds for which an upload may stand still)
-- @treturn[1] table `name`, `bytes`, `seconds`
-- @treturn[2] nil
-- @treturn[2] table error: of kind `data` when the name or the source cannot be used, or the file was changed
-- @raise an option is unknown or has a wrong type; what the reader raises
function batch.methods:upload(name, source, given)
  if type(name) ~= "string" then error("bad argument to upload (the name is a string)", 2) end
  check_source(source, 2)
  given = options.check(given, SCHEMA, "upload", 2)
  local ok, wrong = upload.check_values(given)
  if not ok then return nil, wrong end
  if source.reader then return copy(self, name, source, given) end
  local place, err = upload.place(self, given)
  if not place then return nil, err end
  local began, bytes = core.system.monotonic(), 0
  local jobs = Group.new(given.parallel or place.client.parallel)
  local job, unfit = upload.job(jobs, place, name, source, given, {
    done = function(total)
      bytes = total
      return true
    end,
  })
  if not job then return nil, unfit end
  jobs:add_one(job)
  local sent, failed = jobs:wait()
  if not sent then return nil, failed end
  return { name = name, bytes = bytes, seconds = core.system.monotonic() - began }
end

return upload
