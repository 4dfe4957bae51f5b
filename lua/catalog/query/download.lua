--- Downloads: a file, or all files of a batch.
-- @module catalog.query.download
local batch = require "catalog.batch.batch"
local core = require "catalog.core"
local durable = require "catalog.query.durable"
local failure = require "catalog.base.failure"
local fetch = require "catalog.query.fetch"
local files = require "catalog.query.files"
local options = require "catalog.base.options"
local tasks = require "catalog.scheduler.tasks"

-- --- which files are there already: a line of JSON for each, beside them, as long as others are missing ---

local Done = {}
Done.__index = Done

local function key_of(file) return ("%s\0%s"):format(file.id or "", file.name) end

-- The name of that file.
local function name_of_done(id) return ".catalog-" .. core.url.encode(id) end

-- Opens it. Who has it is the only one that downloads this batch into this directory.
local function open_done(directory, id)
  local path = directory .. "/" .. name_of_done(id)
  local log, text = core.journal.open(path)
  if not log then return nil, text end
  local self = setmetatable({ path = path, log = log, known = {}, is_empty = text == "" }, Done)
  for line in text:gmatch "[^\n]+" do
    local entry = core.json.decode(line)
    if type(entry) == "table" and type(entry.name) == "string" then self.known[key_of(entry)] = entry.bytes end
  end
  return self
end

-- Notes a file that is whole and on the disk, before it gets its name.
function Done:note(file, bytes, loop)
  local line, unfit = core.json.encode { name = file.name, id = file.id, bytes = bytes }
  if not line then return nil, unfit end
  self.is_empty = false
  local ok, err = self.log:append(line .. "\n", false)
  if not ok then return nil, err end
  return durable({ self.path }, self.path, loop)
end

-- One in which nothing is noted is of no use.
function Done:__close()
  if self.is_empty then os.remove(self.path) end
  self.log:close()
end

-- The length of a file on the disk; nil: there is none.
local function length_of(path)
  if core.fs.kind(path) ~= "file" then return nil end
  local file <close> = io.open(path, "rb")
  return file and file:seek "end"
end

-- Whether a file is there, whole, from a run before.
function Done:has(file, target)
  local bytes = self.known[key_of(file)]
  return bytes ~= nil and not core.fs.kind(fetch.part(file, target)) and length_of(target) == bytes
end

-- --- downloads ---

local function exists(target)
  return failure("data", "%s is there already; overwrite = true replaces it", target)
end

-- Gets one file, unless it is there.
local function get(file, run)
  local target, unfit = fetch.target(run.to, file.name)
  if not target then return nil, unfit end
  if run.done and run.done:has(file, target) then
    run:arrived(file, length_of(target), true)
    return { name = file.name, bytes = length_of(target), path = target }
  end
  if core.fs.kind(target) and not run.overwrite then return exists(target) end
  local ok, err = fetch.make_directory(target:match "^(.*)/")
  if not ok then return nil, err end
  local bytes, failed = fetch.file(file, target, function(count) run:arrived(file, count) end,
    function(length)
      if core.fs.kind(target) and not run.overwrite then return exists(target) end -- it came meanwhile
      if not run.done then return true end
      return run.done:note(file, length, run.loop)
    end)
  if not bytes then return nil, failed end
  run:arrived(file, 0, true)
  return { name = file.name, bytes = bytes, path = target }
end

local Run = {}
Run.__index = Run

-- Says how far it is.
function Run:arrived(file, count, is_whole)
  self.bytes, self.files_done = self.bytes + count, self.files_done + (is_whole and 1 or 0)
  if not self.on_progress then return end
  self.on_progress {
    file = file.name, bytes = self.bytes, total = self.total, files_done = self.files_done,
    files_total = self.files_total,
  }
end

