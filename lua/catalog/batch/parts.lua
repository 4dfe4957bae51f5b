--- The requests by which a file gets into a batch: whole, or in parts. Source: Adobe's batch ingestion guide.
-- @module catalog.batch.parts
local batch = require "catalog.batch.batch"
local entry = require "catalog.batch.entry"
local failure = require "catalog.base.failure"
local limits = require "catalog.base.limits"
local paths = require "catalog.batch.paths"

local parts = {}

local MIB <const> = 1024 * 1024

--- The size of the parts of a file unless it is given, in bytes.
parts.FILE_PART = 64 * MIB

--- The same of a stream.
parts.STREAM_PART = 8 * MIB

-- When a gateway's patience may have ended a request, in seconds; Adobe's have 60. And what is so small, in bytes, that
-- a gateway which gave up had other reasons.
local LONG <const>, SMALL <const> = 50, MIB

local OCTETS <const> = "application/octet-stream"

-- The options that are counts, and the most each may be.
local MOST <const> = {
  { "part_size", limits.LARGEST_PART }, { "part_threshold", limits.LARGEST_PUT }, { "parallel", 1000 },
}

--- Checks the values of upload options; their types are checked already.
-- @tparam table given `part_size`, `part_threshold`, `parallel`
-- @tparam ?number timeout how long an upload may stand still, seconds
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function parts.check_options(given, timeout)
  for _, limit in ipairs(MOST) do
    local name, most = limit[1], limit[2]
    local value = given[name]
    if value and (value < 1 or value > most) then return failure("config", "%s is from 1 to %d", name, most) end
  end
  return batch.check_timeout(timeout)
end

-- Looks the dataset of a batch up.
local function look_up_dataset(self)
  local fresh, err = batch.fetch(self)
  if not fresh then return nil, err end
  local dataset = entry.dataset(fresh)
  if dataset then return dataset end
  return failure("batch", "the batch %s names no dataset; give it: client:batch(id, { dataset = ... })", self.id)
end

--- Where files of a batch go.
-- @tparam catalog.batch self
-- @tparam ?number timeout how long an upload may stand still, seconds
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] table error: the batch has ended, or its dataset is not known
function parts.target(self, timeout)
  local state, kind = batch.state(self)
  if state.final_action then
    return failure("batch", "the batch %s takes no more files: %s was called", self.id, state.final_action:lower())
  end
  local dataset, err = batch.dataset(self)
  if not dataset and not err then dataset = entry.dataset(self) end
  if not dataset and not err then dataset, err = look_up_dataset(self) end
  if not dataset then return nil, err end
  state.dataset = dataset
  local files, unfit = paths.files(self.id, dataset)
  if not files then return nil, unfit end
  local client = kind.client
  return {
    client = client, sandbox = kind.sandbox, base_url = client.base_url, files = files, timeout = timeout,
    process = state.process,
  }
end

-- A request about a file; with a body, or a range of one, where that is given.
local function request_of(target, method, path, body, offset, length)
  return {
    method = method, path = path, body = body or "", content_type = body and OCTETS or "application/json",
    upload = body ~= nil, offset = offset, length = length, sandbox = target.sandbox, timeout = target.timeout,
    repeatable = true, read = batch.accept, process = target.process,
  }
end

--- Whether a file was too much for one request, and is to go in parts. Source: Adobe's batch ingestion guide, for what
-- is too large and for a gateway's time-out; that may also be a connection that breaks.
-- @tparam table err what came of a PUT
-- @tparam integer length of the file, in bytes
-- @treturn boolean
function parts.is_too_much(err, length)
  if err.method ~= "PUT" or length < 2 then return false end
  if err.status == 408 or err.status == 504 then return length > SMALL end
  return err.status == 413 or err.kind == "network" and (err.seconds or 0) >= LONG
end

local function is_final(err, request) return parts.is_too_much(err, request.length) end

--- Sends a whole file in one request.
-- @tparam table target gets `refused`, the size of the smallest file that was too much
-- @tparam string path
-- @tparam buffer|file|string body
-- @tparam integer offset where the file begins in the body
-- @tparam integer length bytes
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
-- @treturn[2] boolean true: it is to go in parts
function parts.send_whole(target, path, body, offset, length)
  local request = request_of(target, "PUT", path, body, offset, length)
  request.final = is_final
  local ok, err = target.client:send(request)
  if ok then return true end
  if not is_final(err, request) then return nil, err, false end
  target.refused = math.min(target.refused or length, length)
  return nil, err, true
end

--- Sends a whole file in one request, and says what has left: a file may have been spoiled on its disk.
-- @tparam table target
-- @tparam string path
-- @tparam file body
-- @tparam integer length bytes, from the beginning of the file
-- @treturn[1] string the CRC-32C of these bytes, eight hexadecimal digits
-- @treturn[2] nil
-- @treturn[2] table error
function parts.send_summed(target, path, body, length)
  local request = request_of(target, "PUT", path, body, 0, length)
  request.summed, request.read = true, function(_, transfer) return transfer:checksum() end
  return target.client:send(request)
end

--- The size of the parts of a file: what was asked for, and smaller than what was too much.
-- @tparam table target
-- @tparam integer part_size
-- @treturn integer
function parts.part_size(target, part_size)
  return target.refused and math.min(part_size, (target.refused + 1) // 2) or part_size
end

--- Begins a file that is sent in parts.
-- @tparam table target
-- @tparam string path
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function parts.initialize(target, path)
  return target.client:send(request_of(target, "POST", path .. "?action=INITIALIZE"))
end

--- Sends one part.
-- @tparam table target
-- @tparam string path
-- @tparam integer first the first byte of the part in the file that results
-- @tparam integer length bytes
-- @tparam buffer|file|string body
-- @tparam ?integer offset where the part begins in a body that has more than the part
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function parts.send_part(target, path, first, length, body, offset)
  local request = request_of(target, "PATCH", path, body, offset, offset and length)
  request.range = ("bytes %d-%d"):format(first, first + length - 1)
  local ok, err = target.client:send(request)
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
-- @tparam table target
-- @tparam string path
-- @tparam integer total how many bytes the parts have together
-- @tparam ?boolean again true: it may have been asked for in an earlier run
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function parts.complete(target, path, total, again)
  local request = request_of(target, "POST", path .. "?action=COMPLETE")
  request.deadline = target.client:deadline()
  local ok, err = target.client:send(request)
  if ok then return true end
  if not ((again or err.ambiguous) and err.kind == "http" and err.status < 500) then return nil, err end
  local extent = target.client:send {
    method = "HEAD", path = path, sandbox = target.sandbox, timeout = target.timeout, deadline = request.deadline,
    repeatable = true, read = read_extent, process = target.process,
  }
  if extent == total then return true end
  return nil, err
end

return parts
