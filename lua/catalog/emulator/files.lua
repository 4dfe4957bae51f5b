--- Files of batches: whole, or in parts. Source: Adobe's batch ingestion guide.
-- @module catalog.emulator.files
local answers = require "catalog.emulator.answers"
local core = require "catalog.core"
local lifecycle = require "catalog.emulator.lifecycle"
local limits = require "catalog.base.limits"

local files = {}

local function problem(status, format, ...)
  return answers.problem(status, format, ...)
end

-- The batch of a request that may take files, or nil and the refusal.
local function open_batch(service, request, id, dataset)
  local record = service.store:find(request.org, request.sandbox, id)
  if not record then return nil, table.pack(problem(404, "The batch %s was not found", id)) end
  lifecycle.refresh(service, record)
  if record.batch.relatedObjects[1].id ~= dataset then
    return nil, table.pack(problem(400, "The batch %s is not for the dataset %s", id, dataset))
  end
  if record.batch.status ~= "loading" then
    return nil, table.pack(problem(400, "The batch %s is %s, and takes no more files", id, record.batch.status))
  end
  return record
end

local function name_of(segments)
  for _, segment in ipairs(segments) do
    if segment == "." or segment == ".." or segment:find "[/%z]" then return nil end
  end
  return table.concat(segments, "/")
end

-- Makes the directories above a path.
local function make_way(service, path)
  for at in path:gmatch "()/" do
    local directory = path:sub(1, at - 1)
    if directory ~= "" and not service.made[directory] then
      local ok, err = core.fs.mkdir(directory)
      if not ok then return nil, err end
      service.made[directory] = true
    end
  end
  return true
end

local function path_of(service, record, name)
  return ("%s/files/%s/%s"):format(service.directory, record.batch.id, name)
end

-- Where the parts of a large file are put together.
local function partial_path(service, record, name)
  return ("%s/parts/%s/%s"):format(service.directory, record.batch.id, core.url.encode(name))
end

local function move(service, from, to)
  local ok, err = make_way(service, to)
  if not ok then return nil, err.message end
  return os.rename(from, to)
end

local function check_octets(request)
  local media = (request.headers["content-type"] or ""):lower():match "^%s*([^;%s]*)"
  if media ~= "application/octet-stream" then
    return problem(415, "Content-Type is %s; application/octet-stream is needed", media ~= "" and media or "missing")
  end
  if request.unwritten then return problem(507, "The file could not be written") end
end

local function check_size(service, size, most, what)
  if size > (service.max_file or most) then
    return problem(413, "%d bytes are more than %s may have (%d)", size, what, service.max_file or most)
  end
end

local function described(status, name, bytes)
  return answers.value(status, { name = name, sizeInBytes = bytes })
end

