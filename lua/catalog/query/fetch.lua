--- One file onto the disk, in pieces: what has come is kept, and is not asked for again.
-- @module catalog.query.fetch
local core = require "catalog.core"
local durable = require "catalog.query.durable"
local failure = require "catalog.base.failure"
local files = require "catalog.query.files"

local fetch = {}

-- What is asked for at a time, in bytes: data access answers within a minute. Source: Adobe's data access guide.
local PIECE <const> = 64 << 20

--- Where a file goes, below a directory that it cannot leave.
-- @tparam string directory
-- @tparam string name as the service says it
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`
function fetch.target(directory, name)
  if not core.url.path(name) or name:find "%z" then
    return failure("data", 'the file "%s" is not written: its name leads out of the directory, or to no file',
      core.failure.line(name))
  end
  return directory .. "/" .. name
end

--- Makes a directory, and those that it is in, unless they are there.
-- @tparam string path
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function fetch.make_directory(path)
  for at in (path .. "/"):gmatch "()/" do
    local one = path:sub(1, at - 1)
    if one ~= "" and core.fs.kind(one) ~= "directory" then
      local ok, err = core.fs.mkdir(one)
      if not ok then return nil, err end
    end
  end
  return true
end

-- Reads the head of an answer: where in the file its body ends. The service may send fewer bytes than were asked for.
local function read_range(file, transfer, first)
  local status = transfer:reply()
  if status ~= 206 then return "whole" end
  local from, to, total = (transfer:header "content-range" or ""):match "^bytes (%d+)%-(%d+)/([%d*]+)$"
  from, to, total = math.tointeger(tonumber(from)), math.tointeger(tonumber(to)), math.tointeger(tonumber(total))
  if from ~= first or not to or to < from then
    return failure("protocol", "it sends other bytes of the file %s than were asked for", file.name)
  end
  if total and file.bytes and total ~= file.bytes then
    return failure("protocol", "the file %s has %d bytes, and not %d as its listing says", file.name, total, file.bytes)
  end
  return to + 1
end

-- Asks for the next piece. Gives how much of the file is there then.
local function get_piece(file, into, first)
  local request, client = files.request(file)
  if file.bytes and file.bytes > 0 then
    local last = math.min(file.bytes, first + PIECE) - 1
    request.headers = { { "Range", ("bytes=%d-%d"):format(first, last) } }
  end
  request.into, request.into_offset = into, first
  request.read = function(_, transfer) return read_range(file, transfer, first) end
  local ends, err = client:send(request)
  if not ends then return nil, err end
  local there = into:seek "end"
  if ends ~= "whole" and there ~= ends then
    return failure("protocol", "GET %s: the piece from %d has another length than it says", request.path, first)
  end
  return there, ends == "whole"
end

-- Gets all that is missing.
local function complete(file, into, there, on_piece)
  while true do
    if file.bytes and there == file.bytes and there > 0 then return true end
    local now, whole = get_piece(file, into, there)
    if not now then return nil, whole end
    on_piece(now - there)
    there = now
    if whole and (not file.bytes or there == file.bytes) then return true end
    if whole or there > file.bytes then
      return failure("protocol", "the file %s has %d bytes, and not %d as its listing says", file.name, there,
        file.bytes)
    end
  end
end

-- The file that pieces go into, and what is there of it. After a loss of the power that may be anything.
local function open_part(path, bytes)
  local into = core.fs.is_of_this_boot(path) and io.open(path, "r+b") or nil
  local there = into and into:seek "end" or 0
  if into and bytes and there <= bytes then return into, there end
  if into then into:close() end
  local new, why = io.open(path, "w+b")
  if not new then return failure("data", "cannot write %s: %s", path, why) end
  return new, 0
end

--- Brings the names of files onto the disk, and those of the directories they are in.
-- @tparam string directory
-- @tparam {string,...} names
-- @tparam {string,...} others directories that have got names besides
-- @tparam ?table loop the adapter of the client
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`
function fetch.sync(directory, names, others, loop)
  local seen, list = {}, table.move(others, 1, #others, 1, {})
  for _, name in ipairs(names) do
    for at in ("/" .. name):gmatch "()/" do
      local path = directory .. ("/" .. name):sub(1, at - 1)
      if not seen[path] then list[#list + 1], seen[path] = path, true end
    end
    if #list > 0 then
      local ok, err = durable(list, directory, loop)
      if not ok then return nil, err end
      list = {}
    end
  end
  return true
end

--- Where what has come of a file is, until it is whole. Another file of the same name has another.
-- @tparam catalog.file file
-- @tparam string target
-- @treturn string
function fetch.part(file, target)
  return ("%s.%s.part"):format(target, core.url.encode(file.id or files.origin(file).batch.id))
end

-- Brings a file that is whole onto the disk, and then gives it its name.
local function settle(file, into, part, target, on_whole)
  local _, client = files.request(file)
  local ok, err = durable({ into, (target:match "^(.*)/") }, part, client.loop)
  if not ok and err.kind == "data" then os.remove(part) end -- what it has then nobody knows
  if ok then ok, err = on_whole(into:seek "end") end
  if not ok then return nil, err end
  local moved, why = os.rename(part, target)
  if not moved then return failure("data", "cannot write %s: %s", target, why) end
  return true
end

--- Gets a file. What came of it before is not asked for again. It is on the disk before it has its name, and that is
-- there once `fetch.sync` has brought it there.
-- @tparam catalog.file file
-- @tparam string target its path
-- @tparam function on_piece called with how many bytes more are there
-- @tparam function on_whole called before it gets its name; gives true, or nil and an error
-- @treturn[1] integer its length
-- @treturn[2] nil
-- @treturn[2] table error: of kind `protocol` when it has another length than the listing says; what has come is kept
--   unless it is that
function fetch.file(file, target, on_piece, on_whole)
  local part = fetch.part(file, target)
  local into <close>, there = open_part(part, file.bytes)
  if not into then return nil, there end
  if there > 0 then on_piece(there) end
  local done, err = complete(file, into, there, on_piece)
  if err and err.kind == "data" then
    err.message = ("cannot write %s: %s"):format(part, err.message:match "^%u+ %S+: (.*)$" or err.message)
  end
  local length = into:seek "end"
  if done then done, err = settle(file, into, part, target, on_whole) end
  if done then return length end
  if err.kind == "protocol" then os.remove(part) end
  return nil, err
end

return fetch
