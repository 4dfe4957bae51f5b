--- What an ingest is to do: which files go into which batch. Nothing is sent before the plan is made.
-- @module catalog.ingest.plan
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local format = require "catalog.ingest.format"
local limits = require "catalog.base.limits"
local shard = require "catalog.ingest.shard"

local plan = {}

local function pattern_of(glob)
  return "^" .. glob:gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".") .. "$"
end

-- A path without what makes no difference.
local function plain(path) return (path:gsub("/+%./", "/"):gsub("/+", "/"):gsub("^%./", "")) end

-- A file of the plan, with room for what will be known of it.
local function item_of(name, path)
  return { name = name, file = path, bytes = nil, fingerprint = nil, seconds = nil, is_array = nil, mark = nil }
end

-- Adds what is in a directory and fits the pattern, and with `recursive` what is in those below it, to the files. Links
-- to directories are not followed: they may lead anywhere, and in circles. Those of other shards are counted, as
-- `others`: a directory without any file is another thing than a shard without files, since it may be the wrong one.
local function add_entries(files, given, dir, prefix)
  local names, directories = core.fs.list(dir)
  if not names then return nil, directories end
  table.sort(names)
  local pattern = pattern_of(given.pattern or "*")
  for _, name in ipairs(names) do
    local path, hidden = dir .. "/" .. name, name:sub(1, 1) == "."
    local is_journal = given.journal and plain(path) == plain(given.journal) -- which is no data
    if directories[name] then
      local ok, err = true, nil
      if given.recursive and not hidden then ok, err = add_entries(files, given, path, prefix .. name .. "/") end
      if not ok then return nil, err end
    elseif name:find(pattern) and not hidden and not is_journal then
      if not given.shard or shard.has(given.shard, prefix .. name) then
        files[#files + 1] = item_of(prefix .. name, path)
      else
        files.others = files.others + 1
      end
    end
  end
  return files
end

-- The last part of a path.
local function base_name(path)
  local _, slash = path:find ".*/"
  return slash and path:sub(slash + 1) or path
end

-- The files as a list of { name, file }, however they were given.
local function named_files(given)
  if given.dir then return add_entries({ others = 0 }, given, given.dir, "") end
  local files = {}
  for i, item in ipairs(given.files or {}) do
    if type(item) == "string" then
      files[i] = item_of(base_name(item), item)
    elseif type(item) == "table" and type(item.file) == "string" then
      files[i] = item_of(item.name or base_name(item.file), item.file)
    else
      return failure("data", "files[%d] is neither a path nor { name = ..., file = ... }", i)
    end
  end
  if #files == 0 then return failure("data", "ingest needs files: { files = { path, ... } } or { dir = path }") end
  return files
end

-- Every file is looked at before anything is created: its size and, where there is a journal, what tells that it was
-- not changed. Two of one name would replace each other, and an empty one fails its batch. A pattern means files only;
-- what is named must be one.
local function measure(list, given)
  local files, seen, total, closely, begins = {}, {}, 0, given.journal ~= nil, format.needs_look(given)
  for _, item in ipairs(list) do
    local name, path = item.name, item.file
    if seen[name] then
      return failure("data", "%s and %s would both be %s in the batch; give them names", seen[name], path, name)
    end
    seen[name] = path
    local bytes, fingerprint, third = core.file.look(path, closely, begins)
    if bytes == 0 then return format.empty(path) end
    if bytes then
      item.bytes, item.fingerprint = bytes, fingerprint
      if begins then format.look(item, third) end
      files[#files + 1], total = item, total + bytes
    elseif not (third and given.dir) then
      return nil, fingerprint -- the error; the third value says that it is there, and no regular file
    end
  end
  if #files == 0 and (list.others or 0) == 0 then
    return failure("data", "there is no file %sin %s", given.pattern and given.pattern .. " " or "", given.dir)
  end
  return files, total
end

-- One batch, or with `split` as many as the advised limits make.
local function group(files, given)
  local last = { files = {}, bytes = 0 }
  local groups, split = { last }, given.split
  local max_files = given.advised_files or limits.ADVISED_FILES
  local max_bytes = given.advised_bytes or limits.ADVISED_BYTES
  for _, item in ipairs(files) do
    local count, bytes = #last.files, item.bytes
    if split and (count >= max_files or count > 0 and last.bytes + bytes > max_bytes) then
      last, count = { files = {}, bytes = 0 }, 0
      groups[#groups + 1] = last
    end
    last.files[count + 1], last.bytes = item, last.bytes + bytes
  end
  return groups
end

-- Checks one batch's files, or its bytes, against what is enforced and what is advised.
local function check_limit(kind, count, most, advised, given)
  if count > most then
    return failure("limit", "%d %s are more than a batch may have (%d); split = true spreads them over several",
      count, kind, most)
  end
  if count > advised then
    local warn_of = given.on_warning or function(text) warn("catalog: ", text) end
    warn_of(("%d %s are more than is advised for a batch (%d); split = true spreads them over several"):format(
      count, kind, advised))
  end
  return true
end

local function check_limits(groups, given)
  for _, one in ipairs(groups) do
    local ok, err = check_limit("files", #one.files, given.max_files or limits.MAX_FILES,
      given.advised_files or limits.ADVISED_FILES, given)
    if ok then
      ok, err = check_limit("bytes", one.bytes, given.max_bytes or limits.MAX_BYTES,
        given.advised_bytes or limits.ADVISED_BYTES, given)
    end
    if not ok then return nil, err end
  end
  return true
end

--- Makes a plan.
-- @tparam table given the options of the ingest; its `shard` as of `catalog.ingest.shard`
-- @treturn[1] {table,...} groups, one for each batch, none where a shard has no files: `files` (each `name`, `file`,
--   `bytes`, with a journal its `fingerprint`), `bytes`
-- @treturn[1] {table,...} all files
-- @treturn[1] integer bytes of them
-- @treturn[2] nil
-- @treturn[2] table error of kind `data` or `limit`
function plan.make(given)
  local list, err = named_files(given)
  if not list then return nil, err end
  local files, total = measure(list, given)
  if not files then return nil, total end
  if #files == 0 then return {}, files, total end
  local groups = group(files, given)
  local ok, too_much = check_limits(groups, given)
  if not ok then return nil, too_much end
  return groups, files, total
end

--- Groups files as a journal has them: limits may be others by now.
-- @tparam table known the journal
-- @tparam {table,...} files
-- @treturn {table,...} groups
function plan.regroup(known, files)
  local groups = {}
  for _, item in ipairs(files) do
    local number = known:group(item.name)
    for i = #groups + 1, number do groups[i] = { files = {}, bytes = 0 } end
    table.insert(groups[number].files, item)
  end
  return groups
end

return plan
