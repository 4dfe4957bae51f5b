--- Data access: what was read, which rows were refused, and the files themselves. Source: Adobe's data access guide.
-- @module catalog.emulator.export
local answers = require "catalog.emulator.answers"
local core = require "catalog.core"
local derived = require "catalog.emulator.derived"
local files = require "catalog.emulator.files"
local ingested = require "catalog.emulator.ingested"
local lifecycle = require "catalog.emulator.lifecycle"
local listing = require "catalog.emulator.listing"

local export = {}

local MOST <const> = 100

local BASE <const> = "/data/foundation/export/"

local function size_of(path)
  local file = io.open(path, "rb")
  if not file then return 0 end
  local size = file:seek "end"
  file:close()
  return size
end

local function has(names, wanted)
  for _, name in ipairs(names) do
    if name == wanted then return true end
  end
  return false
end

-- An absolute link to what lies below `export`.
local function link(service, request, format, ...)
  local host = request.headers.host or "127.0.0.1"
  return { href = ("%s://%s%s%s"):format(service.scheme, host, BASE, format:format(...)) }
end

-- The first and the last byte that a header asks for; nil when it asks for none, or in a way that is not known;
-- false when they are not there.
local function read_range(text, size)
  local first, last = (text or ""):match "^bytes=(%d*)%-(%d*)$"
  first, last = math.tointeger(tonumber(first)), math.tointeger(tonumber(last))
  if not first and not last or first and last and last < first then return nil end
  if not first then first, last = math.max(0, size - last), size - 1 end
  if first >= size or first > (last or first) then return false end
  return first, math.min(last or size - 1, size - 1)
end

-- The answer that is a file, or a part of it.
local function send_file(request, path)
  local headers, size = { ["accept-ranges"] = "bytes" }, size_of(path)
  if size == 0 then return 200, headers, "" end
  local first, last = read_range(request.method == "GET" and request.headers.range or nil, size)
  if first == false then
    local status, refused, body = answers.problem(416, "The file has %d bytes, and not these", size)
    refused["content-range"] = "bytes */" .. size
    return status, refused, body
  end
  headers["content-type"] = "application/octet-stream"
  if not first then return 200, headers, { file = path } end
  headers["content-range"] = ("bytes %d-%d/%d"):format(first, last, size)
  return 206, headers, { file = path, first = first, length = last - first + 1 }
end

