--- What an ingest is to do: which files go into which batch. Nothing is sent before the plan is made.
-- @module catalog.ingest.plan
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local limits = require "catalog.base.limits"

local plan = {}

local function pattern_of(glob)
  return "^" .. glob:gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".") .. "$"
end

-- A path without what makes no difference.
local function plain(path) return (path:gsub("/+%./", "/"):gsub("/+", "/"):gsub("^%./", "")) end

-- What is in a directory and fits a pattern. What `journal` names is no data.
local function entries_in(dir, glob, journal_path)
  local names, err = core.fs.list(dir)
  if not names then return nil, err end
  table.sort(names)
  local files, pattern = {}, pattern_of(glob or "*")
  for _, name in ipairs(names) do
    local path = dir .. "/" .. name
    local meant = name:find(pattern) and name:sub(1, 1) ~= "."
    if meant and not (journal_path and plain(path) == plain(journal_path)) then
      files[#files + 1] = { name = name, file = path }
    end
  end
  return files
end

-- The last part of a path.
local function base_name(path) return path:match ".*/(.*)" or path end

-- The files as a list of { name, file }, however they were given.
local function named_files(given)
  if given.dir then return entries_in(given.dir, given.pattern, given.journal) end
  local files = {}
  for i, item in ipairs(given.files or {}) do
    if type(item) == "string" then
      files[i] = { name = base_name(item), file = item }
    elseif type(item) == "table" and type(item.file) == "string" then
      files[i] = { name = item.name or base_name(item.file), file = item.file }
    else
      return failure("data", "files[%d] is neither a path nor { name = ..., file = ... }", i)
    end
  end
  if #files == 0 then return failure("data", "ingest needs files: { files = { path, ... } } or { dir = path }") end
  return files
end

-- Looks at a file: its size and, where there is a journal, what tells that it was not changed. The third value of a
-- failure says that it is no file: a directory, say.
local function look_at(item, closely)
  local file <close>, err, irregular = core.file.open(item.file)
  if not file then return nil, err, irregular end
  item.bytes = file:size()
  if closely then item.fingerprint, err = file:fingerprint() end
  if err then return nil, err end
  return true
end

-- Every file is looked at before anything is created; two of one name would replace each other. A pattern means files
-- only; what is named must be one.
local function measure(list, given)
  local files, seen, total = {}, {}, 0
  for _, item in ipairs(list) do
    if seen[item.name] then
      return failure("data", "%s and %s would both be %s in the batch; give them names", seen[item.name], item.file,
        item.name)
    end
    seen[item.name] = item.file
    local ok, err, irregular = look_at(item, given.journal ~= nil)
    if ok then
      files[#files + 1], total = item, total + item.bytes
    elseif not (irregular and given.dir) then
      return nil, err
    end
  end
  if #files == 0 then return failure("data", "there is no file %s in %s", given.pattern or "*", given.dir) end
  return files, total
end

local function limit_of(given, name)
  return given[name] or limits[name:upper()]
end

-- One batch, or with `split` as many as the advised limits make.
local function group(files, given)
  local last = { files = {}, bytes = 0 }
  local groups, max_files, max_bytes = { last }, limit_of(given, "advised_files"), limit_of(given, "advised_bytes")
  for _, item in ipairs(files) do
    local count = #last.files
    if given.split and (count >= max_files or count > 0 and last.bytes + item.bytes > max_bytes) then
      last = { files = {}, bytes = 0 }
      groups[#groups + 1] = last
    end
    last.files[#last.files + 1] = item
    last.bytes = last.bytes + item.bytes
  end
  return groups
end

local function check_limits(groups, given)
  local warn_of = given.on_warning or function(text) warn("catalog: ", text) end
  for _, one in ipairs(groups) do
    for _, what in ipairs { { "files", #one.files }, { "bytes", one.bytes } } do
      local kind, count = what[1], what[2]
      local most, advised = limit_of(given, "max_" .. kind), limit_of(given, "advised_" .. kind)
      if count > most then
        return failure("limit", "%d %s are more than a batch may have (%d); split = true spreads them over several",
          count, kind, most)
      end
      if count > advised then
        warn_of(("%d %s are more than is advised for a batch (%d); split = true spreads them over several"):format(
          count, kind, advised))
      end
    end
  end
  return true
end

--- Makes a plan.
-- @tparam table given the options of the ingest
-- @treturn[1] {table,...} groups, one for each batch: `files` (each `name`, `file`, `bytes`, with a journal its
--   `fingerprint`), `bytes`
-- @treturn[1] {table,...} all files
-- @treturn[1] integer bytes of them
-- @treturn[2] nil
-- @treturn[2] table error of kind `data` or `limit`
function plan.make(given)
  local list, err = named_files(given)
  if not list then return nil, err end
  local files, total = measure(list, given)
  if not files then return nil, total end
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
