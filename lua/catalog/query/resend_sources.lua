--- Where rows that are sent again come from: those that failed, or all that were sent.
-- @module catalog.query.resend_sources
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local files = require "catalog.query.files"

local sources = {}

--- What an iterator has raised, as nil and an error, where it is one of the service's.
-- @param raised
-- @treturn nil
-- @treturn table error
-- @raise it is something else, such as a signal
function sources.caught(raised)
  if type(raised) == "table" and raised.kind and not raised.signal then return nil, raised end
  error(raised, 0)
end

-- What the service adds to a row.
local ADDED <const> = { "_errors", "_filename" }

local function failed_rows(self)
  local step = self:failed_rows()
  return function()
    local fine, row, line = pcall(step)
    if not fine then return sources.caught(row) end
    if not row then return nil end
    local errors = type(row._errors) == "table" and row._errors or {}
    for _, name in ipairs(ADDED) do row[name] = nil end
    return { fields = row, errors = errors, line = line }
  end
end

-- A file of a batch as a temporary one, which is there as long as it is open.
local function fetch(file)
  local into, why = io.tmpfile()
  if not into then return failure("data", "no temporary file can be made: %s", why) end
  local request, client = files.request(file)
  request.into, request.read = into, function() return true end
  local ok, err = client:send(request)
  local length = ok and into:seek "end"
  if ok and file.bytes and length ~= file.bytes then
    ok, err = failure("protocol", "the file %s has %d bytes, and not %d as its listing says", file.name, length,
      file.bytes)
  end
  if ok then
    into:seek "set"
    return into
  end
  into:close()
  return nil, err
end

local function all_rows(self)
  local next_file, unfit = files.each(self, true)
  if not next_file then return nil, unfit end
  local open
  return function()
    while true do
      local line = open and open:read "l"
      if line and line:find "%S" then
        local row = core.json.decode(line)
        local is_row = type(row) == "table" and line:find "^%s*{"
        return { fields = is_row and row or { _corrupt_record = line }, errors = {}, line = line }
      end
      if not line then
        if open then open:close() end
        local file, err = next_file()
        if not file then return nil, err end
        open, err = fetch(file)
        if not open then return nil, err end
      end
    end
  end
end

--- What gives the rows of a batch.
-- @tparam catalog.batch self
-- @tparam ?boolean whole true: all that were sent, of a batch that failed; else those that failed
-- @treturn[1] function gives the next, `fields`, `errors`, `line`; nil at the end; nil and an error
-- @treturn[2] nil
-- @treturn[2] table error
function sources.rows(self, whole)
  if whole then return all_rows(self) end
  return failed_rows(self)
end

--- What gives copies of the files that a batch was sent which failed.
-- @tparam catalog.batch self
-- @treturn[1] function gives the name of the next and the path of a copy, which the caller removes; nil at the end;
--   nil, nil and an error
-- @treturn[2] nil
-- @treturn[2] table error
function sources.copies(self)
  local next_file, unfit = files.each(self, true)
  if not next_file then return nil, unfit end
  return function()
    local file, err = next_file()
    if not file then return nil, nil, err end
    local from, failed = fetch(file)
    if not from then return nil, nil, failed end
    local path = os.tmpname()
    local to <close> = assert(io.open(path, "wb"))
    for block in function() return from:read(1 << 20) end do
      local ok, why = to:write(block)
      if not ok then return nil, nil, select(2, failure("data", "cannot write %s: %s", path, why)) end
    end
    from:close()
    to:close()
    return file.name, path
  end
end

return sources
