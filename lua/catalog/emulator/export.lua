--- Data access: what was read, and which rows were refused. Source: Adobe's data access guide.
-- @module catalog.emulator.export
local answers = require "catalog.emulator.answers"
local core = require "catalog.core"
local files = require "catalog.emulator.files"
local lifecycle = require "catalog.emulator.lifecycle"
local listing = require "catalog.emulator.listing"

local export = {}

local MOST <const> = 100

-- What can be had of a batch: names, and where each file is.
local KINDS <const> = {
  row_errors = {
    names = function(record) return record.row_errors or {} end,
    path = function(service, record, name)
      return ("%s/row_errors/%s/%s"):format(service.directory, record.batch.id, name)
    end,
  },
  input_files = { names = lifecycle.names, path = files.path_of },
}

local function size_of(path)
  local file = io.open(path, "rb")
  if not file then return 0 end
  local size = file:seek "end"
  file:close()
  return size
end

local function entry(service, request, record, kind, name)
  local scheme, host = service.scheme, request.headers.host or "127.0.0.1"
  return {
    name = name, length = tostring(size_of(KINDS[kind].path(service, record, name))),
    _links = { self = { href = ("%s://%s/data/foundation/export/batches/%s/meta?path=%s"):format(scheme, host,
      record.batch.id, core.url.encode(kind .. "/" .. name)) } },
  }
end

local function list(service, request, record, kind)
  local names = KINDS[kind].names(record)
  local start, no_start = listing.number(request.query, "start", 0, 0, math.maxinteger)
  local limit, no_limit = listing.number(request.query, "limit", MOST, 1, math.maxinteger)
  if no_start or no_limit then return table.unpack(no_start or no_limit) end
  start, limit = math.min(start, #names), math.min(limit, MOST)
  local data = core.json.array()
  for i = start + 1, math.min(#names, start + limit) do
    data[#data + 1] = entry(service, request, record, kind, names[i])
  end
  return answers.value(200, { data = data, _page = { limit = limit, count = #data } })
end

local function send(service, record, kind, name)
  for _, known in ipairs(KINDS[kind].names(record)) do
    if known == name then
      local path = KINDS[kind].path(service, record, name)
      return 200, { ["content-type"] = "application/octet-stream" }, { file = path }
    end
  end
  return answers.problem(404, "There is no %s/%s of the batch %s", kind, name, record.batch.id)
end

local function find(service, request, id)
  local record = service.store:find(request.org, request.sandbox, id)
  if not record then return nil, table.pack(answers.problem(404, "The batch %s was not found", id)) end
  lifecycle.refresh(service, record)
  return record
end

--- `GET /data/foundation/export/batches/{id}/meta?path=`
function export.meta(service, request, segments)
  local record, refusal = find(service, request, segments[5])
  if not record then return table.unpack(refusal) end
  local kind, name = (request.query.path or ""):match "^([%w_]+)/?(.*)$"
  if not KINDS[kind] then return answers.problem(400, "path is row_errors or input_files, or a file of them") end
  if name ~= "" then return send(service, record, kind, name) end
  return list(service, request, record, kind)
end

--- `GET /data/foundation/export/batches/{id}/failed` and `/files`
function export.listing(service, request, segments)
  local record, refusal = find(service, request, segments[5])
  if not record then return table.unpack(refusal) end
  return list(service, request, record, segments[6] == "failed" and "row_errors" or "input_files")
end

return export