-- Refuses a file with which the batch would have more than it may.
local function check_batch(service, record, name, bytes)
  local count = record.file_count + (record.files[name] and 0 or 1)
  local total, over = record.bytes - (record.files[name] or 0) + bytes, {}
  for _, limit in ipairs {
    { count, service.max_files or limits.MAX_FILES, "files" },
    { total, service.max_bytes or limits.MAX_BYTES, "bytes" },
  } do
    local has, most, what = table.unpack(limit)
    if has > most then over[#over + 1] = ("%d %s (over the %d threshold)"):format(has, what, most) end
  end
  if over[1] then return problem(400, "Batch ingestion guardrails hit: %s", table.concat(over, "; ")) end
end

local function remember(record, name, bytes)
  if not record.files[name] then record.file_count = record.file_count + 1 end
  record.bytes = record.bytes - (record.files[name] or 0) + bytes
  record.files[name] = bytes
end

local function put(service, request, record, name)
  local refusal = table.pack(check_octets(request))
  if not refusal[1] then refusal = table.pack(check_size(service, request.body_size, limits.LARGEST_PUT, "one PUT")) end
  if not refusal[1] then refusal = table.pack(check_batch(service, record, name, request.body_size)) end
  if refusal[1] then return table.unpack(refusal) end
  local ok, why = move(service, request.body_file, path_of(service, record, name))
  if not ok then return problem(400, "The file %s cannot be kept: %s", name, why) end
  remember(record, name, request.body_size)
  return described(200, name, request.body_size)
end

local function initialize(_, _, record, name)
  local large = record.large[name]
  if not large or large.size then record.large[name] = { parts = {} } end
  return answers.empty(201)
end

local function read_range(text)
  local first, last = (text or ""):match "^%s*bytes%s+(%d+)%-(%d+)"
  first, last = math.tointeger(tonumber(first)), math.tointeger(tonumber(last))
  if first and last and last >= first then return first, last end
end

local function patch(service, request, record, name)
  local refusal = table.pack(check_octets(request))
  if not refusal[1] then refusal = table.pack(check_size(service, request.body_size, limits.LARGEST_PART, "a part")) end
  if refusal[1] then return table.unpack(refusal) end
  local large = record.large[name]
  if not large or large.size then return problem(400, "The file %s was not initialized", name) end
  local first, last = read_range(request.headers["content-range"])
  if not first then return problem(400, "Content-Range: bytes {first}-{last} is needed") end
  if last - first + 1 ~= request.body_size then
    return problem(400, "Content-Range names %d bytes, and the part has %d", last - first + 1, request.body_size)
  end
  local path = partial_path(service, record, name)
  local ok, err = make_way(service, path)
  if ok then ok, err = core.fs.copy(request.body_file, path, first) end
  if not ok then return problem(507, "The part cannot be kept: %s", err.message) end
  large.parts[("%d-%d"):format(first, last)] = { first = first, last = last }
  return described(200, name, request.body_size)
end

local function in_order(large)
  local parts = {}
  for _, part in pairs(large.parts) do parts[#parts + 1] = part end
  table.sort(parts, function(a, b) return a.first < b.first or a.first == b.first and a.last < b.last end)
  return parts
end

-- Where the parts do not join, as a text, or nil; and the size.
local function fault_in(parts)
  local size = 0
  for _, part in ipairs(parts) do
    if part.first > size then return ("the bytes %d-%d are missing"):format(size, part.first - 1) end
    if part.first < size then return ("the bytes %d-%d overlap"):format(part.first, math.min(size - 1, part.last)) end
    size = part.last + 1
  end
  if size == 0 then return "there are no parts" end
  return nil, size
end

local function complete(service, _, record, name)
  local large = record.large[name]
  if not large then return problem(400, "The file %s was not initialized", name) end
  if large.size then return described(201, name, large.size) end
  local parts = in_order(large)
  local fault, size = fault_in(parts)
  if fault then return problem(400, "The file %s is not whole: %s", name, fault) end
  local refusal = table.pack(check_batch(service, record, name, size))
  if refusal[1] then return table.unpack(refusal) end
  local ok, why = move(service, partial_path(service, record, name), path_of(service, record, name))
  if not ok then return problem(400, "The file %s cannot be kept: %s", name, why) end
  large.parts, large.size = {}, size
  remember(record, name, size)
  return described(201, name, size)
end

-- What has arrived without a gap.
local function head(_, _, record, name)
  local large, size = record.large[name], record.files[name]
  if not size and not large then return problem(404, "The file %s was not found", name) end
  if not size then
    size = 0
    for _, part in ipairs(in_order(large)) do
      if part.first > size then break end
      size = math.max(size, part.last + 1)
    end
  end
  local status, headers, body = answers.empty(200)
  if size > 0 then headers.range = ("bytes=0-%d"):format(size - 1) end
  return status, headers, body
end

local ACTIONS <const> = { INITIALIZE = initialize, COMPLETE = complete }

local function post(service, request, record, name)
  local act = ACTIONS[(request.query.action or ""):upper()]
  if not act then return problem(400, "action is INITIALIZE or COMPLETE") end
  return act(service, request, record, name)
end

local METHODS <const> = { PUT = put, PATCH = patch, POST = post, HEAD = head }

--- What a path of a file answers: `.../batches/{id}/datasets/{dataset}/files/{path}`.
-- @tparam table service
-- @tparam table request
-- @tparam {string,...} segments of the path
function files.serve(service, request, segments)
  local record, refusal = open_batch(service, request, segments[5], segments[7])
  if not record then return table.unpack(refusal) end
  local name = name_of { table.unpack(segments, 9) }
  if not name then return problem(400, "The name of the file cannot be used") end
  return METHODS[request.method](service, request, record, name)
end

--- The file for the body of an upload.
-- @tparam table service
-- @treturn string
function files.spool(service)
  service.spooled = service.spooled + 1
  return ("%s/spool/%d"):format(service.directory, service.spooled)
end

files.path_of = path_of

return files