-- The directories in which the next one on the way to a path is not there yet.
local function parents_of_new(path)
  local list = {}
  while not core.fs.kind(path) do
    path = path:match "^(.*)/[^/]*$" or "."
    if path == "" then path = "/" end
    list[#list + 1] = path
  end
  return list
end

local function new_run(given, loop)
  local to = given.to:gsub("(.)/+$", "%1")
  return setmetatable({
    to = to, loop = loop, parents = parents_of_new(to), overwrite = given.overwrite,
    on_progress = given.on_progress, bytes = 0, files_done = 0, files_total = 1,
  }, Run)
end

local function check(given, schema, call, level)
  local checked = options.check(given, schema, call, level + 1)
  if not checked.to then error(("bad option 'to' for %s (string expected, got nil)"):format(call), level + 1) end
  if checked.to == "" or checked.to:find "%z" then return failure("config", "to is no directory") end
  return checked
end

local FILE <const> = { to = "string", overwrite = "boolean" }

--- Gets the file onto the disk, in pieces of 64 MiB; what this returns is there after a loss of the power, too. What
-- has come is in `NAME.ID.part` until it is whole, and the same call again goes on from there, unless the machine was
-- started anew meanwhile.
-- @function catalog.file:download
-- @tparam table given
-- @tparam string given.to the directory, made when it is not there; the file has its name in it, and never leaves it
-- @tparam[opt=false] boolean given.overwrite `true`: a file that is there is replaced; otherwise that is an error
-- @treturn[1] string its path
-- @treturn[2] nil
-- @treturn[2] table error: of kind `data` when it cannot be written, or is there already; of kind `protocol` when it
--   has another length than the listing says
-- @raise an option is unknown or has a wrong type; `to` is missing
function files.methods:download(given)
  local checked, wrong = check(given, FILE, "download", 2)
  if not checked then return nil, wrong end
  local _, client = files.request(self)
  local run = new_run(checked, client.loop)
  local got, err = get(self, run)
  if not got then return nil, err end
  local ok, failed = fetch.sync(run.to, { got.name }, run.parents, run.loop)
  if not ok then return nil, failed end
  return got.path
end

-- All files of a batch as a list, none of which is in the way of another.
local function list_of(self, failed)
  local list, seen, total = {}, {}, 0
  local next_file, unfit = files.each(self, failed)
  if not next_file then return nil, unfit end
  while true do
    local file, err = next_file()
    if err then return nil, err end
    if not file then return list, total end
    if file.name == name_of_done(self.id) then
      return failure("data", "a file of the batch %s has the name of what notes the others: %s", self.id, file.name)
    end
    if seen[file.name] then
      return failure("data", 'the batch %s has two files of the name "%s"; get them one by one, by files()', self.id,
        core.failure.line(file.name))
    end
    list[#list + 1], seen[file.name] = file, true
    total = total and file.bytes and total + file.bytes
  end
end

local function names_of(list)
  local names = {}
  for i, file in ipairs(list) do names[i] = file.name end
  return names
end

local BATCH <const> = {
  to = "string", overwrite = "boolean", parallel = "integer", failed = "boolean", on_progress = "callable",
}

--- Gets all files of the batch onto the disk, several at a time; once this returns they are there after a loss of the
-- power, too. What has come is kept when it ends, however it ends, and the same call again goes on from there. Only
-- files that were not whole when the machine was started anew begin again.
-- @function catalog.batch:download
-- @tparam table given
-- @tparam string given.to the directory, made when it is not there; no file leaves it
-- @tparam[opt=the client's,unit=files] integer given.parallel at a time
-- @tparam[opt=false] boolean given.overwrite `true`: files that are there are replaced; otherwise one that is there and
--   did not come by this call is an error
-- @tparam[opt=false] boolean given.failed `true`: the files that a batch was sent which failed
-- @tparam[opt] function given.on_progress called after each piece with `{ file, bytes, total, files_done, files_total
--   }`, in a task
-- @treturn[1] table `files`, each `name`, `bytes`, `path`; `bytes` in all
-- @treturn[2] nil
-- @treturn[2] table error: of kind `data` when a file cannot be written, is there already, or has a name that leads out
--   of the directory; of kind `protocol` when one has another length than the listing says
-- @raise an option is unknown or has a wrong type; `to` is missing; what `on_progress` raises
-- @usage assert(batch:download { to = "/data/out", parallel = 4 })
function batch.methods:download(given)
  local checked, wrong = check(given, BATCH, "download", 2)
  if not checked then return nil, wrong end
  local list, total = list_of(self, checked.failed)
  if not list then return nil, total end
  local _, kind = batch.state(self)
  local run = new_run(checked, kind.client.loop)
  run.total, run.files_total = total, #list
  local ok, err = fetch.make_directory(run.to)
  if not ok then return nil, err end
  local done <close>, unusable = open_done(run.to, self.id)
  if not done then return nil, unusable end
  run.done = done
  local got, failed = tasks.map(list, function(file) return get(file, run) end,
    { parallel = checked.parallel or kind.client.parallel })
  if not got then return nil, failed end
  ok, err = fetch.sync(run.to, names_of(got), run.parents, run.loop)
  if not ok then return nil, err end
  done.is_empty = true -- all is there: what was noted is of no use any more
  local bytes = 0
  for _, file in ipairs(got) do bytes = bytes + file.bytes end
  return { files = got, bytes = bytes }
end