-- A page of what there is: `entry` makes an entry of a name and its number, `path` is that of the listing.
local function page(service, request, path, names, entry)
  local start, no_start = listing.number(request.query, "start", 0, 0, math.maxinteger)
  local limit, no_limit = listing.number(request.query, "limit", MOST, 1, math.maxinteger)
  if no_start or no_limit then return table.unpack(no_start or no_limit) end
  start, limit = math.min(start, #names), math.min(limit, MOST)
  local data = core.json.array()
  for i = start + 1, math.min(#names, start + limit) do data[#data + 1] = entry(names[i], i) end
  local joint = path:find("?", 1, true) and "&" or "?"
  local function link_from(at) return link(service, request, "%s%sstart=%d&limit=%d", path, joint, at, limit) end
  local links = { page = link_from(start) }
  links.page.templated = true
  if start + limit < #names then links.next = link_from(start + limit) end
  return answers.value(200, { data = data, _page = { limit = limit, count = #names }, _links = links })
end

-- A page of files that can be had by name at the path of their listing, which may be that of a folder.
local function page_of_files(service, request, path, folder, names, size)
  local listed = folder and path .. "?path=" .. folder or path
  return page(service, request, listed, names, function(name)
    local wanted = core.url.encode(folder and folder .. "/" .. name or name)
    return {
      name = name, length = tostring(size(name)),
      _links = { self = link(service, request, "%s?path=%s", path, wanted) },
    }
  end)
end

local function row_errors_path(service, record, name)
  return ("%s/row_errors/%s/%s"):format(service.directory, record.batch.id, name)
end

-- What can be had below `meta`: names, how long each file is, and the answer that is one.
local KINDS <const> = {
  row_errors = {
    names = function(record) return record.row_errors or {} end,
    size = function(service, record, name) return size_of(row_errors_path(service, record, name)) end,
    send = function(service, request, record, name)
      return send_file(request, row_errors_path(service, record, name))
    end,
  },
  -- Of a file that was read there is a line that says so. Its length is told as that of what was read.
  input_files = {
    names = lifecycle.names,
    size = function(_, record, name) return record.files[name] end,
    send = function(_, _, _, name) return answers.text(200, assert(core.json.encode { path = name }) .. "\n") end,
  },
}

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
  local known = KINDS[kind]
  if not known then return answers.problem(400, "path is row_errors or input_files, or a file of them") end
  local names = known.names(record)
  if name == "" then
    return page_of_files(service, request, ("batches/%s/meta"):format(record.batch.id), kind, names,
      function(each) return known.size(service, record, each) end)
  end
  if not has(names, name) then
    return answers.problem(404, "There is no %s/%s of the batch %s", kind, name, record.batch.id)
  end
  return known.send(service, request, record, name)
end

--- `GET /data/foundation/export/batches/{id}/failed`: the files of a batch that failed; with `path` one of them.
function export.failed(service, request, segments)
  local record, refusal = find(service, request, segments[5])
  if not record then return table.unpack(refusal) end
  local names, name = record.batch.status == "failed" and lifecycle.names(record) or {}, request.query.path
  if not name then
    return page_of_files(service, request, ("batches/%s/failed"):format(record.batch.id), nil, names,
      function(each) return record.files[each] end)
  end
  if not has(names, name) then return answers.problem(404, "There is no failed file %s", name) end
  return send_file(request, files.path_of(service, record, name))
end

-- A file of a data set, of a batch's file and its number.
local function entry_of(service, record, name, number)
  local batch, counts = record.batch, record.counts or {}
  local _, size = ingested.file(service, record, name, number)
  return {
    dataSetFileId = ("%s-%d"):format(batch.id, number), dataSetViewId = derived.view(batch.relatedObjects[1].id),
    version = "1.0.0", created = tostring(batch.created), updated = tostring(batch.updated),
    size = tostring(size), records = counts[name] and tostring(counts[name]),
    isValid = batch.status == "success",
  }
end

--- `GET /data/foundation/export/batches/{id}/files`: the data set's files that a batch has made, one of each that came.
function export.files(service, request, segments)
  local record, refusal = find(service, request, segments[5])
  if not record then return table.unpack(refusal) end
  local path = ("batches/%s/files"):format(record.batch.id)
  return page(service, request, path, lifecycle.names(record), function(name, number)
    local entry = entry_of(service, record, name, number)
    entry._links = { self = link(service, request, "files/%s", entry.dataSetFileId) }
    return entry
  end)
end

-- Whether a batch is asked for: by its id, or by that of its data set; any where neither is named.
local function is_wanted(record, query)
  return (not query.batch or query.batch == record.batch.id)
    and (not query.dataSetId or query.dataSetId == record.batch.relatedObjects[1].id)
end

--- `GET /data/foundation/catalog/dataSetFiles?dataSetId=&batch=`: the files of data sets, under their ids.
function export.all_files(service, request)
  local start, no_start = listing.number(request.query, "start", 0, 0, math.maxinteger)
  local limit, no_limit = listing.number(request.query, "limit", 20, 1, MOST)
  if no_start or no_limit then return table.unpack(no_start or no_limit) end
  local members, count = {}, 0
  for _, record in ipairs(service.store.records) do
    local is_own = record.org == request.org and record.sandbox == request.sandbox
    for number, name in ipairs(is_own and is_wanted(record, request.query) and lifecycle.names(record) or {}) do
      count = count + 1
      local entry = entry_of(service, record, name, number)
      entry.batchId = record.batch.id
      if count > start and #members < limit then
        members[#members + 1] = listing.member(entry.dataSetFileId, entry, request.query.properties)
      end
    end
  end
  return answers.text(200, "{" .. table.concat(members, ",") .. "}")
end

--- `GET|HEAD /data/foundation/export/files/{dataSetFileId}`: what is in it; with `path` the file itself.
function export.file(service, request, segments)
  local id = segments[5]
  local of, number = id:match "^(.+)%-(%d+)$"
  local record = of and find(service, request, of)
  number = math.tointeger(tonumber(number))
  local name = record and lifecycle.names(record)[number]
  if not name then return answers.problem(404, "The file %s was not found", id) end
  local wanted = request.query.path
  local path, size = ingested.file(service, record, name, number)
  if wanted == name then return send_file(request, path or files.path_of(service, record, name)) end
  if wanted then return answers.problem(404, "There is no %s in the file %s", wanted, id) end
  if request.method == "HEAD" then return answers.problem(400, "path is required") end
  return page_of_files(service, request, "files/" .. core.url.encode(id), nil, { name },
    function() return size end)
end

return export
